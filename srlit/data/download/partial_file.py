"""What has arrived of a download: a hidden file, and beside it of which version it is part."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from email.message import Message
from http import HTTPStatus
from http.client import HTTPResponse
from pathlib import Path
from typing import NamedTuple

from srlit.utils.atomic import write_json


class Origin(NamedTuple):
    """Which version of which file a part belongs to.

    Attributes:
        url: the file's address.
        validator: ETag or time of change by which the server knows the version; may be empty.
        total: its size in bytes, where the server told it.
    """

    url: str
    validator: str
    total: int | None

    @classmethod
    def of(cls, url: str, response: HTTPResponse) -> "Origin":
        """The version that a response sends."""
        rest = response.status == HTTPStatus.PARTIAL_CONTENT
        header = "Content-Range" if rest else "Content-Length"
        total = response.headers.get(header, "").rpartition("/")[2].strip()
        return cls(url, _validator(response.headers), int(total) if total.isdecimal() else None)

    def may_be(self, other: "Origin") -> bool:
        """Nothing that both know differs."""
        return all(a == b for a, b in zip(self, other, strict=True) if a and b)


def _validator(headers: Message) -> str:
    """What If-Range may carry; a weak ETag does not promise equal bytes."""
    tag = str(headers.get("ETag", ""))
    return tag if tag.startswith('"') else str(headers.get("Last-Modified", ""))


class Part:
    """The bytes of a file that have arrived, their digest, and which version they are of.

    Args:
        target: the file they will become.
    """

    def __init__(self, target: Path) -> None:
        self.file = target.with_name(f".{target.name}.part")
        self.memo = target.with_name(f".{target.name}.part.json")
        self._digest = hashlib.sha256()
        self._hashed = 0

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return self.file.stat().st_size if self.file.exists() else 0

    @property
    def origin(self) -> Origin | None:
        """What they belong to; None where that is not known."""
        try:
            return Origin(**json.loads(self.memo.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def begin(self, origin: Origin) -> None:
        """Start afresh."""
        self.drop()
        write_json(self.memo, origin._asdict())

    def drop(self) -> None:
        """Forget everything; the memo first, as bytes without one are not trusted."""
        self.memo.unlink(missing_ok=True)
        self.file.unlink(missing_ok=True)
        self._digest, self._hashed = hashlib.sha256(), 0

    def append(self, chunks: Iterable[bytes]) -> Iterator[int]:
        """Add bytes as they come; gives the size after each."""
        self._hash_found()
        with self.file.open("ab") as file:
            for chunk in chunks:
                file.write(chunk)
                self._digest.update(chunk)
                self._hashed += len(chunk)
                yield self._hashed

    def hexdigest(self) -> str:
        """SHA-256 of what is there."""
        self._hash_found()
        return self._digest.hexdigest()

    def _hash_found(self) -> None:
        """Read what an earlier run left, so that the digest can go on from there."""
        if self._hashed != self.size:
            with self.file.open("rb") as file:
                self._digest = hashlib.file_digest(file, "sha256")
            self._hashed = self.size

    def install(self, target: Path) -> None:
        """Take the target's name, once all is on the disk."""
        with self.file.open("rb+") as file:
            os.fsync(file.fileno())
        self.file.replace(target)
