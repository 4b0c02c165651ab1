"""Photos in shards: few large files instead of many small ones, in a folder or in S3 storage.

Written and read by `litdata`, an optional extra. An item is a photo's file as it was. `index.json`
lists the names, sizes, digests and checksums of all photos, so that training knows them without
fetching a shard. Photos are read by number, so batches are those from the files, for any workers.
"""

import importlib
import json
import logging
import os
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from rich.progress import track

from srlit.data.audit import Audit, Checks, Photo, usable
from srlit.data.decode import decode
from srlit.data.photo_file import PhotoError, photo_errors, printable, read_bytes
from srlit.data.photo_sets import PhotoSets
from srlit.data.reader import Pixels, read_unchanged
from srlit.data.scan import Entry, stamp_of
from srlit.types import Positive
from srlit.utils.atomic import atomic_folder, write_json
from srlit.utils.file_lock import exclusive_lock
from srlit.utils.small_files import MAX_LIST_BYTES, read_json

log = logging.getLogger(__name__)

INDEX = "index.json"
StorageOptions = Mapping[str, Any] | None  # of boto3's S3 client
REMOTE = ("s3://", "gs://", "r2://", "azure://", "local:")


class ShardError(ValueError):
    """Shards that are missing, damaged, or not written by srlit."""


class Row(NamedTuple):
    """What the index says about a photo.

    Attributes:
        name: its path below the photos' common folder.
        width: upright, in pixels.
        height: upright, in pixels.
        digest: identifies its pixels (`srlit.data.store.digest_of`).
        crc: CRC-32 of its file.
    """

    name: str
    width: int
    height: int
    digest: str
    crc: int


def import_litdata() -> Any:  # noqa: ANN401 - an optional package
    """The package litdata; it takes seconds to import.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    try:
        importlib.import_module("litdata.streaming.writer")
        return importlib.import_module("litdata")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"shards: {error}: pip install 'srlit[stream]'") from error


# -- writing ------------------------------------------------------------------------------------


def write_shards(photos: Sequence[Photo], folder: str | Path, *, chunk_mb: Positive = 64) -> None:
    """Write photos into shards, which appear when all are written.

    Args:
        photos: audited photos without LR partners; files that changed since are decoded again.
        folder: a folder that does not exist, is empty, or holds shards of these photos already.
        chunk_mb: size of a shard in MiB; larger photos get one of their own.

    Raises:
        FileExistsError: the folder holds something else.
        PhotoError: a file cannot be read, or its pixels changed.
        ModuleNotFoundError: litdata is not installed.
    """
    target = Path(folder).expanduser()
    lock = target.with_name(f".{target.name}.lock")
    with exclusive_lock(lock, f"writing shards into {target}"):
        if target.is_dir() and any(target.iterdir()):
            _check_same(photos, target)
            return
        with atomic_folder(target) as sibling:
            _write_chunks(photos, sibling, int(chunk_mb * 2**20))
    log.info("%s: shards of %d photos", target, len(photos))


def _check_same(photos: Sequence[Photo], folder: Path) -> None:
    """See that a folder holds shards of these photos."""
    with suppress(ShardError):
        if [row.digest for row in _read_index(folder)[0]] == [photo.digest for photo in photos]:
            log.info("%s: holds these %d photos already", folder, len(photos))
            return
    raise FileExistsError(f"{folder}: holds other files; choose another folder for these shards")


def _write_chunks(photos: Sequence[Photo], folder: Path, chunk_bytes: int) -> None:
    """Write the shards and their index."""
    writer = import_litdata().streaming.writer.BinaryWriter(str(folder), chunk_bytes=chunk_bytes)
    common = os.path.commonpath([photo.path.absolute().parent for photo in photos])
    rows = []
    for number, photo in enumerate(track(photos, "writing shards")):
        data = _read_file(photo)
        name = photo.path.absolute().relative_to(common).as_posix()
        rows.append(Row(name, photo.width, photo.height, photo.digest, zlib.crc32(data)))
        writer.add_item(number, data)
    writer.done()
    writer.merge(1)
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    write_json(folder / INDEX, index | {"photos": rows})


def _read_file(photo: Photo) -> bytes:
    """The bytes of an audited photo's file."""
    with photo_errors(photo.path):
        data = read_bytes(photo.path)
    if photo.stamp != stamp_of(photo.path):
        read_unchanged(photo)
    return data


# -- reading ------------------------------------------------------------------------------------


def _read_index(folder: Path) -> tuple[list[Row], int]:
    """The photos that an index lists, and the size of all shards in bytes.

    Raises:
        ShardError: it is missing or was not written by `write_shards`.
    """
    try:
        index = read_json(folder / INDEX, MAX_LIST_BYTES)
        rows = [Row(*row) for row in index["photos"]]
        # Items of other kinds may be pickled, and names may lead out of the cache.
        plain = index["config"]["data_format"] == ["bytes"]
        names = [chunk["filename"] for chunk in index["chunks"]]
        size = sum(chunk["chunk_bytes"] for chunk in index["chunks"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{folder / INDEX}: no index of shards ({error!r}); write or copy the shards again"
        raise ShardError(msg) from error
    if not plain or any(name != Path(name).name for name in names):
        raise ShardError(f"{folder / INDEX}: expected shards that srlit prepare wrote")
    return rows, size


class Shards:
    """Reads photos from shards; may be pickled, and every process opens them itself.

    Args:
        location: a folder, or an address such as s3://bucket/prefix.
        cache_dir: folder for shards from remote storage; None reads photos one by one.
        cache_gb: its size in GiB; where the shards do not fit, photos are read one by one.
        options: of boto3's S3 client.

    Attributes:
        photos: the photos; their paths are names only.
        numbers: path to number and CRC-32 of the file.

    Raises:
        ShardError: there are no shards, or damaged ones.
        ModuleNotFoundError: litdata is not installed.
    """

    def __init__(
        self, location: str, cache_dir: str | None, cache_gb: float, options: StorageOptions
    ) -> None:
        self.location = location
        self._remote = location.startswith(REMOTE)
        root = Path(location).expanduser()
        if not self._remote:
            _read_index(root)  # litdata would wait for it
        self._options = {
            "input_dir": location if self._remote else str(root),
            "cache_dir": cache_dir and str(Path(cache_dir).expanduser()),
            "max_cache_size": int(cache_gb * 2**30),
            "storage_options": dict(options or {}),
        }
        self._opened: tuple[int, Any] | None = None
        try:
            self.folder = Path(self._dataset.input_dir.path)
            rows, size = _read_index(self.folder)
        except ModuleNotFoundError:
            raise
        except Exception as error:  # those of botocore and of other storages
            raise ShardError(f"{location}: cannot be opened: {error}") from error
        self.photos = [Photo(root / row.name, *row[1:4]) for row in rows]
        self.numbers = {root / row.name: (number, row.crc) for number, row in enumerate(rows)}
        self._whole = cache_dir is not None and size <= cache_gb * 2**30

    def __getstate__(self) -> dict[str, Any]:
        """Connections and threads stay behind."""
        return {**self.__dict__, "_opened": None}

    @property
    def _dataset(self) -> Any:  # noqa: ANN401 - litdata's
        """This process's StreamingDataset."""
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = os.getpid(), import_litdata().StreamingDataset(**self._options)
        return self._opened[1]

    def read(self, path: Path) -> Pixels:
        """Pixels of a photo, upright RGB.

        Raises:
            ShardError: its shard cannot be read or is damaged.
            PhotoError: it does not decode.
        """
        number, crc = self.numbers[path]
        where = f"{self.location}: {printable(path)}"
        try:
            data = bytes(self._dataset[number])
            # litdata creates its cache at the first access.
            self._dataset.on_demand_bytes = not self._whole
        except Exception as error:  # those of botocore and of other storages
            raise ShardError(f"{where}: cannot be read: {error}") from error
        if zlib.crc32(data) != crc:
            cached = f", or remove its cache {self.folder}" if self._remote else ""
            raise ShardError(f"{where}: damaged (CRC-32 differs); copy the shards again{cached}")
        try:
            return decode(path, data).pixels
        except PhotoError as error:
            raise type(error)(f"{where}: {error.reason}", error.reason) from None


@dataclass(kw_only=True, eq=False)
class StreamedPhotos(PhotoSets):
    """Photos in shards that srlit prepare wrote, in folders or in remote storage.

    Args:
        train: a folder or s3://bucket/prefix; None where only a test is run.
        val: likewise; None where nothing is validated.
        test: likewise; None where only a training is run.
        cache_dir: folder that keeps shards from remote storage; None fetches each photo at each
            visit.
        cache_gb: its size per set, in GiB; where a set does not fit, its photos are fetched one by
            one.
        storage_options: of boto3's S3 client: endpoint_url, region_name, ...
    """

    train: str | None = None
    val: str | None = None
    test: str | None = None
    cache_dir: str | None = None
    cache_gb: Positive = 50
    storage_options: StorageOptions = None

    def __post_init__(self) -> None:
        self._opened: dict[str, Shards] = {}

    def has(self, split: str) -> bool:
        """Whether shards were named for a split."""
        return bool(getattr(self, split))

    def split(self, name: str) -> list[Path]:
        """Photos of a split's shards."""
        return [photo.path for photo in self._shards(name).photos]

    def audited(self, split: str, min_size: int, checks: Checks) -> Audit:
        """The photos of a split that are large enough; all were decoded before they were written.

        Args:
            split: "train", "val" or "test".
            min_size: shortest side that is usable, in pixels.
            checks: gives the fraction of photos that may be too small.

        Raises:
            BadDataError: too many are too small.
        """
        photos = self._shards(split).photos
        known = {p.path: Entry(None, size=(p.width, p.height), digest=p.digest) for p in photos}
        return usable(list(known), known, min_size, checks.max_invalid_fraction)

    def read(self, photo: Photo) -> Pixels:
        """Pixels of a photo of a split that was asked for before.

        Raises:
            ShardError: its shard cannot be read or is damaged.
            PhotoError: it does not decode.
        """
        for shards in self._opened.values():
            if photo.path in shards.numbers:
                return shards.read(photo.path)
        raise ShardError(f"{printable(photo.path)}: is in none of the sets {list(self._opened)}")

    def _shards(self, split: str) -> Shards:
        """The shards of a split, opened once.

        Raises:
            ValueError: the training shards are not set.
            FileNotFoundError: those of another split are not set, which not every command needs.
            ShardError: there are no shards, or damaged ones.
        """
        location = getattr(self, split)
        if not location:
            msg = f"{self.key}.{split} is not set: expected a folder or s3://bucket/prefix"
            raise ValueError(msg) if split == "train" else FileNotFoundError(msg)
        if split not in self._opened:
            cache = self.cache_dir, self.cache_gb
            try:
                self._opened[split] = Shards(location, *cache, self.storage_options)
            except ShardError as error:
                raise ShardError(f"{self.key}.{split}: {error}") from error
        return self._opened[split]
