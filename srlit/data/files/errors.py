"""What is said of a file that cannot be used."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class PhotoError(ValueError):
    """A file that cannot be used as a photo; the message names it and says why.

    Attributes:
        reason: why, without the file's name.
    """

    def __init__(self, message: str, reason: str | None = None) -> None:
        super().__init__(message)
        self.reason = message if reason is None else reason


class PassingError(PhotoError):
    """A file that cannot be read now, by no fault of its own: too many are open, a disk is away."""


def show(path: str | os.PathLike[str]) -> str:
    """A path as one printable line: other characters and undecodable bytes are escaped."""
    return _printable(os.fspath(path))


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8, as Python keeps it in a name
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Whatever goes wrong becomes a `PhotoError` that names the file."""
    try:
        yield
    except PassingError as error:
        raise PassingError(f"{show(path)}: {error.reason}", error.reason) from None
    except PhotoError as error:
        reason = error.reason
    except MemoryError:
        reason = "not enough memory to decode it"
        raise PassingError(f"{show(path)}: {reason}", reason) from None
    except Exception as error:  # noqa: BLE001 - decoders raise struct.error, TypeError and more
        reason = f"cannot be decoded: {str(error) or type(error).__name__}"
    else:
        return
    reason = _printable(reason)
    raise PhotoError(f"{show(path)}: {reason}", reason)
