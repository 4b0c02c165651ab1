"""Real pairs: photos and their low-resolution partners, in two folders."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from srlit.data.audit import SHOWN, BadDataError
from srlit.data.image_folder import list_photos
from srlit.data.photo_file import printable
from srlit.data.photo_sets import HoldoutSets
from srlit.types import Count, Fraction, NonNegativeInt

NAME = "{name}"


@dataclass(kw_only=True, eq=False)
class PairFolders(HoldoutSets):
    """Pairs in a folder of HR and a folder of LR photos, matched by their names.

    `a/0801.png` belongs to `a/0801.png`, `a/0801x2.png`, `a/0801_LR.jpg` or `a/lq_0801.png` of the
    other folder; the number in such endings is the scale. Other names are told by `hr_name` and
    `lr_name`. Where validation or test has no folders of its own, pairs are held back for it.

    Args:
        train_hr: HR photos to train on; None where only a test is run.
        train_lr: their LR partners.
        val_hr: HR photos for validation; None holds some back.
        val_lr: their LR partners.
        test_hr: HR photos for the test; None holds some back.
        test_lr: their LR partners.
        holdout: how many pairs to hold back for each, as of `FolderPhotos`.
        scale: HR size / LR size, as it stands in names; None takes any number for it.
        hr_name: names of HR photos without suffix, such as "{name}_clean"; None recognises them.
        lr_name: names of LR photos, likewise.

    Raises:
        ValueError: such a template has not exactly one `{name}`.
    """

    train_key = "train_hr"

    train_hr: str | None = None
    train_lr: str | None = None
    val_hr: str | None = None
    val_lr: str | None = None
    test_hr: str | None = None
    test_lr: str | None = None
    holdout: NonNegativeInt | Fraction = 0.1
    scale: Count | None = None
    hr_name: str | None = None
    lr_name: str | None = None

    def __post_init__(self) -> None:
        self._lr_of: dict[Path, Path] = {}
        self._names: list[re.Pattern[str]] = []
        for key, template in {"hr_name": self.hr_name, "lr_name": self.lr_name}.items():
            if template is not None and template.count(NAME) != 1:
                raise ValueError(f"{self.key}.{key}={template}: expected one {NAME} in it")
            self._names.append(additions(self.scale) if template is None else around(template))

    def _folders(self, split: str) -> dict[str, str | None]:
        return {f"{split}_{half}": getattr(self, f"{split}_{half}") for half in ("hr", "lr")}

    def has_own(self, split: str) -> bool:
        """Whether folders are configured for a split, whether or not they exist."""
        return any(folder is not None for folder in self._folders(split).values())

    def own(self, split: str) -> list[Path]:
        """HR photos in a split's own folder; their partners are remembered.

        Raises:
            ValueError: only one of the two folders is configured.
        """
        for name, folder in self._folders(split).items():
            if folder is None:
                msg = f"{self.key}.{name} is not set: expected the folder of the other half"
                raise ValueError(f"{msg} of the pairs")
        hr, lr = (Path(folder or "").expanduser() for folder in self._folders(split).values())
        pairs = match(hr, lr, f"{self.key}.{split}", *self._names)
        self._lr_of |= pairs
        return list(pairs)

    def lr_of(self, hr: Path) -> Path | None:
        """The partner of a photo that was listed."""
        return self._lr_of.get(hr)


def match(
    hr_folder: Path,
    lr_folder: Path,
    key: str,
    hr_additions: re.Pattern[str],
    lr_additions: re.Pattern[str],
) -> dict[Path, Path]:
    """HR photos to their LR partners, by name.

    Args:
        hr_folder: HR photos.
        lr_folder: LR photos.
        key: beginning of the config keys, for errors.
        hr_additions: what the names of HR photos have more than those of the pairs.
        lr_additions: likewise.

    Raises:
        FileNotFoundError: a folder is missing or empty.
        BadDataError: a photo without partner, or with several; the first ones are named.
    """
    hr_names = _names(hr_folder, f"{key}_hr")
    lr_names = _names(lr_folder, f"{key}_lr")
    # Where both photos have the same name, an addition is part of it.
    same = set(hr_names.values()) & set(lr_names.values())

    def shortened(names: Iterable[Path], additions: re.Pattern[str]) -> list[str]:
        short = {name: name.with_name(additions.sub("", name.name) or name.name) for name in names}
        return [str(name if name in same else short[name]) for name in short]

    hr = shortened(hr_names.values(), hr_additions)
    lr = shortened(lr_names.values(), lr_additions)
    if twice := [name for names in (hr, lr) for name, n in Counter(names).items() if n > 1]:
        raise BadDataError(f"{key}_hr, {key}_lr: several files for one photo: {_first(twice)}")
    if single := sorted({*hr} ^ {*lr}):
        raise BadDataError(
            f"{key}_hr={hr_folder} and {key}_lr={lr_folder} do not match: {len(single)} photos "
            "without partner, expected equal names but for additions such as x2, _LR or lq_, or "
            f"templates in {key.rpartition('.')[0]}.hr_name and lr_name: {_first(single)}"
        )
    by_name = dict(zip(lr, lr_names, strict=True))
    return {path: by_name[name] for path, name in zip(hr_names, hr, strict=True)}


def additions(scale: int | None) -> re.Pattern[str]:
    """What data sets add to one of the two names: 0801x4, Canon_001_LR4, img_001_SRF_2_HR, lq_01.

    Beside a letter it takes a separator, so that `index0001` stays what it is.
    """
    number = r"\d{1,2}" if scale is None else str(scale)
    word = rf"((HR|LR|GT|HQ|LQ)({number})?|x{number})"
    ending = rf"(([_-]|(?<=\d)){word}+|_SRF_{number})+$"
    return re.compile(rf"^{word}[_-]|{ending}", re.IGNORECASE)


def around(template: str) -> re.Pattern[str]:
    """What a template has before and after `{name}`."""
    before, after = map(re.escape, template.split(NAME))
    return re.compile(rf"^{before}(?=.*{after}$)|(?<=.){after}$")


def _names(folder: Path, key: str) -> dict[Path, Path]:
    """Photos to their paths below the folder, without suffix."""
    return {p: p.relative_to(folder).with_name(p.stem) for p in list_photos(folder, key)}


def _first(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(printable, names[:SHOWN])) + more
