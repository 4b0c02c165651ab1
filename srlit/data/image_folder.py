"""Which photos are for training, which for validation, which for the test: three disjoint sets."""

import hashlib
import importlib.util
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from srlit.data.audit import Audit, Photo
from srlit.data.photo import OTHER_SUFFIXES, SUFFIXES, show
from srlit.data.reader import Pixels, read_unchanged

if TYPE_CHECKING:
    from srlit.data.splits import Checks

log = logging.getLogger(__name__)

# Others are listed so that the audit says that, and why, they are left out.
LISTED = {*SUFFIXES, *OTHER_SUFFIXES}


Folders = str | Sequence[str] | None


class Group(NamedTuple):
    """Training photos of one origin.

    Attributes:
        photos: their paths.
        share: how much of the patches comes from them, relative to the other groups.
    """

    photos: list[Path]
    share: float


class PhotoSets(ABC):
    """Paths of the three sets.

    Attributes:
        key: where the configuration has it, for errors.
    """

    key = "data.photos"

    @abstractmethod
    def train(self) -> list[Path]:
        """Photos to learn from."""

    @abstractmethod
    def val(self) -> list[Path]:
        """Photos that select checkpoints."""

    @abstractmethod
    def test(self) -> list[Path]:
        """Photos that no training and no selection sees."""

    def split(self, name: str) -> list[Path]:
        """One of the three by its name."""
        return {"train": self.train, "val": self.val, "test": self.test}[name]()

    def has(self, split: str) -> bool:  # noqa: ARG002
        """Whether photos of a split are configured, be they there or not."""
        return True

    def groups(self) -> list[Group]:
        """The training photos by where they come from."""
        photos = self.train()
        return [Group(photos, len(photos))]

    def low(self, hr: Path) -> Path | None:  # noqa: ARG002
        """The real low-resolution partner of a photo; None where it is to be degraded."""
        return None

    def audited(self, split: str, min_size: int, checks: "Checks") -> Audit:
        """The photos of a split that are usable.

        Args:
            split: "train", "val" or "test".
            min_size: shortest side that is usable, in pixels.
            checks: how files are audited.
        """
        return checks(self, self.split(split), min_size)

    def read(self, photo: Photo) -> Pixels:
        """Pixels of an audited photo.

        Raises:
            PhotoError: it is no longer what it was.
        """
        return read_unchanged(photo)


def list_photos(folder: Path, key: str) -> list[Path]:
    """Image files below a folder, sorted by name; links to folders are not followed.

    Args:
        folder: where to look.
        key: the config key that named it, for the error.

    Raises:
        FileNotFoundError: the folder is missing or holds no image.
    """
    if not folder.is_dir():
        msg = f"{key}={show(folder)}: no such folder"
        raise FileNotFoundError(msg)
    found = sorted(_walk(folder))
    if not found:
        msg = f"{key}={show(folder)}: no image in this folder (looked for {', '.join(SUFFIXES)})"
        raise FileNotFoundError(msg)
    return found


def _walk(folder: Path) -> Iterator[Path]:
    """Files that look like images by their name, of formats that are not read too."""

    def report(error: OSError) -> None:
        log.warning("left out: the folder %s: %s", show(Path(error.filename)), error.strerror)

    for directory, _, names in os.walk(folder, onerror=report):
        for name in names:
            if Path(name).suffix.lower() in LISTED and not name.startswith("."):
                yield Path(directory, name)


def hold_back(
    photos: Sequence[Path], count: int, key: str = "data.photos.holdout"
) -> tuple[list[Path], list[Path]]:
    """Split off `count` photos, chosen by a hash of their names.

    The choice does not depend on order or place; a photo that is added may take one's position.

    Args:
        photos: what to choose from.
        count: how many.
        key: the config key that says so, for the error.

    Raises:
        ValueError: nothing would be left to train on.
    """
    if not 0 <= count < len(photos):
        msg = (
            f"{key}={count}: cannot hold back {count} of {len(photos)} photos and "
            "train on the rest; expected a smaller number, or more photos"
        )
        raise ValueError(msg)
    by_hash = sorted(photos, key=lambda path: hashlib.sha256(os.fsencode(path.name)).digest())
    held = set(by_hash[:count])
    return [path for path in photos if path not in held], sorted(held)


class HeldBack(PhotoSets):
    """Sets of which validation and test may have folders of their own, or photos held back.

    Args:
        holdout: how many training photos to hold back for each set without a folder of its own.
    """

    # What to set where there is nothing to train on.
    train_key = "train_folder"

    def __init__(self, holdout: int) -> None:
        self.holdout = holdout

    def has(self, split: str) -> bool:
        """Whether a split has folders of its own, or photos are held back for it."""
        if split == "train" or self.has_own(split):
            return self.has_own(split)
        return self.holdout > 0 and self.has_own("train")

    @abstractmethod
    def has_own(self, split: str) -> bool:
        """Whether a split was given folders of its own, be they there or not."""

    @abstractmethod
    def own(self, split: str) -> list[Path] | None:
        """Photos of a split's own folders; None where it has none."""

    @cached_property
    def _divided(self) -> dict[str, list[Path]]:
        """The training folder's photos for each split; listed once."""
        train = self.own("train")
        if train is None:
            msg = f"{self.key}.{self.train_key} is not set: expected a folder of photos"
            raise ValueError(msg)
        divided = {}
        for split in ("val", "test"):
            if not self.has_own(split):
                train, divided[split] = hold_back(train, self.holdout, f"{self.key}.holdout")
        return {"train": train, **divided}

    def train(self) -> list[Path]:
        """The training folder less what is held back."""
        return self._divided["train"]

    def val(self) -> list[Path]:
        """The validation folder, or what is held back for it."""
        return self._own_or_held("val")

    def test(self) -> list[Path]:
        """The test folder, or what is held back for it."""
        return self._own_or_held("test")

    def _own_or_held(self, split: str) -> list[Path]:
        own = self.own(split)
        photos = self._divided[split] if own is None else own
        if not photos:
            msg = f"{self.key}.holdout=0 leaves no photos for {split}: give it a folder of its own"
            raise FileNotFoundError(msg)
        return photos


class FolderPhotos(HeldBack):
    """Photos in folders, searched recursively.

    Where validation or test has no folder of its own, photos of the training folder are held back
    for it: the three sets are always disjoint.

    Args:
        train_folder: photos to train on, a folder or several; None where only a test is run.
        val_folder: photos for validation, likewise; None holds some back.
        test_folder: photos for the test, likewise; None holds some back.
        holdout: how many photos to hold back for each; 0 holds none back.
    """

    def __init__(
        self,
        *,
        train_folder: Folders = None,
        val_folder: Folders = None,
        test_folder: Folders = None,
        holdout: int = 20,
    ) -> None:
        super().__init__(holdout)
        self.folders = {"train": train_folder, "val": val_folder, "test": test_folder}

    def has_own(self, split: str) -> bool:
        """Whether folders were named for a split."""
        return bool(self.folders[split])

    def own(self, split: str) -> list[Path] | None:
        """Photos of a split's own folders; None where it has none."""
        folders = self.folders[split]
        if not folders:
            return None
        several = [folders] if isinstance(folders, str) else folders
        key = f"{self.key}.{split}_folder"
        found = [list_photos(Path(folder).expanduser(), key) for folder in several]
        return [path for photos in found for path in photos]


class SamplePhotos(PhotoSets):
    """The photos inside the scikit-image package: a start without any download.

    Args:
        train_names: file names to train on.
        val_names: file names for validation.
        test_names: file names for the test.
    """

    def __init__(
        self, *, train_names: Sequence[str], val_names: Sequence[str], test_names: Sequence[str]
    ) -> None:
        self.train_names = list(train_names)
        self.val_names = list(val_names)
        self.test_names = list(test_names)

    @staticmethod
    def _paths(names: Sequence[str]) -> list[Path]:
        spec = importlib.util.find_spec("skimage")
        assert spec is not None
        assert spec.origin is not None
        folder = Path(spec.origin).parent / "data"
        missing = [name for name in names if not (folder / name).is_file()]
        if missing:
            msg = f"scikit-image's data folder {folder} lacks {', '.join(missing)}"
            raise FileNotFoundError(msg)
        return [folder / name for name in names]

    def train(self) -> list[Path]:
        """Paths of `train_names`."""
        return self._paths(self.train_names)

    def val(self) -> list[Path]:
        """Paths of `val_names`."""
        return self._paths(self.val_names)

    def test(self) -> list[Path]:
        """Paths of `test_names`."""
        return self._paths(self.test_names)
