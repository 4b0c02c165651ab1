"""The three sets, each in shards of its own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from srlit.data.audit import Audit, Checks, Photo, usable
from srlit.data.photo_file import printable
from srlit.data.photo_sets import PhotoSets
from srlit.data.reader import Pixels
from srlit.data.scan import Entry
from srlit.data.shards.extra import optional
from srlit.data.shards.layout import ShardError
from srlit.data.shards.reading import Shards
from srlit.data.shards.storage import REMOTE, is_remote


class StreamedPhotos(PhotoSets):
    """Photos in shards that srlit.prepare wrote, in folders or in S3-compatible storage.

    The paths of photos are where the shards lie and the names in their list: they name them, and
    no file lies there.

    Args:
        train: a folder or s3://bucket/prefix; None where only a test is run.
        val: likewise; None where nothing is validated.
        test: likewise; None where only a training is run.
        cache_dir: folder that keeps chunks from remote storage; None keeps none, and every photo is
            fetched at each visit.
        cache_gb: how much it keeps of each set, in GiB.
        storage_options: of boto3's S3 client: endpoint_url, region_name, ...

    Raises:
        ModuleNotFoundError: remote ones, and the optional extra is not installed.
    """

    def __init__(
        self,
        *,
        train: str | None = None,
        val: str | None = None,
        test: str | None = None,
        cache_dir: str | Path | None = None,
        cache_gb: float = 50,
        storage_options: Mapping[str, Any] | None = None,
    ) -> None:
        self.locations = {"train": train, "val": val, "test": test}
        self.cache_dir, self.cache_gb = cache_dir, cache_gb
        self.storage_options = dict(storage_options or {})
        self._opened: dict[str, Shards] = {}
        if any(location and is_remote(location) for location in self.locations.values()):
            optional("boto3")

    def has(self, split: str) -> bool:
        """Whether shards were named for a split."""
        return bool(self.locations[split])

    def split(self, name: str) -> list[Path]:
        """Photos of a split's shards."""
        return [photo.path for photo in self._shards(name).photos]

    def audited(self, split: str, min_size: int, checks: Checks) -> Audit:
        """The photos of a split that are large enough; all were decoded before they were written.

        Args:
            split: "train", "val" or "test".
            min_size: shortest side that is usable, in pixels.
            checks: which share of photos may be too small.

        Raises:
            BadDataError: too many are too small.
        """
        photos = self._shards(split).photos
        known = {p.path: Entry(None, size=(p.width, p.height), digest=p.digest) for p in photos}
        paths = [photo.path for photo in photos]
        return usable(
            paths, known, min_size=min_size, max_invalid_fraction=checks.max_invalid_fraction
        )

    def read(self, photo: Photo) -> Pixels:
        """Pixels of a photo of a split that was asked for before.

        Raises:
            ShardError: its shard cannot be read, is damaged, or holds something else.
            PhotoError: it does not decode.
        """
        for shards in self._opened.values():
            if photo.path in shards:
                return shards.read(photo.path)
        raise ShardError(f"{printable(photo.path)}: is in none of the sets {list(self._opened)}")

    def _shards(self, split: str) -> Shards:
        """The shards of a split; their list is read once.

        Raises:
            ValueError: the training shards are not set.
            FileNotFoundError: those of another split are not, which not every command needs.
            ShardError: no shards there, or damaged ones.
        """
        if split not in self._opened:
            self._opened[split] = self._open(split)
        return self._opened[split]

    def _open(self, split: str) -> Shards:
        location = self.locations[split]
        if not location:
            msg = (
                f"{self.key}.{split} is not set: expected a folder or {REMOTE}bucket/prefix of "
                "shards written by srlit.prepare"
            )
            raise ValueError(msg) if split == "train" else FileNotFoundError(msg)
        try:
            return Shards(
                location,
                cache_dir=self.cache_dir,
                cache_gb=self.cache_gb,
                storage_options=self.storage_options,
            )
        except ShardError as error:
            msg = f"{self.key}.{split}: {error}; expected shards written by srlit.prepare"
            raise ShardError(msg) from error
