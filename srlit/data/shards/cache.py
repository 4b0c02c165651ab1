"""Chunks of remote storage that are kept on disk, for all processes of a machine.

As many chunks as fit into the cache are fetched whole when they are first needed, and stay: the
first batches wait for many chunks, and with room for all of them nothing is fetched after the first
epoch. Photos of the other chunks are fetched one by one, by their range of bytes, at every visit:
each waits for a request, which workers hide, and an epoch fetches as many bytes as these photos
have. Throwing out chunks to make room would be no help, as a shuffled epoch comes back to each of
them all the time: with room for 4 of 16 chunks of 10 photos, it fetches 8 times the data set an
epoch, and this 0.8 times.
"""

import fcntl
import logging
import os
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

from srlit.data.shards.layout import Chunk, ShardError, sha256
from srlit.data.shards.storage import Bucket, check_size, read_part

log = logging.getLogger(__name__)


def cache_of(location: str, index: bytes, folder: str | Path) -> Path:
    """The folder of a set's chunks: other shards at the same place get one of their own."""
    key = sha256(location.encode() + b"\n" + index)[:16]
    return Path(folder).expanduser() / key


def choose_kept(chunks: Sequence[Chunk], room: float, location: str) -> frozenset[str]:
    """Names of the first chunks that fit together: the same in all processes, without asking.

    Args:
        chunks: all of a set.
        room: bytes to keep them in.
        location: for the message where there is no room for all.
    """
    ends = accumulate(chunk.size for chunk in chunks)
    kept = frozenset(chunk.name for chunk, end in zip(chunks, ends, strict=True) if end <= room)
    if len(kept) < len(chunks):
        log.info(
            "%s: the cache has room for %d of %d shards; photos of the others are fetched one by "
            "one at each visit",
            location,
            len(kept),
            len(chunks),
        )
    return kept


class Cached:
    """Chunks of a bucket of which some are kept in a folder.

    Args:
        bucket: where they come from.
        folder: where they are kept; shared by all processes.
        kept: names of those that are.
    """

    def __init__(self, bucket: Bucket, folder: Path, kept: frozenset[str]) -> None:
        self.bucket = bucket
        self.folder = folder
        self.kept = kept
        self._renewed: set[str] = set()

    def part(self, chunk: Chunk, first: int, length: int) -> bytes:
        """Some bytes of a chunk, which is fetched if it is one to keep.

        Raises:
            ShardError: it cannot be fetched or kept.
        """
        if chunk.name not in self.kept:
            return self.bucket.part(chunk, first, length)
        path = self.folder / chunk.name
        if not _is_whole(chunk, path):  # never fetched, or removed or cut under a run
            self._ensure(chunk, path)
        return read_part(path, chunk, first, length)

    def renew(self, chunk: Chunk) -> bool:
        """Drop a chunk that was found damaged, once: damaged again, it is so in the bucket.

        Returns:
            Whether it will be fetched again.
        """
        path = self.folder / chunk.name
        if chunk.name in self._renewed or not path.exists():
            return False
        log.warning("%s: damaged; fetching it again", path)
        self._renewed.add(chunk.name)
        path.unlink(missing_ok=True)
        return True

    def _ensure(self, chunk: Chunk, path: Path) -> None:
        """Fetch a chunk unless it is there whole; one process does, others wait for it."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not _is_whole(chunk, path):
                self._fetch(chunk, path)
        except OSError as error:
            msg = (
                f"{path}: cannot be kept: {error.strerror}; choose another cache_dir or a smaller "
                "cache_gb"
            )
            raise ShardError(msg) from None

    def _fetch(self, chunk: Chunk, path: Path) -> None:
        sibling = path.with_name(f".{chunk.name}.partial")
        # Neither emptied by opening, as it may be another process's, nor appended to, as parts come
        # in any order.
        with os.fdopen(os.open(sibling, os.O_RDWR | os.O_CREAT, 0o644), "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            # Another process may have fetched it meanwhile, and this be the file under its name.
            if _is_whole(chunk, path):
                sibling.unlink(missing_ok=True)
                return
            file.truncate(0)
            self.bucket.fetch(chunk.name, file)
            file.flush()
            size = os.fstat(file.fileno()).st_size
            check_size(chunk, size, f"{self.bucket.location}/{chunk.name}")
            sibling.replace(path)


def _is_whole(chunk: Chunk, path: Path) -> bool:
    return path.is_file() and path.stat().st_size == chunk.size
