"""A file's bytes, all of them, of one moment."""

import errno
import os
import stat
from pathlib import Path

from srlit.data.files.errors import PassingError, PhotoError

MOST_BYTES = 4 * 2**30
# The system's or the server's troubles, which say nothing about the file.
PASSING = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.ESTALE, errno.ETIMEDOUT}


def read_bytes(path: Path) -> bytes:
    """All bytes of a regular file that stays as it is meanwhile.

    Raises:
        PhotoError: anything else.
    """
    try:
        _require_file(path.stat().st_mode)
        return _read_still(path)
    except OSError as error:
        passing = error.errno in PASSING
        raise (PassingError if passing else PhotoError)(_in_words(error, path)) from None


def _require_file(mode: int) -> None:
    """Refuse what is no file before it is opened: a pipe would wait for a writer, for ever."""
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a named pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    if not stat.S_ISREG(mode):
        raise PhotoError(f"{kinds.get(stat.S_IFMT(mode), 'something else')}, not a file")


def _read_still(path: Path) -> bytes:
    # Not blocking: it may have become a pipe since it was looked at.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        before = os.fstat(descriptor)
        if before.st_size > MOST_BYTES:
            raise PhotoError(f"{before.st_size:,} bytes, more than {MOST_BYTES:,}")
        data = file.readall()
        after = os.fstat(descriptor)
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        msg = f"changed while it was read, from {before.st_size:,} to {after.st_size:,} bytes"
        raise PhotoError(msg)
    if not data:
        raise PhotoError("an empty file")
    if len(data) < before.st_size:
        raise PhotoError(f"only {len(data):,} of its {before.st_size:,} bytes can be read")
    return data


def _in_words(error: OSError, path: Path) -> str:
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR if path.is_symlink():
            return f"a link to a file that is missing ({path.readlink()})"
        case errno.ENOENT | errno.ENOTDIR:
            return "no such file"
        case errno.ELOOP:
            return "a link that leads back to itself"
        case errno.EACCES | errno.EPERM:
            return "no permission to read it"
    return f"cannot be read: {error.strerror or error}"
