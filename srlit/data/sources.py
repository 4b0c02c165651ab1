"""Which photos are for training, which for validation, which for the test: three disjoint sets."""

import hashlib
import importlib.util
import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol, runtime_checkable

from srlit.data.photo import SUFFIXES


@runtime_checkable
class PhotoSets(Protocol):
    """Paths of the three sets."""

    def train(self) -> list[Path]:
        """Photos to learn from."""
        ...

    def val(self) -> list[Path]:
        """Photos that select checkpoints."""
        ...

    def test(self) -> list[Path]:
        """Photos that no training and no selection sees."""
        ...


def list_photos(folder: Path, key: str) -> list[Path]:
    """Image files below a folder, sorted by name; links to folders are not followed.

    Args:
        folder: where to look.
        key: the config key that named it, for the error.

    Raises:
        FileNotFoundError: the folder is missing or holds no image.
    """
    if not folder.is_dir():
        msg = f"{key}={folder}: no such folder"
        raise FileNotFoundError(msg)
    found = sorted(_walk(folder))
    if not found:
        msg = f"{key}={folder}: no image in this folder (looked for {', '.join(SUFFIXES)})"
        raise FileNotFoundError(msg)
    return found


def _walk(folder: Path) -> Iterator[Path]:
    for directory, _, names in os.walk(folder):
        for name in names:
            if Path(name).suffix.lower() in SUFFIXES and not name.startswith("."):
                yield Path(directory, name)


def hold_back(photos: Sequence[Path], count: int) -> tuple[list[Path], list[Path]]:
    """Split off `count` photos, chosen by a hash of their names.

    The choice does not depend on order or place; a photo that is added may take one's position.

    Raises:
        ValueError: nothing would be left to train on.
    """
    if not 0 < count < len(photos):
        msg = (
            f"data.photos.holdout={count}: cannot hold back {count} of {len(photos)} photos and "
            "train on the rest; expected a smaller number, or more photos"
        )
        raise ValueError(msg)
    by_hash = sorted(photos, key=lambda path: hashlib.sha256(path.name.encode()).digest())
    held = set(by_hash[:count])
    return [path for path in photos if path not in held], sorted(held)


class FolderPhotos:
    """Photos in folders, searched recursively.

    Where validation or test has no folder of its own, photos of the training folder are held back
    for it: the three sets are always disjoint.

    Args:
        train_folder: photos to train on; None where only a test is run.
        val_folder: photos for validation; None holds some back.
        test_folder: photos for the test; None holds some back.
        holdout: how many photos to hold back for each.
    """

    def __init__(
        self,
        *,
        train_folder: str | None = None,
        val_folder: str | None = None,
        test_folder: str | None = None,
        holdout: int = 20,
    ) -> None:
        self.train_folder = train_folder
        self.val_folder = val_folder
        self.test_folder = test_folder
        self.holdout = holdout

    @staticmethod
    def _list(folder: str | None, key: str) -> list[Path]:
        if folder is None:
            msg = f"data.photos.{key} is not set: expected a folder of photos"
            raise ValueError(msg)
        return list_photos(Path(folder).expanduser(), f"data.photos.{key}")

    @cached_property
    def _split(self) -> tuple[list[Path], list[Path], list[Path]]:
        """The training folder's photos for training, validation and test; listed once."""
        train = self._list(self.train_folder, "train_folder")
        val: list[Path] = []
        test: list[Path] = []
        if self.val_folder is None:
            train, val = hold_back(train, self.holdout)
        if self.test_folder is None:
            train, test = hold_back(train, self.holdout)
        return train, val, test

    def train(self) -> list[Path]:
        """The training folder less what is held back."""
        return self._split[0]

    def val(self) -> list[Path]:
        """The validation folder, or what is held back for it."""
        if self.val_folder is not None:
            return self._list(self.val_folder, "val_folder")
        return self._split[1]

    def test(self) -> list[Path]:
        """The test folder, or what is held back for it."""
        if self.test_folder is not None:
            return self._list(self.test_folder, "test_folder")
        return self._split[2]


class SamplePhotos:
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
