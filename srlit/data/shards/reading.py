"""The photos of one set of shards, by their paths."""

import zlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from srlit.data.audit import Photo
from srlit.data.decode import decode_bytes
from srlit.data.photo_file import PhotoError, printable
from srlit.data.reader import Pixels
from srlit.data.shards.cache import Cached, cache_of, choose_kept
from srlit.data.shards.layout import (
    INDEX,
    LISTING,
    Chunk,
    Entries,
    ShardError,
    read_entries,
    read_index,
    read_listing,
    read_table,
    table_length,
)
from srlit.data.shards.storage import Bucket, Folder, open_storage


class Shards:
    """Reads photos from shards.

    Goes to workers of any kind: a process connects to remote storage when it first reads.

    Args:
        location: a folder, or s3://bucket/prefix.
        cache_dir: folder that keeps chunks from remote storage, shared by all processes of a
            machine; None keeps none: every photo is fetched at each visit.
        cache_gb: how much of them it keeps, in GiB.
        storage_options: of boto3's S3 client: endpoint_url, region_name, ...

    Attributes:
        photos: what the list says; their paths only name them.

    Raises:
        ShardError: no shards there, or damaged ones.
        ModuleNotFoundError: remote ones, and the optional extra is not installed.
    """

    def __init__(
        self,
        location: str,
        *,
        cache_dir: str | Path | None = None,
        cache_gb: float = 50,
        storage_options: Mapping[str, Any] | None = None,
    ) -> None:
        source = open_storage(location, storage_options or {})
        index = source.whole(INDEX)
        self.location = location
        self.chunks = read_index(index, location)
        self.rows = read_listing(source.whole(LISTING), index, location)
        if len(self.rows) != sum(chunk.photos for chunk in self.chunks):
            raise ShardError(f"{location}: {LISTING} and {INDEX} list different photos")
        root = Path(location).expanduser()
        self.photos = [Photo(root / row.name, *row[1:]) for row in self.rows]
        self._chunk_of = [chunk for chunk in self.chunks for _ in range(chunk.photos)]
        self._tables: dict[str, tuple[int, ...]] = {}
        self._storage: Folder | Bucket | Cached = source
        if isinstance(source, Bucket) and cache_dir:
            kept = choose_kept(self.chunks, cache_gb * 2**30, location)
            self._storage = Cached(source, cache_of(location, index, cache_dir), kept)

    @cached_property
    def _numbers(self) -> dict[Path, int]:
        return {photo.path: number for number, photo in enumerate(self.photos)}

    def __contains__(self, path: Path) -> bool:
        """Whether a photo of this path is here."""
        return path in self._numbers

    def read(self, path: Path) -> Pixels:
        """Pixels of a photo, upright RGB.

        Raises:
            ShardError: its shard cannot be read, is damaged, or holds something else.
            PhotoError: it does not decode.
        """
        number = self._numbers[path]
        try:
            return self._pixels(number)
        except ShardError:
            if not self._renew(self._chunk_of[number]):
                raise
        return self._pixels(number)

    def _renew(self, chunk: Chunk) -> bool:
        """Whether what is damaged was a copy in the cache, which is fetched again."""
        self._tables.pop(chunk.name, None)
        return isinstance(self._storage, Cached) and self._storage.renew(chunk)

    def _pixels(self, number: int) -> Pixels:
        """Pixels of a photo by its number; raises as `read`."""
        row, chunk = self.rows[number], self._chunk_of[number]
        where = f"{self.location}/{chunk.name}: {printable(row.name)}"
        entries = self._entries(number, chunk, where)
        if entries.row != row:
            msg = f"{where}: holds {tuple(entries.row)}; the list says {tuple(row)}"
            raise ShardError(f"{msg}: write or copy the shards again")
        if zlib.crc32(entries.image) != entries.crc:
            raise ShardError(f"{where}: damaged: its checksum is not the one that was written")
        pixels = decode(entries.image, row.name, where)
        if pixels.shape[1:] != (row.height, row.width):
            size = f"{pixels.shape[2]}x{pixels.shape[1]}"
            raise ShardError(f"{where}: decodes to {size}, expected {row.width}x{row.height}")
        return pixels

    def _entries(self, number: int, chunk: Chunk, where: str) -> Entries:
        """What is stored of a photo."""
        first, end = self._table(chunk)[number - chunk.first :][:2]
        data = self._storage.part(chunk, first, end - first)
        try:
            return read_entries(data)
        except ShardError as error:
            raise ShardError(f"{where}: {error}") from None

    def _table(self, chunk: Chunk) -> tuple[int, ...]:
        """Where in a chunk its photos begin; read once."""
        if chunk.name not in self._tables:
            data = self._storage.part(chunk, 0, table_length(chunk))
            try:
                self._tables[chunk.name] = read_table(data, chunk)
            except ShardError as error:
                raise ShardError(f"{self.location}/{chunk.name}: {error}") from None
        return self._tables[chunk.name]


def decode(data: bytes, name: str, where: str) -> Pixels:
    """Pixels of a file that was found in a shard.

    Raises:
        PhotoError: it does not decode; the message says in which shard.
    """
    try:
        return decode_bytes(data, name).pixels
    except PhotoError as error:
        raise type(error)(f"{where}: {error.reason}", error.reason) from None
