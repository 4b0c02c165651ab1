"""One file from the web, resumed where an earlier attempt was cut.

A download grows in `.NAME.part` beside its target; `.NAME.part.json` records which version of the
file it is. The target appears by a rename, once size and checksum are right.
"""

import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from srlit.utils.atomic import write_json
from srlit.utils.fingerprint import file_sha256
from srlit.utils.small_files import read_json

log = logging.getLogger(__name__)

TIMEOUT = 60.0  # seconds without a byte
WAITS = (1.0, 4.0, 16.0, 60.0)  # seconds before each further attempt
CHUNK = 2**20
# Some university servers answer only to what looks like a browser.
AGENT = "Mozilla/5.0 (compatible; srlit)"
RETRIED = (408, 416, 429)  # request timeout, range not satisfiable, too many requests


class DownloadError(ValueError):
    """A file that cannot be downloaded or used; the message says what to do."""


class _AttemptError(Exception):
    """An attempt that failed but may succeed when repeated."""


class Version(NamedTuple):
    """Which version of which file a server sends.

    Attributes:
        url: the file's address.
        validator: strong ETag or Last-Modified, as If-Range takes it; may be empty.
        total: size in bytes; None where the server does not tell.
    """

    url: str
    validator: str
    total: int | None

    def may_equal(self, other: "Version") -> bool:
        """Whether nothing that both know differs."""
        return all(a == b for a, b in zip(self, other, strict=True) if a and b)


def download(
    url: str,
    target: Path,
    *,
    sha256: str | None,
    size: int | None = None,
    key: str,
    waits: Sequence[float] = WAITS,
    timeout: float = TIMEOUT,
) -> None:
    """Download a file, resuming an earlier attempt; do nothing if the file is there.

    Args:
        url: an address of http or https.
        target: where the file is to lie.
        sha256: its expected digest; None accepts what the server sends, if its size is right.
        size: its expected size in bytes; None believes the server.
        key: the config key that chose the folder, for errors.
        waits: seconds to wait before each further attempt; progress starts them afresh.
        timeout: seconds without a byte after which a connection counts as cut.

    Raises:
        DownloadError: the file is unavailable or another one, or the disk is full.
    """
    if target.exists():
        found = target.stat().st_size
        if size not in (None, found):
            raise DownloadError(f"{target}: {found:,} bytes, expected {size:,}; remove it")
        return
    if not url.startswith(("http://", "https://")):
        raise DownloadError(f"{url}: expected an address that begins with https:// or http://")
    with disk_errors(target, key), progress_bar(target.name) as advance:
        target.parent.mkdir(parents=True, exist_ok=True)
        _Download(url, target, sha256, size, key, timeout, advance).run(waits)


@dataclass
class _Download:
    """A download; the arguments of `download`, and a progress callback (bytes, total)."""

    url: str
    target: Path
    sha256: str | None
    size: int | None
    key: str
    timeout: float
    advance: Callable[[int, int | None], None]

    def __post_init__(self) -> None:
        self.part = self.target.with_name(f".{self.target.name}.part")  # what has arrived
        self.record = self.part.with_name(f"{self.part.name}.json")  # its version

    @property
    def arrived(self) -> int:
        """Size of the part in bytes."""
        return self.part.stat().st_size if self.part.exists() else 0

    def run(self, waits: Sequence[float]) -> None:
        """Download the file, and once more if its checksum is wrong."""
        for _ in range(2):
            self._attempts(waits)
            found = file_sha256(self.part)
            if self.sha256 in (None, found):
                break
            log.warning("%s: sha256 %s, expected %s", self.url, found, self.sha256)
            self._discard()
        else:
            raise self._error(f"sha256 {found}, expected {self.sha256}, twice")
        with self.part.open("rb+") as file:
            os.fsync(file.fileno())
        self.part.replace(self.target)
        self._discard()
        log.info("downloaded %s, sha256 %s", self.target, found)

    def _attempts(self, waits: Sequence[float]) -> None:
        """Try until all bytes are there; only bytes that are further on start the waits afresh."""
        furthest, pauses = self.arrived, iter(waits)
        while True:
            try:
                return self._attempt()
            except _AttemptError as error:
                if self.arrived > furthest:
                    furthest, pauses = self.arrived, iter(waits)
                wait = next(pauses, None)
                if wait is None:
                    raise self._error(f"{error}; {decimal(self.arrived)} are kept") from error
                log.warning("%s: %s; trying again in %g s", self.url, error, wait)
                time.sleep(wait)

    def _attempt(self) -> None:
        """Ask for the missing bytes and append them."""
        known = self._resumable()
        if known and known.total == self.arrived:  # stopped between the last byte and the rename
            return
        with self._request(known) as response:
            found = _version(self.url, response)
            if self.size and found.total not in (None, self.size):
                raise self._error(f"the server has {found.total:,} bytes, expected {self.size:,}")
            start = response.headers.get("Content-Range", "").startswith(f"bytes {self.arrived}-")
            if response.status != HTTPStatus.PARTIAL_CONTENT:
                self._discard()
                write_json(self.record, found._asdict())
            elif not (known and known.may_equal(found) and start):
                self._discard()
                raise _AttemptError("the server continues another file than was begun")
            self._receive(response, found.total or self.size)

    def _resumable(self) -> Version | None:
        """The version to resume; None where the download must start afresh."""
        try:
            known = Version(**read_json(self.record))
        except (OSError, ValueError, TypeError):
            return None
        # Without a validator, only the checksum would reveal a mixture of two versions.
        resumable = known.url == self.url and self.arrived and (known.validator or self.sha256)
        return known if resumable and self.arrived <= (known.total or self.arrived) else None

    def _request(self, known: Version | None) -> HTTPResponse:
        headers = {"User-Agent": AGENT}
        if known:
            headers["Range"] = f"bytes={self.arrived}-"
            headers |= {"If-Range": known.validator} if known.validator else {}
        try:
            return urlopen(Request(self.url, headers=headers), timeout=self.timeout)  # noqa: S310 - see `download`
        except HTTPError as error:
            error.close()
            if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                self._discard()  # the file is now shorter than the part
            answer = f"the server answers {error.code} {error.reason}"
            if error.code in RETRIED or error.code >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise _AttemptError(answer) from error
            raise self._error(answer) from error
        except (OSError, HTTPException) as error:
            raise _AttemptError(str(error)) from error

    def _receive(self, response: HTTPResponse, total: int | None) -> None:
        """Append what arrives until all is there."""
        check_free_space(self.target.parent, (total or 0) - self.arrived, self.key)
        self.advance(self.arrived, total)
        with self.part.open("ab") as file:
            for chunk in _chunks(response):
                file.write(chunk)
                file.flush()
                self.advance(file.tell(), total)
        if total is not None and self.arrived != total:
            msg = f"the connection ended after {self.arrived:,} of {total:,} bytes"
            if self.arrived > total:
                self._discard()
            raise _AttemptError(msg)

    def _discard(self) -> None:
        """Remove the part; its record first, as a part without one is not trusted."""
        self.record.unlink(missing_ok=True)
        self.part.unlink(missing_ok=True)

    def _error(self, reason: str) -> DownloadError:
        return DownloadError(
            f"{self.url}: {reason}. Run the same command again later, or download the file by hand "
            f"and put it at {self.target}"
        )


def _version(url: str, response: HTTPResponse) -> Version:
    partial = response.status == HTTPStatus.PARTIAL_CONTENT
    length = response.headers.get("Content-Range" if partial else "Content-Length", "")
    total = length.rpartition("/")[2].strip()
    tag = response.headers.get("ETag", "")
    # A weak ETag (W/...) does not promise equal bytes.
    validator = tag if tag.startswith('"') else response.headers.get("Last-Modified", "")
    return Version(url, validator, int(total) if total.isdecimal() else None)


def _chunks(response: HTTPResponse) -> Iterator[bytes]:
    """The body as it arrives."""
    try:
        while chunk := response.read1(CHUNK):
            yield chunk
    except (OSError, HTTPException) as error:
        raise _AttemptError(str(error)) from error


@contextmanager
def disk_errors(path: Path, key: str) -> Iterator[None]:
    """Turn an OSError into a DownloadError that names the config key which chose the folder."""
    try:
        yield
    except OSError as error:
        msg = f"{path}: {error}; expected {key} to be a writable folder with enough space"
        raise DownloadError(msg) from error


def check_free_space(folder: Path, needed: int, key: str) -> None:
    """Raise DownloadError where a disk has less than `needed` bytes free."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DownloadError(
            f"{folder}: {decimal(needed)} needed, {decimal(free)} free; make room, or set {key} to "
            "a folder on a larger disk"
        )


@contextmanager
def progress_bar(name: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show bytes and speed; gives a function that sets the bytes done and their total."""
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn()
    with Progress(*columns, TransferSpeedColumn()) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
