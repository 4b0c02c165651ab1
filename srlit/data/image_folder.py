"""Photos in folders, and those inside the scikit-image package."""

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from srlit.data.image_formats import SUFFIXES, UNSUPPORTED
from srlit.data.photo_file import printable
from srlit.data.photo_sets import HoldoutSets, PhotoSets
from srlit.types import Count, Fraction, NonNegativeInt

log = logging.getLogger(__name__)


@dataclass(kw_only=True, eq=False)
class FolderPhotos(HoldoutSets):
    """Photos in folders, searched recursively.

    Where validation or test has no folder of its own, photos of the training folder are held back
    for it: the three sets are always disjoint.

    Args:
        train_folder: photos to train on, a folder or several; None where only a test is run.
        val_folder: photos for validation, likewise; None holds some back.
        test_folder: photos for the test, likewise; None holds some back.
        holdout: how many photos to hold back for each: a whole number, or a fraction of them (at
            least 1, at most 20); 0 holds none back.
    """

    train_folder: str | Sequence[str] | None = None
    val_folder: str | Sequence[str] | None = None
    test_folder: str | Sequence[str] | None = None
    holdout: NonNegativeInt | Fraction = 0.1

    def has_own(self, split: str) -> bool:
        """Whether folders are configured for a split, whether or not they exist."""
        return bool(getattr(self, f"{split}_folder"))

    def own(self, split: str) -> list[Path]:
        """Photos in a split's own folders."""
        folders = getattr(self, f"{split}_folder") or []
        several = [folders] if isinstance(folders, str) else folders
        key = f"{self.key}.{split}_folder"
        return [path for f in several for path in list_photos(Path(f).expanduser(), key)]


@dataclass(kw_only=True, eq=False)
class SamplePhotos(PhotoSets):
    """The photos inside the scikit-image package: a start without any download.

    Args:
        train_names: file names to train on.
        val_names: file names for validation.
        test_names: file names for the test.
    """

    train_names: Sequence[str]
    val_names: Sequence[str]
    test_names: Sequence[str]

    def split(self, name: str) -> list[Path]:
        """Paths of a split's photos."""
        folder = Path(str(files("skimage"))) / "data"
        paths = [folder / file for file in getattr(self, f"{name}_names")]
        if missing := [path.name for path in paths if not path.is_file()]:
            msg = f"{self.key}.{name}_names: {', '.join(missing)}: not among the photos in {folder}"
            raise FileNotFoundError(msg)
        return paths


@dataclass(kw_only=True, eq=False)
class BenchmarkPhotos(PhotoSets):
    """A test set of the field: HR images that tables of papers are measured on, never trained on.

    Args:
        folder: has the images in `x2/HR` (or as the scale is), in `HR`, or holds them itself.
        count: how many the set has; another number is warned of.
        scale: of the evaluation.
    """

    folder: str
    count: Count
    scale: Count

    def has(self, split: str) -> bool:
        """Whether it is the test set."""
        return split == "test"

    def split(self, name: str) -> list[Path]:
        """The images of the test set.

        Raises:
            ValueError: they would be trained on or validated with.
            FileNotFoundError: they are not there.
        """
        if name != "test":
            expected = "expected another set, such as data=bsds400"
            raise ValueError(f"{self.key}.folder={self.folder} is for srlit.evaluate: {expected}")
        root = Path(self.folder).expanduser()
        places = [root / f"x{self.scale}" / "HR", root / "HR", root]
        try:
            found = list_photos(next(filter(Path.is_dir, places), root), f"{self.key}.folder")
        except FileNotFoundError as error:
            layout = f"put its {self.count} HR images there, or into {places[1]} or {places[0]}"
            raise FileNotFoundError(f"{error}; {layout}, or set paths.data") from error
        if len(found) != self.count:
            log.warning("%s: %d images, but the set has %d", root, len(found), self.count)
        return found


def list_photos(folder: Path, key: str) -> list[Path]:
    """Image files below a folder, sorted by name; links to folders are followed.

    Each real folder counts once, so that links in a circle end.

    Files of formats that are not read are listed too, so that the audit reports them.

    Args:
        folder: where to look.
        key: the config key that named it, for the error.

    Raises:
        FileNotFoundError: the folder is missing or holds no image.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{key}={printable(folder)}: no such folder")
    found = sorted(_walk(folder))
    if not found:
        suffixes = ", ".join(SUFFIXES)
        raise FileNotFoundError(f"{key}={printable(folder)}: no image in this folder ({suffixes})")
    return found


def _walk(folder: Path) -> Iterator[Path]:
    def warn(error: OSError) -> None:
        log.warning("left out: the folder %s: %s", printable(error.filename), error.strerror)

    seen: set[str] = set()
    for directory, below, names in os.walk(folder, onerror=warn, followlinks=True):
        if (real := os.path.realpath(directory)) in seen:
            below.clear()
            continue
        seen.add(real)
        for name in names:
            suffix = Path(name).suffix.lower()
            if (suffix in SUFFIXES or suffix in UNSUPPORTED) and not name.startswith("."):
                yield Path(directory, name)
