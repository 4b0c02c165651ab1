"""Folders of runs: their record, their owner, their checkpoints, and how later runs find them."""

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
from typing_extensions import TypedDict

from srlit.checkpoint.loading import CheckpointError, load_checkpoint
from srlit.utils.atomic import DiskError, remove_torn, write_json
from srlit.utils.small_files import SmallFileError, check_type, read_json, read_text

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
        command: how it was started.
        identity: what the phases of one training have in common: `photos`, `seed`, `degradation`
            and `model`, the generator's configuration.
        multirun: what names the multirun that it is a job of; None: it is of none.
        job: the overrides of that job but for its experiment.
        changes: keys of `resume_changes` that differed: {iteration, key, before, now}.
        status: 'running', 'finished', 'stopped' by the user, or 'failed'.
        started: seconds since 1970.
        resumed: likewise, of the last start.
        ended: likewise; None while it runs.
        seconds: how long it has trained in all its sessions that ended.
    """

    name: str
    label: str
    command: str
    identity: dict[str, Any] = field(default_factory=dict)
    multirun: str | None = None
    job: list[str] = field(default_factory=list)
    changes: list[dict[str, Any]] = field(default_factory=list)
    status: str = "running"
    started: float = field(default_factory=time.time)
    resumed: float = field(default_factory=time.time)
    ended: float | None = None
    seconds: float = 0.0

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
            if (earlier := read_record(folder)) is not None:
                self.started, self.seconds = earlier.started, earlier.seconds
                if earlier.ended is None:  # killed; its last file tells when
                    newest = max(path.stat().st_mtime for path in folder.rglob("[!.]*"))
                    self.seconds += max(0.0, newest - earlier.resumed)
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
                self.seconds += self.ended - self.resumed
                self._close(folder)

    def _close(self, folder: Path) -> None:
        """Record how the run ended; an error here must not hide the one that ended it."""
        try:
            self.write(folder)
        except DiskError as error:
            log.error("%s", error)  # noqa: TRY400 - the first error's trace is shown


class Validation(TypedDict):
    """A validation in `best.json`, as far as it is read."""

    iteration: int
    metrics: dict[str, float]


class Kept(Validation):
    """One whose checkpoint was kept."""

    checkpoint: str


class Best(TypedDict, total=False):
    """`best.json`, as far as it is read."""

    checkpoint: str
    iteration: int
    metrics: dict[str, float]
    kept: list[Kept]
    history: list[Validation]


READ_RECORD, BEST_TYPE = TypeAdapter(RunRecord), TypeAdapter(Best)


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
        who = owner.read_text("utf-8", "replace").strip() if owner.is_file() else "another process"
        raise CheckpointError(f"{folder} is in use by {who}") from error
    with lock:
        owner.write_text(f"process {os.getpid()} on {socket.gethostname()}\n", encoding="utf-8")
        yield


def read_record(folder: Path) -> RunRecord | None:
    """The record in a run's folder; None if it is missing or damaged, which is logged."""
    try:
        return READ_RECORD.validate_json(read_text(folder / RECORD))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        log.warning("%s", SmallFileError(folder / RECORD, error))
        return None


def read_best(folder: Path, *keys: str) -> dict[str, Any]:
    """`best.json`, in which `LPIPSCheckpoint` describes the selected checkpoint of a run.

    Args:
        folder: the run's folder.
        keys: what must be there.

    Raises:
        CheckpointError: the run has selected none yet, or the file is damaged.
    """
    if not (path := folder / BEST).is_file():
        raise CheckpointError(f"{folder}: no {BEST}: no checkpoint has been selected here yet")
    try:
        best = read_json(path)
        check_type(path, best, BEST_TYPE)
    except SmallFileError as error:
        raise CheckpointError(str(error)) from error
    if missing := [key for key in keys if key not in best]:
        raise CheckpointError(f"{path}: damaged: it lacks {', '.join(missing)}")
    return dict(best)


def resolve_checkpoint(name: str) -> Path:
    """The path of a checkpoint; of a run's folder, that of its selected one.

    Raises:
        CheckpointError: there is nothing at that path.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return path / str(read_best(path, "checkpoint")["checkpoint"])
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


def holds_run(folder: Path) -> bool:
    """Whether a training has left checkpoints in a folder, or has finished there."""
    record = read_record(folder)
    return bool(checkpoints_of(folder)) or (record is not None and record.status == "finished")


def find_previous(runs: Path, label: str, child: RunRecord) -> list[Path]:
    """The finished runs with this label that a run may start from.

    One of the same multirun with the same other overrides; where there is none, all those of equal
    photos, seed, degradation and generator, of which frozen stages may differ.

    Raises:
        CheckpointError: that of the same multirun has not finished, or there is none at all; the
            message says in what others differ.
    """
    labelled = {folder: r for folder, r in _records(runs).items() if r.label == label}
    job = child.multirun, child.job
    siblings = [
        folder for folder, r in labelled.items() if child.multirun and (r.multirun, r.job) == job
    ]
    if unfinished := [folder for folder in siblings if labelled[folder].status != "finished"]:
        status = labelled[unfinished[0]].status
        raise CheckpointError(f"init_from=auto: {unfinished[0]}, the phase before, is {status}")
    finished = [folder for folder, r in labelled.items() if r.status == "finished"]
    others = {folder: _different(labelled[folder], child) for folder in finished}
    found = siblings or [folder for folder, different in others.items() if not different]
    if not found:
        close = [f"{folder} has another {' and '.join(keys)}" for folder, keys in others.items()]
        raise CheckpointError(
            f"init_from=auto: no finished run labelled {label!r} of the same photos, seed, "
            f"degradation and generator below {runs}{': ' if close else ''}{'; '.join(close)}. "
            f"Train it first: +experiment={label}, or name a checkpoint: init_from=PATH, or start "
            "afresh: init_from=null"
        )
    return found


def _records(runs: Path) -> dict[Path, RunRecord]:
    """The records of all runs below a folder that selected a checkpoint or have not finished."""
    found = {path.parent: read_record(path.parent) for path in sorted(runs.rglob(RECORD))}
    return {
        folder: record
        for folder, record in found.items()
        if record and (record.status != "finished" or (folder / BEST).is_file())
    }


def _different(record: RunRecord, child: RunRecord) -> list[str]:
    """The keys in which two identities differ."""
    one, other = _without_frozen(record.identity), _without_frozen(child.identity)
    return [key for key in one | other if one.get(key) != other.get(key)]


def _without_frozen(identity: dict[str, Any]) -> dict[str, Any]:
    model = identity.get("model")
    if isinstance(model, dict):  # as in every record that srlit wrote
        model = {key: value for key, value in model.items() if key != "frozen"}
    return {**identity, "model": model}
