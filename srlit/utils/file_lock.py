"""An exclusive lock on a folder, by filelock."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

log = logging.getLogger(__name__)


@contextmanager
def exclusive_lock(lock: Path, task: str) -> Iterator[None]:
    """Wait until no other process holds a lock, and hold it; it ends with this process.

    Where the file system has no locks, a warning says so and nothing is locked. Forked children do
    not hold the lock: filelock closes it in them.

    Args:
        lock: the lock file, which stays.
        task: what the holder does, for the log of those who wait.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    held = FileLock(lock, fallback_to_soft=False)
    try:
        _acquire(held, task)
    except OSError as error:
        log.warning("%s cannot be locked (%s): start this only once", lock, error.strerror)
    try:
        yield
    finally:
        held.release()


def _acquire(held: FileLock, task: str) -> None:
    try:
        held.acquire(blocking=False)
    except Timeout:
        log.info("another process is %s: waiting until it is done", task)
        held.acquire(poll_interval=0.1)
