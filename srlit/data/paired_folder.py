"""Real pairs: photos and their low-resolution partners, in two folders."""

import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from srlit.data.audit import BadDataError
from srlit.data.image_folder import HeldBack, list_photos
from srlit.data.photo import show

SHOWN = 10


class PairFolders(HeldBack):
    """Pairs in folders of HR and of LR photos, matched by their names.

    `a/0801.png` belongs to `a/0801.png`, `a/0801x2.png` or `a/0801_LR.jpg` of the other folder.
    Where validation or test has no folders of its own, pairs are held back for it.
    Numbers in such endings are the scale.

    Args:
        train_hr: HR photos to train on; None where only a test is run.
        train_lr: their LR partners.
        val_hr: HR photos for validation; None holds some back.
        val_lr: their LR partners.
        test_hr: HR photos for the test; None holds some back.
        test_lr: their LR partners.
        holdout: how many pairs to hold back for each; 0 holds none back.
        scale: HR size / LR size, as it stands in names; None takes any number for it.
    """

    train_key = "train_hr"

    def __init__(
        self,
        *,
        train_hr: str | None = None,
        train_lr: str | None = None,
        val_hr: str | None = None,
        val_lr: str | None = None,
        test_hr: str | None = None,
        test_lr: str | None = None,
        holdout: int = 20,
        scale: int | None = None,
    ) -> None:
        super().__init__(holdout)
        self.scale = scale
        self.folders = {
            "train": (train_hr, train_lr),
            "val": (val_hr, val_lr),
            "test": (test_hr, test_lr),
        }
        self._low: dict[Path, Path] = {}

    def has_own(self, split: str) -> bool:
        """Whether folders were named for a split."""
        return any(folder is not None for folder in self.folders[split])

    def own(self, split: str) -> list[Path] | None:
        """HR photos of a split's own folders, None where it has none; partners are remembered."""
        hr, lr = self.folders[split]
        if hr is None and lr is None:
            return None
        if hr is None or lr is None:
            missing = f"{self.key}.{split}_{'hr' if hr is None else 'lr'}"
            msg = f"{missing} is not set: expected the folder of the other half of the pairs"
            raise ValueError(msg)
        folders = Path(hr).expanduser(), Path(lr).expanduser()
        pairs = match(*folders, key=f"{self.key}.{split}", scale=self.scale)
        self._low |= pairs
        return list(pairs)

    def low(self, hr: Path) -> Path | None:
        """The partner of a photo that was listed."""
        return self._low.get(hr)


def match(hr_folder: Path, lr_folder: Path, key: str, scale: int | None = None) -> dict[Path, Path]:
    """HR photos to their LR partners, by name.

    Args:
        hr_folder: HR photos.
        lr_folder: LR photos.
        key: beginning of the config keys, for errors.
        scale: as of `PairFolders`.

    Raises:
        FileNotFoundError: a folder is missing or empty.
        BadDataError: a photo without partner, or with several; the first ones are named.
    """
    highs = list_photos(hr_folder, f"{key}_hr")
    lows = list_photos(lr_folder, f"{key}_lr")
    name_of = namer(highs, lows, (hr_folder, lr_folder), ending(scale))
    by_name = {name_of(path): path for path in lows}
    names = [name_of(path) for path in highs]
    twice = repeated(names) + repeated([name_of(path) for path in lows])
    if twice:
        msg = f"{key}_hr, {key}_lr: several files stand for one photo: {listed(twice)}"
        raise BadDataError(msg)
    alone = sorted({*names} ^ {*by_name})
    if alone:
        msg = (
            f"{key}_hr={hr_folder} and {key}_lr={lr_folder} do not match: {len(alone)} photos "
            f"without partner, expected equal names but for endings such as x{scale or 2} or _LR: "
            f"{listed(alone)}"
        )
        raise BadDataError(msg)
    return {path: by_name[name] for path, name in zip(highs, names, strict=True)}


def ending(scale: int | None) -> re.Pattern[str]:
    """What sets of pairs add to one of the two names: 0801x4, Canon_001_LR4, img_001_SRF_2_HR.

    After a letter it takes a separator, so that `index0001` stays what it is.
    """
    number = r"\d{1,2}" if scale is None else str(scale)
    return re.compile(
        rf"(([_-]|(?<=\d))((HR|LR)({number})?|x{number})+|_SRF_{number})+$", re.IGNORECASE
    )


def namer(
    highs: Sequence[Path],
    lows: Sequence[Path],
    folders: tuple[Path, Path],
    marks: re.Pattern[str],
) -> Callable[[Path], str]:
    """What both photos of a pair are called: the path below its folder, without marks.

    Where both have the same name, marks are part of it.
    """

    def bare(path: Path, folder: Path) -> Path:
        below = path.relative_to(folder)
        return below.with_name(below.stem)

    known = {path: bare(path, folders[0]) for path in highs}
    known |= {path: bare(path, folders[1]) for path in lows}
    same = {known[path] for path in highs} & {known[path] for path in lows}

    def name_of(path: Path) -> str:
        name = known[path]
        return str(name if name in same else name.with_name(marks.sub("", name.name) or name.name))

    return name_of


def repeated(names: Sequence[str]) -> list[str]:
    """Names that occur more than once."""
    return [name for name, count in Counter(names).items() if count > 1]


def listed(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    shown = ", ".join(show(Path(os.fspath(name))) for name in names[:SHOWN])
    return shown + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
