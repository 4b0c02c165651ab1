"""A file from the web: resumed where it was cut, whole or not at all.

A download grows in a hidden file beside its target, with a small file that remembers which version
of what it is. Killed at any moment, it goes on from there. The target appears by a rename, once
size and checksum are right.
"""

import logging
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from rich.filesize import decimal

from srlit.data.download.common import (
    CHUNK,
    DownloadError,
    check_room,
    disk_errors,
    named,
    progress,
)
from srlit.data.download.partial_file import Origin, Part
from srlit.utils.atomic import write_json

log = logging.getLogger(__name__)

TIMEOUT = 60.0  # seconds without a byte
WAITS = (1.0, 4.0, 16.0, 60.0)  # seconds before each further try
# Some university servers answer only to what looks like a browser.
AGENT = "Mozilla/5.0 (compatible; srlit)"
PASSING = (
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
)


class _CutError(Exception):
    """A try that failed but may succeed when repeated."""


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
    """Download a file, going on where an earlier attempt was cut; nothing to do where it is there.

    What was downloaded is recorded beside the target, in a file with `.json` added to its name.

    Args:
        url: an address of http or https.
        target: where the file is to lie.
        sha256: its expected digest; None accepts what the server gives, if its size is right.
        size: its expected size in bytes; None believes the server.
        key: the config key that chose the folder, for errors.
        waits: seconds to wait before each further try; bytes that arrive make it begin anew.
        timeout: seconds without a byte after which a connection counts as cut.

    Raises:
        DownloadError: the file is not to be had, is another one, or has no room on the disk.
    """
    if target.exists():
        _check_present(target, size)
        return
    _check_scheme(url)
    with disk_errors(target, key), progress(target.name) as advance:
        target.parent.mkdir(parents=True, exist_ok=True)
        Transfer(url, target, sha256, size, key, timeout, advance).run(waits)


def _check_present(target: Path, size: int | None) -> None:
    """A file that was put there by hand may be cut or another one."""
    found = target.stat().st_size
    if size not in (None, found):
        msg = f"{target}: {found:,} bytes, expected {size:,}; remove the file to download it anew"
        raise DownloadError(msg)


def _check_scheme(url: str) -> None:
    """No files of this machine; redirects lead to http, https and ftp only."""
    if not url.startswith(("http://", "https://")):
        msg = f"{url}: expected an address that begins with https:// or http://"
        raise DownloadError(msg)


@dataclass
class Transfer:
    """One file on its way.

    Attributes:
        url: where it comes from.
        target: where it goes.
        sha256: its expected digest, if known.
        size: its expected size, if known.
        key: the config key that chose the folder.
        timeout: seconds without a byte.
        advance: told of the bytes there are and their total.
        part: what has arrived.
    """

    url: str
    target: Path
    sha256: str | None
    size: int | None
    key: str
    timeout: float
    advance: Callable[[int, int | None], None]
    part: Part = field(init=False)

    def __post_init__(self) -> None:
        self.part = Part(self.target)

    def run(self, waits: Sequence[float]) -> None:
        """Bring the file, and once more if its bytes are wrong.

        Raises:
            DownloadError: it is not to be had.
        """
        found = self._whole(waits)
        if self.sha256 not in (None, found):
            log.warning("%s: wrong checksum %s, downloading it afresh", self.url, found)
            self.part.drop()
            found = self._whole(waits)
        if self.sha256 not in (None, found):
            self.part.drop()
            raise self._error(f"sha256 {found}, expected {self.sha256}, twice")
        self._check_arrived()
        self._finish(found)

    def _check_arrived(self) -> None:
        """Bytes of another process show by the size, where no checksum is known."""
        origin, found = self.part.origin, self.part.size
        if origin and origin.total not in (None, found):
            self.part.drop()
            msg = f"{found:,} bytes arrived, expected {origin.total:,}: another process wrote, too"
            raise self._error(msg)

    def _finish(self, found: str) -> None:
        self.part.install(self.target)
        size = self.target.stat().st_size
        # Flushes the folder too, and with it the rename.
        record = self.target.with_name(f"{self.target.name}.json")
        write_json(record, {"url": self.url, "size": size, "sha256": found})
        self.part.drop()
        log.info("downloaded %s: %s, sha256 %s", self.target, decimal(size), found)

    def _whole(self, waits: Sequence[float]) -> str:
        """Try until all bytes are there; gives their digest."""
        # A server that always begins afresh and always cuts brings bytes, but never further ones.
        furthest, pauses = self.part.size, iter(waits)
        while True:
            try:
                self._try()
            except _CutError as error:
                if self.part.size > furthest:
                    furthest, pauses = self.part.size, iter(waits)
                self._pause(next(pauses, None), error)
            else:
                return self.part.hexdigest()

    def _pause(self, seconds: float | None, error: _CutError) -> None:
        if seconds is None:
            kept = f" (what arrived is kept: {decimal(self.part.size)})" if self.part.size else ""
            raise self._error(f"{error}; gave up{kept}") from error
        log.warning("%s: %s; trying again in %g s", self.url, error, seconds)
        time.sleep(seconds)

    def _error(self, reason: str) -> DownloadError:
        return DownloadError(
            f"{self.url}: {reason}. Run the same again later, or download the file by hand and "
            f"place it at {self.target}"
        )

    # -- one try --------------------------------------------------------------------------------

    def _try(self) -> None:
        """Ask for the bytes that are missing and take what comes."""
        origin = self._going_on()
        if origin and origin.total == self.part.size:  # cut between the last byte and the rename
            return
        with self._open(origin) as response:
            found = Origin.of(self.url, response)
            self._check_total(found.total)
            if response.status == HTTPStatus.PARTIAL_CONTENT:
                self._check_rest(response, origin, found)
            else:
                self.part.begin(found)
            self._receive(response, self.size if found.total is None else found.total)

    def _going_on(self) -> Origin | None:
        """What the part belongs to; None where it cannot be gone on with."""
        origin = self.part.origin
        if origin is None or origin.url != self.url or not self.part.size:
            return None
        # Without a validator only the checksum could tell that two versions were mixed.
        known = origin.validator or self.sha256
        return origin if known and self.part.size <= (origin.total or sys.maxsize) else None

    def _open(self, origin: Origin | None) -> HTTPResponse:
        headers = {"User-Agent": AGENT, **self._range(origin)}
        request = Request(self.url, headers=headers)  # noqa: S310 - see _check_scheme
        try:
            response: HTTPResponse = urlopen(request, timeout=self.timeout)  # noqa: S310
        except HTTPError as error:
            error.close()
            if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                self.part.drop()  # the file became shorter than what is here
            raise self._refused(error) from error
        except (OSError, HTTPException) as error:
            raise _CutError(named(error)) from error
        return response

    def _range(self, origin: Origin | None) -> dict[str, str]:
        """Headers that ask for the rest, if it is still the rest of the same."""
        if origin is None:
            return {}
        condition = {"If-Range": origin.validator} if origin.validator else {}
        return {"Range": f"bytes={self.part.size}-", **condition}

    def _refused(self, error: HTTPError) -> Exception:
        """What an error of the server means."""
        answer = f"the server answers {error.code} {error.reason}"
        passing = error.code in PASSING or error.code >= HTTPStatus.INTERNAL_SERVER_ERROR
        return _CutError(answer) if passing else self._error(answer)

    def _check_total(self, total: int | None) -> None:
        """The server may have another file than is known."""
        if total is not None and self.size not in (None, total):
            raise self._error(f"the server has {total:,} bytes, expected {self.size:,}")

    def _check_rest(self, response: HTTPResponse, origin: Origin | None, found: Origin) -> None:
        """What is sent must follow on what is here; if not, it is begun anew."""
        if origin is None or not origin.may_be(found) or _start(response) != self.part.size:
            self.part.drop()
            raise _CutError("the server sends the rest of another file than was begun")

    def _receive(self, response: HTTPResponse, total: int | None) -> None:
        """Take bytes until all are there."""
        done = self.part.size
        if total is not None:
            check_room(self.target.parent, total - done, self.key)
        elif self.sha256 is None:
            log.warning("%s: neither size nor checksum is known, a cut would not show", self.url)
        self.advance(done, total)
        most = sys.maxsize if total is None else total - done
        for size in self.part.append(_chunks(response, most)):
            self.advance(size, total)
        if total is not None and self.part.size < total:
            raise _CutError(f"the connection ended after {self.part.size:,} of {total:,} bytes")


def _start(response: HTTPResponse) -> int | None:
    """The position from which a partial response sends."""
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def _chunks(response: HTTPResponse, most: int) -> Iterator[bytes]:
    """The body as it comes: what has arrived is not held back until a chunk is full."""
    while most > 0:
        try:
            chunk = response.read1(min(most, CHUNK))
        except (OSError, HTTPException) as error:
            raise _CutError(named(error)) from error
        if not chunk:
            return
        most -= len(chunk)
        yield chunk
