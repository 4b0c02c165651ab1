"""Folders of runs: their record, their owner, their checkpoints, and how later runs find them."""

import json
import logging
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import TypeAdapter

from srlit.checkpoint.loading import CheckpointError, load_checkpoint
from srlit.utils.atomic import DiskError, remove_torn, write_json

log = logging.getLogger(__name__)

RECORD, BEST = "run.json", "best.json"
SUFFIX = ".safetensors"
LAST = f"checkpoints/last{SUFFIX}"
LOCK, OWNER = ".lock", ".owner"


@dataclass
class RunRecord:
    """The identity and status of a run; `run.json` in its folder.

    Attributes:
        name: the run's name.
        label: which step of a training it is, such as 'phase2'.
        model: the generator's configuration.
        command: how it was started.
        status: 'running', 'finished', 'stopped' by the user, or 'failed'.
        started: seconds since 1970.
        ended: likewise; None while it runs.
    """

    name: str
    label: str
    model: dict[str, Any]
    command: str
    status: str = "running"
    started: float = field(default_factory=time.time)
    ended: float | None = None

    def write(self, folder: Path) -> None:
        """Store the record."""
        write_json(folder / RECORD, asdict(self))

    @contextmanager
    def kept(self, folder: Path, *, writes: bool) -> Iterator[None]:
        """Lock the folder while the body runs, and record how it ended.

        Args:
            folder: the run's folder.
            writes: False on all processes but one.

        Raises:
            CheckpointError: another process trains in this folder.
        """
        if not writes:
            yield
            return
        with own_folder(folder):
            remove_torn(folder)
            self.write(folder)
            try:
                yield
                self.status = "finished"
            except (KeyboardInterrupt, SystemExit):
                self.status = "stopped"
                raise
            except BaseException as error:
                self.status = "failed"
                # For errors with this note, entry points show the trace.
                error.add_note(f"This ended the run in {folder}; resume=auto goes on with it.")
                if isinstance(error, DiskError):
                    error.add_note("Moved to another disk, it goes on there: paths.runs=FOLDER.")
                raise
            finally:
                self.ended = time.time()
                self._close(folder)

    def _close(self, folder: Path) -> None:
        """Record how the run ended; an error here must not hide the one that ended it."""
        try:
            self.write(folder)
        except DiskError as error:
            log.error("%s", error)  # noqa: TRY400 - the first error's trace is shown


READ_RECORD = TypeAdapter(RunRecord)


@contextmanager
def own_folder(folder: Path) -> Iterator[None]:
    """Lock a folder for training; a killed owner's lock is gone with it, forked children or not.

    Raises:
        CheckpointError: another process owns the folder; the message names it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock, owner = FileLock(folder / LOCK), folder / OWNER
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        who = owner.read_text().strip() if owner.is_file() else "another process"
        raise CheckpointError(f"{folder} is in use by {who}") from error
    with lock:
        owner.write_text(f"process {os.getpid()} on {socket.gethostname()}\n")
        yield


def read_record(folder: Path) -> RunRecord | None:
    """The record in a run's folder; None if it is missing or damaged."""
    try:
        return READ_RECORD.validate_json((folder / RECORD).read_bytes())
    except (OSError, ValueError):
        return None


def read_best(folder: Path) -> dict[str, Any]:
    """`best.json`, in which `LPIPSCheckpoint` describes the selected checkpoint of a run.

    Raises:
        CheckpointError: the run has selected none yet.
    """
    if not (path := folder / BEST).is_file():
        raise CheckpointError(f"{folder}: no {BEST}: no checkpoint has been selected here yet")
    return dict(json.loads(path.read_text()))


def resolve_checkpoint(name: str) -> Path:
    """The path of a checkpoint; of a run's folder, that of its selected one.

    Raises:
        CheckpointError: there is nothing at that path.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return path / str(read_best(path)["checkpoint"])
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint and no such run folder")
    return path


def checkpoint_name(iteration: int) -> str:
    """Path of an iteration's checkpoint below the run's folder."""
    return f"checkpoints/iteration_{iteration:07d}{SUFFIX}"


def checkpoints_of(folder: Path) -> dict[int, Path]:
    """Iteration to checkpoint of a run, oldest first."""
    found = {
        int(match[1]): path
        for path in (folder / "checkpoints").glob(f"iteration_*{SUFFIX}")
        if (match := re.fullmatch(r"iteration_(\d+)", path.stem))
    }
    return dict(sorted(found.items()))


def newest_intact(folder: Path) -> Path | None:
    """The newest checkpoint of a run that is not damaged; None where there are no checkpoints.

    Raises:
        CheckpointError: all are damaged.
    """
    problems: list[str] = []
    for path in reversed(checkpoints_of(folder).values()):
        try:
            load_checkpoint(path)
        except CheckpointError as error:
            log.warning("%s", error)
            problems.append(str(error))
            continue
        if problems:
            log.warning("resuming from %s instead", path)
        return path
    if problems:
        raise CheckpointError(f"resume: no checkpoint in {folder} is intact: {'; '.join(problems)}")
    return None


def find_previous(runs: Path, label: str, model: dict[str, Any]) -> Path | None:
    """The newest finished run with this label and generator; frozen stages may differ."""
    wanted = ("finished", label, _without_frozen(model))
    found: list[tuple[float, Path]] = []
    for folder in (path.parent for path in runs.rglob(RECORD) if (path.parent / BEST).is_file()):
        record = read_record(folder)
        if record and (record.status, record.label, _without_frozen(record.model)) == wanted:
            found.append((record.ended or 0.0, folder))
    return max(found)[1] if found else None


def _without_frozen(model: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in model.items() if key != "frozen"}
