"""Atomic writing of files: each is complete or absent."""

import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EACCES, EDQUOT, EFBIG, EIO, ENOENT, ENOSPC, EPERM, EROFS
from pathlib import Path
from typing import Any

# Full disks, quotas, size limits, and folders that may not be written to.
REFUSALS = {ENOSPC, EDQUOT, EFBIG, EROFS, EACCES, EPERM, EIO}


class DiskError(OSError):
    """A file that could not be written; what was there before it still is."""

    def __str__(self) -> str:
        """The message without the number."""
        return str(self.strerror)


@contextmanager
def atomic_file(path: Path, size: int | None = None) -> Iterator[Path]:
    """A temporary file to write into, which replaces `path` once it is on the disk.

    The file is flushed to the disk, renamed, and the folder is flushed too. If the body raises,
    it is removed and `path` stays as it was.

    Args:
        path: the file to be written; its folder is made where it is missing.
        size: how many bytes it will take, where that is known, for the error.

    Raises:
        DiskError: the disk is full or read-only, a quota is reached, or writing is not allowed.
    """
    # Ends in the same suffix, as writers such as Pillow choose the format by it.
    number = f"{os.getpid():08x}{secrets.token_hex(4)}"
    sibling = path.with_name(f".{path.stem}.{number}.tmp{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield sibling
            with sibling.open("rb+") as file:
                os.fsync(file.fileno())
            sibling.replace(path)
            _sync_folder(path.parent)
        finally:
            sibling.unlink(missing_ok=True)
    except OSError as error:
        if isinstance(error, DiskError) or not _concerns(error, path):
            raise
        raise disk_error(path, error, size) from error


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """An empty folder to fill, which then takes the place of `folder`, missing or empty.

    Its name is always the same, so that what a killed process left is removed by the next one.
    """
    sibling = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(sibling, ignore_errors=True)
    sibling.mkdir(parents=True)
    try:
        yield sibling
        if hasattr(os, "sync"):
            os.sync()  # the name must not reach the disk before the files
        if folder.is_dir():
            folder.rmdir()  # which Windows does not replace
        sibling.replace(folder)
    finally:
        shutil.rmtree(sibling, ignore_errors=True)


def remove_torn(folder: Path) -> None:
    """Remove temporary files of killed processes; those of running ones stay.

    Processes of other machines count as killed.
    """
    for path in folder.rglob(".*.tmp*"):
        name = re.fullmatch(r"\..+\.([0-9a-f]{8})[0-9a-f]{8}\.tmp(\.[^.]*)?", path.name)
        if name and not _is_running(int(name[1], 16)):
            with suppress(OSError):
                path.unlink()


def _is_running(process: int) -> bool:
    """Whether there is such a process; Windows keeps the open files of one by itself."""
    if os.name == "nt":
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _concerns(error: OSError, path: Path) -> bool:
    """Whether an error is about writing `path` and not about another file."""
    named = error.filename
    near = named is None or Path(os.fsdecode(named)).is_relative_to(path.parent)
    return error.errno in REFUSALS and near


def disk_error(path: Path, error: OSError, size: int | None = None) -> DiskError:
    """The error for a file that could not be written: its path, bytes needed, and bytes free."""
    needed = "" if size is None else f"{size:,} bytes needed, "
    folder = next((p for p in (path.parent, *path.parents) if p.is_dir()), Path("/"))
    room = f"{needed}{shutil.disk_usage(folder).free:,} bytes free on that disk"
    if error.errno == ENOENT:
        room = f"{path.parent} was removed meanwhile"
    elif error.errno == ENOSPC and hasattr(os, "statvfs") and not os.statvfs(folder).f_favail:
        room = "that disk holds as many files as it can (no free inodes)"
    msg = (
        f"{path}: cannot be written: {error.strerror}. {room}; "
        "what was there before is untouched. Make room, or choose another place"
    )
    return DiskError(error.errno, msg)


def _sync_folder(folder: Path) -> None:
    """Flush a rename to the disk, where folders can be opened (not on Windows)."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def link_file(source: Path, target: Path) -> None:
    """Hard-link a file, or copy it where the file system has no links."""
    with atomic_file(target) as sibling:
        try:
            os.link(source, sibling)
        except OSError:
            shutil.copy2(source, sibling)


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with atomic_file(path, len(text)) as sibling:
        sibling.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:  # noqa: ANN401 - whatever JSON can hold
    """Write a JSON file, whole or not at all."""
    write_text(path, json.dumps(content, indent=2) + "\n")
