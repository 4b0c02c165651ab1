"""What the files of shards hold: the list of photos, the index of chunks, a photo's entries."""

import hashlib
import json
import struct
from itertools import accumulate, pairwise
from pathlib import Path
from typing import NamedTuple

FORMAT = "srlit.shards"
VERSION = 1
INDEX = "index.json"
LISTING = "photos.json"
# A photo's entries as litdata names their kinds; no other kind is read, as one of them is pickle.
KINDS = {
    "name": "text",
    "width": "int",
    "height": "int",
    "digest": "text",
    "crc": "int",
    "image": "file",
}


class ShardError(ValueError):
    """Shards that are missing, damaged, or not those of their list."""


class Row(NamedTuple):
    """What `photos.json` says of a photo.

    Attributes:
        name: its path below the folder that all photos have in common.
        width: pixels, upright.
        height: pixels, upright.
        digest: names its pixels (`srlit.data.store.digest_of`).
    """

    name: str
    width: int
    height: int
    digest: str


class Chunk(NamedTuple):
    """A file of photos.

    Attributes:
        name: of the file.
        size: in bytes.
        first: number of its first photo.
        photos: how many it holds.
    """

    name: str
    size: int
    first: int
    photos: int


class Entries(NamedTuple):
    """What a chunk holds of a photo.

    Attributes:
        row: what the list says too.
        crc: checksum of the file.
        image: the file.
    """

    row: Row
    crc: int
    image: bytes


def sha256(data: bytes) -> str:
    """What names an index in the list that belongs to it."""
    return hashlib.sha256(data).hexdigest()


def read_listing(listing: bytes, index: bytes, location: str) -> list[Row]:
    """What `photos.json` says.

    Args:
        listing: its content.
        index: content of the `index.json` beside it.
        location: for errors.

    Raises:
        ShardError: it is none, of another version, or belongs to another index.
    """
    try:
        stored = json.loads(listing)
        found = stored["format"], stored["version"]
        rows = [Row(*row) for row in stored["photos"]]
        same = stored["index"] == sha256(index)
    except (ValueError, KeyError, TypeError) as error:
        msg = f"{location}/{LISTING}: no list of photos ({error}); write the shards again"
        raise ShardError(msg) from None
    if found != (FORMAT, VERSION):
        msg = f"{location}/{LISTING}: found {found}, expected {(FORMAT, VERSION)}"
        raise ShardError(msg)
    if not same:
        msg = f"{location}: {LISTING} and {INDEX} are of different shards; copy all files again"
        raise ShardError(msg)
    return rows


def read_index(index: bytes, location: str) -> list[Chunk]:
    """The chunks that litdata's `index.json` lists.

    Raises:
        ShardError: it is none, or of chunks of something else.
    """
    try:
        stored = json.loads(index)
        config = stored["config"]
        kinds = list(config["data_format"])
        plain = not (config["compression"] or config["encryption"])
        files = [(c["filename"], c["chunk_bytes"], c["chunk_size"]) for c in stored["chunks"]]
    except (ValueError, KeyError, TypeError) as error:
        msg = f"{location}/{INDEX}: no index of shards ({error}); write the shards again"
        raise ShardError(msg) from None
    # Chunks are kept under their names, which must not lead out of the cache.
    good_names = all(name == Path(name).name and name.endswith(".bin") for name, _, _ in files)
    if kinds != list(KINDS.values()) or not plain or not good_names:
        msg = f"{location}/{INDEX}: not of shards that srlit.prepare writes (of kinds {kinds})"
        raise ShardError(msg)
    firsts = accumulate((count for _, _, count in files), initial=0)
    return [
        Chunk(name, size, first, count)
        for (name, size, count), first in zip(files, firsts, strict=False)
    ]


def table_length(chunk: Chunk) -> int:
    """Bytes of the table that a chunk begins with."""
    return 4 * (chunk.photos + 2)


def read_table(table: bytes, chunk: Chunk) -> tuple[int, ...]:
    """Where in a chunk each of its photos begins, and the end.

    Raises:
        ShardError: this is no such table.
    """
    count, *offsets = struct.unpack(f"<{chunk.photos + 2}I", table)
    ends_right = offsets[0] == len(table) and offsets[-1] == chunk.size
    if count != chunk.photos or not ends_right or offsets != sorted(offsets):
        raise ShardError("damaged: no table of photos")
    return tuple(offsets)


def read_entries(data: bytes) -> Entries:
    """Take apart what a chunk holds of a photo: the sizes of its entries, and they themselves.

    Raises:
        ShardError: this is no photo.
    """
    count = len(KINDS)
    try:
        ends = list(accumulate(struct.unpack_from(f"<{count}I", data), initial=4 * count))
        name, width, height, digest, crc, image = (data[a:b] for a, b in pairwise(ends))
        row = Row(name.decode(), _number(width), _number(height), digest.decode())
    except (struct.error, UnicodeDecodeError) as error:
        raise ShardError(f"damaged: {error}") from None
    if ends[-1] != len(data):
        raise ShardError("damaged: its entries have other sizes")
    return Entries(row, _number(crc), image)


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")
