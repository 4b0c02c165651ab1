"""The packed store: decoded pixels in memory-mapped files, so that a patch is a copy of memory.

A store is a folder of safetensors files ("shards"), each an 8-byte length, a JSON header and raw
pixels: tensors (3, h, w) of uint8, named by a digest of their pixels. So a photo is found again
wherever its file lies and whatever it is called, a changed photo is another one, and the name is
the checksum. A shard appears whole or not at all.
"""

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import torch
from jaxtyping import UInt8
from torch import Tensor

from srlit.utils.atomic import atomic_file
from srlit.utils.file_lock import exclusive_lock

log = logging.getLogger(__name__)

FORMAT = "srlit.packed"
VERSION = "1"
SUFFIX = ".safetensors"
LOCK = ".lock"
# The header comes first and is written last: room is kept for this much a tensor.
HEADER_ROOM = 160


class StoreError(ValueError):
    """A packed store that cannot be used."""


class _EmptyError(Exception):
    """A shard without a picture."""


def digest_of(pixels: UInt8[Tensor, "3 h w"]) -> str:
    """32 hexadecimal digits that name a picture: of its size and its pixels."""
    size = f"{pixels.shape[1]}x{pixels.shape[2]} ".encode()
    digest = hashlib.sha256(size)
    digest.update(pixels.contiguous().numpy().data)
    return digest.hexdigest()[:32]


# -- writing ------------------------------------------------------------------------------------


class ShardWriter:
    """Appends pictures to a shard under construction.

    Args:
        file: where they go.
        most: how many pictures there is room for.
        had: digests of pictures that are left out, as other shards have them.
    """

    def __init__(self, file: BinaryIO, most: int, had: frozenset[str] = frozenset()) -> None:
        self._file = file
        self._had = had
        self._room = 8 + 256 + HEADER_ROOM * most
        self._header: dict[str, Any] = {"__metadata__": {"format": FORMAT, "version": VERSION}}
        self._end = 0
        file.seek(self._room)

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self._header) - 1

    def append(self, digest: str, pixels: UInt8[Tensor, "3 h w"]) -> None:
        """Write a picture, once."""
        if digest in self._header or digest in self._had:
            return
        self._file.write(pixels.contiguous().numpy().data)
        end = self._end + pixels.nbytes
        self._header[digest] = {
            "dtype": "U8",
            "shape": list(pixels.shape),
            "data_offsets": [self._end, end],
        }
        self._end = end

    def finish(self) -> None:
        """Write the header into the room before the pixels, filled up with blanks."""
        header = json.dumps(self._header).encode()
        self._file.seek(0)
        self._file.write((self._room - 8).to_bytes(8, "little"))
        self._file.write(header.ljust(self._room - 8))


@contextmanager
def new_shard(path: Path, most: int, had: frozenset[str] = frozenset()) -> Iterator[ShardWriter]:
    """A shard of at most `most` pictures that appears at `path` when the body is done.

    Pictures of `had` are left out, and a shard without a picture does not appear.
    """
    with suppress(_EmptyError), atomic_file(path) as sibling, sibling.open("wb") as file:
        writer = ShardWriter(file, most, had)
        yield writer
        if not writer:
            raise _EmptyError
        writer.finish()


@contextmanager
def packing(folder: Path | None) -> Iterator[None]:
    """Be the only process that packs into a store; waits for another one to finish.

    What a killed one left half written is removed.
    """
    if folder is None:
        yield
        return
    with exclusive_lock(folder / LOCK, f"packing into {folder}"):
        remove_torn_shards(folder)
        yield


def remove_torn_shards(folder: Path) -> None:
    """Remove what killed processes left half written; nobody else may be packing."""
    for left in folder.glob(f".*.tmp{SUFFIX}"):
        left.unlink()


# -- reading ------------------------------------------------------------------------------------


class PackedStore(Mapping[str, Tensor]):
    """Pictures by their digest, (3, h, w) uint8, mapped into memory and not to be written to.

    Args:
        folder: where the shards lie; None or a missing folder is an empty store.

    Raises:
        StoreError: a shard is cut, or none of this format or version.
    """

    def __init__(self, folder: str | Path | None) -> None:
        self.folder = Path(folder).expanduser() if folder else None
        self._shard_of: dict[str, Path] = {}
        self._mapped: dict[Path, dict[str, Tensor]] = {}
        self.rescan()

    def rescan(self) -> None:
        """Look for shards that came since."""
        shards = sorted(self.folder.glob(f"*{SUFFIX}")) if self.folder else []
        known = set(self._shard_of.values())
        for shard in shards:
            if shard not in known and not shard.name.startswith("."):
                self._shard_of |= dict.fromkeys(self._digests_in(shard), shard)

    def _digests_in(self, shard: Path) -> list[str]:
        """A shard's pictures; none where it cannot be read, as its photos can be decoded."""
        try:
            return list(read_header(shard)[0])
        except FileNotFoundError:  # removed since the folder was listed
            return []
        except OSError as error:
            log.warning("not used: %s: %s; its photos are decoded", shard, error.strerror)
            return []

    def __getstate__(self) -> dict[str, Any]:
        """Another process maps the files itself."""
        return {**self.__dict__, "_mapped": {}}

    def __contains__(self, digest: object) -> bool:
        """Whether the picture is stored."""
        return digest in self._shard_of

    def __iter__(self) -> Iterator[str]:
        """All digests."""
        return iter(self._shard_of)

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self._shard_of)

    def shard_of(self, digest: str) -> Path:
        """The file in which a picture lies."""
        return self._shard_of[digest]

    def __getitem__(self, digest: str) -> UInt8[Tensor, "3 h w"]:
        """The picture's pixels, still on disk until they are read.

        Raises:
            StoreError: its shard was removed, changed or closed to readers since it was found.
        """
        shard = self._shard_of[digest]
        if shard not in self._mapped:
            try:
                self._mapped[shard] = map_shard(shard)
            except OSError as error:
                raise StoreError(f"{shard}: {error.strerror}") from error
        try:
            return self._mapped[shard][digest]
        except KeyError:
            raise StoreError(f"{shard}: replaced by another one") from None


def map_shard(shard: Path) -> dict[str, UInt8[Tensor, "3 h w"]]:
    """A shard's pictures as views of the file."""
    header, start = read_header(shard)
    # Private and copy-on-write: a mistaken write never reaches the file, and no handle stays open.
    size = shard.stat().st_size
    pixels = torch.from_file(str(shard), shared=False, size=size, dtype=torch.uint8)
    return {
        digest: pixels[slice(*(start + offset for offset in entry["data_offsets"]))].view(
            entry["shape"]
        )
        for digest, entry in header.items()
    }


def read_header(shard: Path) -> tuple[dict[str, Any], int]:
    """A shard's entries, and where in the file its pixels begin.

    Raises:
        StoreError: it is cut, or none of this format or version.
        OSError: it cannot be read.
    """
    try:
        with shard.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            # Of a file that is none of ours the length may be anything: it bounds what is read.
            header = json.loads(file.read(min(length, os.fstat(file.fileno()).st_size)))
        about = header.pop("__metadata__")
        found = about["format"], about["version"]
        end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"{shard}: no shard of a packed store ({error}); remove it and pack again"
        raise StoreError(msg) from error
    if found != (FORMAT, VERSION):
        msg = f"{shard}: {found[0]} version {found[1]}, expected {FORMAT} version {VERSION}"
        raise StoreError(msg)
    if shard.stat().st_size != 8 + length + end:
        msg = f"{shard}: {shard.stat().st_size} bytes, expected {8 + length + end}; remove it"
        raise StoreError(msg)
    return header, 8 + length
