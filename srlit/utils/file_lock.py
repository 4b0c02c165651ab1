"""Being the only process that does something to a folder."""

import errno
import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from srlit.utils.atomic import kept_from_children

log = logging.getLogger(__name__)


@contextmanager
def alone(lock: Path, doing: str) -> Iterator[None]:
    """Wait until no other process holds a lock, and hold it; a killed holder's is gone with it.

    Where the file system has no locks, nothing is waited for, and that is said.

    Args:
        lock: its file, which stays.
        doing: what another holder does, for the log.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in {errno.EWOULDBLOCK, errno.EACCES}:
                log.info("another process is %s: waiting until it is done", doing)
                fcntl.flock(file, fcntl.LOCK_EX)
            else:
                log.warning("%s cannot be locked (%s): start this once only", lock, error.strerror)
        with kept_from_children(file):
            yield
