"""What downloading and unpacking share: their error, room on the disk, the bar."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

CHUNK = 2**20


class DownloadError(ValueError):
    """A file that cannot be had or used; the message says what to do."""


@contextmanager
def disk_errors(path: Path, key: str) -> Iterator[None]:
    """Say which key chose the place; errors of connections are told apart where they arise."""
    try:
        yield
    except OSError as error:
        msg = f"{path}: {error}; see that {key} is a folder with room that may be written to"
        raise DownloadError(msg) from error


def check_room(folder: Path, needed: int, key: str) -> None:
    """So many bytes more must fit on the disk of a folder.

    Raises:
        DownloadError: they do not.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        msg = (
            f"{folder}: {decimal(needed)} more are needed there and {decimal(free)} are free; "
            f"make room, or set {key} to a folder on a larger disk"
        )
        raise DownloadError(msg)


@contextmanager
def progress(name: str) -> Iterator[Callable[[int, int | None], None]]:
    """A bar with bytes, speed and time left; gives what sets it to so many bytes of so many."""
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn()
    with Progress(*columns, TransferSpeedColumn(), TimeRemainingColumn()) as bar:
        task = bar.add_task(name, total=None, start=False)

        def advance(done: int, total: int | None) -> None:
            if not bar.tasks[0].started:  # what is there already counts for no speed
                bar.reset(task, completed=done, total=total)
            bar.update(task, completed=done, total=total)

        yield advance


def named(error: Exception) -> str:
    """The first line of what an error says: tarfile lists all formats it tried."""
    return next(iter(str(error).splitlines()), type(error).__name__).rstrip(":")
