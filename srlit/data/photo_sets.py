"""Three disjoint sets of photos: for training, validation and test."""

import hashlib
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from srlit.data.audit import Audit, BadDataError, Checks, Photo
from srlit.data.photo_file import printable
from srlit.data.reader import Pixels, read_unchanged

log = logging.getLogger(__name__)

MAX_HELD = 20  # photos, of a fraction: more make validation longer, and hardly more certain


class Group(NamedTuple):
    """Training photos of one source.

    Attributes:
        photos: their paths.
        weight: how many of the patches come from them, relative to the other groups.
    """

    photos: list[Path]
    weight: float


class PhotoSets(ABC):
    """Paths of the three sets.

    Attributes:
        key: its configuration key, for errors.
    """

    key = "data.photos"

    @abstractmethod
    def split(self, name: str) -> list[Path]:
        """Photos of "train", "val" or "test".

        Raises:
            FileNotFoundError: there are none.
            ValueError: none are configured to train on.
        """

    def has(self, split: str) -> bool:  # noqa: ARG002
        """Whether photos of a split are configured, whether or not they exist."""
        return True

    def groups(self) -> list[Group]:
        """The training photos by source."""
        photos = self.split("train")
        return [Group(photos, len(photos))]

    def lr_of(self, hr: Path) -> Path | None:  # noqa: ARG002
        """The real low-resolution partner of a photo; None where it is to be degraded."""
        return None

    def audited(self, split: str, min_size: int, checks: Checks) -> Audit:
        """The photos of a split that are usable.

        Args:
            split: "train", "val" or "test".
            min_size: shortest side that is usable, in pixels.
            checks: how files are audited.
        """
        paths = self.split(split)
        partners = {hr: lr for hr in paths if (lr := self.lr_of(hr)) is not None}
        return checks(paths, min_size, partners)

    def read(self, photo: Photo) -> Pixels:
        """Pixels of an audited photo.

        Raises:
            PhotoError: its file changed, or cannot be read.
        """
        return read_unchanged(photo)


class HoldoutSets(PhotoSets):
    """Sets of which validation and test have folders of their own, or photos held back.

    Args:
        holdout: which part of the training photos to hold back for each set without a folder of
            its own: a fraction (at least 1 photo, at most `MAX_HELD`), or a whole number of photos.
    """

    train_key = "train_folder"  # what to set where there is nothing to train on
    holdout: float

    @abstractmethod
    def has_own(self, split: str) -> bool:
        """Whether folders are configured for a split, whether or not they exist."""

    @abstractmethod
    def own(self, split: str) -> list[Path]:
        """Photos in a split's own folders."""

    def has(self, split: str) -> bool:
        """Whether a split has folders of its own, or photos are held back for it."""
        if split == "train" or self.has_own(split):
            return self.has_own(split)
        return self.holdout > 0 and self.has_own("train")

    @cached_property
    def _divided(self) -> dict[str, list[Path]]:
        """The training folder's photos for each split; listed once."""
        if not self.has_own("train"):
            raise ValueError(f"{self.key}.{self.train_key} is not set: expected a folder of photos")
        divided = {"train": self.own("train")}
        count, key = held_count(self.holdout, len(divided["train"])), f"{self.key}.holdout"
        for split in ("val", "test"):
            if not self.has_own(split):
                divided["train"], divided[split] = hold_back(divided["train"], count, key)
        log.info("%s=%g: %s", key, self.holdout, describe_sizes(divided))
        return divided

    def split(self, name: str) -> list[Path]:
        """The photos of a set's own folder, or those held back for it."""
        photos = self.own(name) if name != "train" and self.has_own(name) else self._divided[name]
        if not photos:
            msg = f"{self.key}.holdout=0 leaves no photos for {name}: give it a folder of its own"
            raise FileNotFoundError(msg)
        return photos


def held_count(holdout: float, total: int) -> int:
    """How many of `total` photos to hold back for a set, by a fraction or a whole number."""
    if isinstance(holdout, int) or not holdout:
        return int(holdout)
    return min(max(round(holdout * total), 1), MAX_HELD)


def describe_sizes(sets: Mapping[str, Sequence[Path]]) -> str:
    """How many photos each set has, for messages."""
    return ", ".join(f"{len(photos)} photos for {name}" for name, photos in sets.items())


def hold_back(
    photos: Sequence[Path], count: int, key: str = "data.photos.holdout"
) -> tuple[list[Path], list[Path]]:
    """Split off `count` photos, chosen by a hash of their names.

    The choice does not depend on order or folder; an added photo may take the place of one.

    Args:
        photos: to choose from.
        count: how many to hold back.
        key: the config key that says so, for the error.

    Raises:
        ValueError: nothing would be left to train on.
    """
    if count >= len(photos):
        msg = f"{key}={count}: cannot hold back {count} of {len(photos)} photos and "
        raise ValueError(f"{msg}train on the rest; expected a smaller number, or more photos")
    by_hash = sorted(photos, key=lambda path: hashlib.sha256(os.fsencode(path.name)).digest())
    held = set(by_hash[:count])
    return [path for path in photos if path not in held], sorted(held)


def without_duplicates(photos: Sequence[Photo], others: Sequence[Photo], name: str) -> list[Photo]:
    """Photos whose pixels are not among those of another set: validation must stay unseen."""
    seen = {photo.digest: photo for photo in others if photo.digest}
    for photo in photos:
        if photo.digest in seen:
            other = printable(seen[photo.digest].path)
            log.warning("not trained on: %s is %s of %s", printable(photo.path), other, name)
    return [photo for photo in photos if photo.digest not in seen]


def regroup(
    photos: Sequence[Photo], groups: Sequence[Group]
) -> tuple[list[Photo], list[int], list[float] | None]:
    """Usable photos in the order of their groups, how many in each, and the groups' weights.

    Weights by size are None: each photo that is left counts the same.

    Raises:
        BadDataError: no photo of a group is left.
    """
    members = [[p for p in photos if p.group == number] for number in range(len(groups))]
    for group, left in zip(groups, members, strict=True):
        if not left:
            msg = f"none of {len(group.photos)} photos in {group.photos[0].parent} is usable"
            raise BadDataError(msg)
    counts = [len(part) for part in members]
    weights = None if by_size(groups) else [group.weight for group in groups]
    return [photo for part in members for photo in part], counts, weights


def by_size(groups: Sequence[Group]) -> bool:
    """Whether the groups' weights follow their numbers of photos."""
    return len({group.weight / len(group.photos) for group in groups}) <= 1
