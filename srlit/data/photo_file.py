"""The bytes of one photo file, and the errors that say why a file cannot be used."""

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MAX_BYTES = 4 * 2**30
# Errors of the system or of a file server, which say nothing about the file.
TEMPORARY = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.ESTALE, errno.ETIMEDOUT}


class PhotoError(ValueError):
    """A file that cannot be used as a photo; the message names the file and the reason.

    Attributes:
        reason: the reason, without the file's name.
    """

    def __init__(self, message: str, reason: str | None = None) -> None:
        super().__init__(message)
        self.reason = message if reason is None else reason


class TemporaryPhotoError(PhotoError):
    """A file that cannot be read now, but perhaps later: too many open files, a server away."""


def printable(text: str | os.PathLike[str]) -> str:
    """A path or text as one printable line; other characters and undecodable bytes are escaped."""
    return "".join(c if c.isprintable() else _escaped(c) for c in os.fspath(text))


def failure(path: Path, error: Exception) -> str:
    """Why an image could not be processed, in one line that names it."""
    name, reason = printable(path), printable(str(error).strip().partition("\n")[0])
    if isinstance(error, MemoryError) or re.search(
        "(out of|not enough|allocate) memory", str(error)
    ):
        reason = f"{reason or 'out of memory'}; a smaller tile or crop takes less memory"
    return reason if name in reason else f"{name}: {reason or type(error).__name__}"


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8, as Python keeps it in file names
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


@contextmanager
def photo_errors(path: Path) -> Iterator[None]:
    """Turn every error into a `PhotoError` that names the file."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - decoders raise struct.error, TypeError and more
        kind, reason = PhotoError, f"cannot be decoded: {str(error) or type(error).__name__}"
        if isinstance(error, MemoryError):
            kind, reason = TemporaryPhotoError, "not enough memory to decode it"
        elif isinstance(error, PhotoError):
            kind, reason = type(error), error.reason
        reason = printable(reason)
        raise kind(f"{printable(path)}: {reason}", reason) from None


def read_bytes(path: Path) -> bytes:
    """All bytes of a regular file, which must not change while it is read.

    Raises:
        PhotoError: it changes, is empty, too large, or not a regular file.
    """
    try:
        # Checked before it is opened: opening a pipe would wait for a writer.
        if not stat.S_ISREG(path.stat().st_mode):
            raise PhotoError("not a regular file")
        return _read_unchanged(path)
    except OSError as error:
        kind = TemporaryPhotoError if error.errno in TEMPORARY else PhotoError
        link = f" (a link to {path.readlink()})" if path.is_symlink() else ""
        raise kind(f"cannot be read: {error.strerror or error}{link}") from None


def _read_unchanged(path: Path) -> bytes:
    # Non-blocking: it may have become a pipe since it was checked.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        before = os.fstat(descriptor)
        if before.st_size > MAX_BYTES:
            raise PhotoError(f"{before.st_size:,} bytes, more than {MAX_BYTES:,}")
        data = file.readall()
        after = os.fstat(descriptor)
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise PhotoError(f"changed while it was read: {before.st_size:,}, {after.st_size:,} bytes")
    if not data:
        raise PhotoError("an empty file")
    return data
