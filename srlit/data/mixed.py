"""Several sources of photos together, each with a weight."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from srlit.data.audit import Audit, Checks, Photo
from srlit.data.photo_sets import Group, PhotoSets
from srlit.data.reader import Pixels
from srlit.types import Positive


@dataclass(kw_only=True, eq=False)
class MixedPhotos(PhotoSets):
    """Folders, pairs or other sources in one training: `weights={real: 1, synthetic: 3}`.

    Validation and test take all photos of the sources that have some, or of those named. The
    sources' errors name their keys here.

    Args:
        sources: name to source.
        weights: name to relative number of training patches; None: by number of photos.
        val: names of the sources that validate; None: all that have photos for it.
        test: names of the sources that are tested; None: all that have photos for it.

    Raises:
        ValueError: names that are none of the sources, or a source that is a mix.
    """

    sources: Mapping[str, PhotoSets]
    weights: Mapping[str, Positive] | None = None
    val: Sequence[str] | None = None
    test: Sequence[str] | None = None

    def __post_init__(self) -> None:
        known = sorted(self.sources)
        named = {"val": self.val or (), "test": self.test or (), "weights": self.weights or known}
        for key, names in named.items():
            if set(names) - set(known) or (key == "weights" and set(names) != set(known)):
                raise ValueError(f"{self.key}.{key} names {sorted(names)}: expected {known}")
        for name, source in self.sources.items():
            if isinstance(source, MixedPhotos):
                msg = f"{self.key}.sources.{name} is a mix: expected its sources in its place"
                raise ValueError(msg)  # noqa: TRY004 - a mistake in a configuration
            source.key = f"{self.key}.sources.{name}"

    def has(self, split: str) -> bool:
        """Whether any source that is asked for a split has photos for it."""
        return any(source.has(split) for source in self._asked(split).values())

    def groups(self) -> list[Group]:
        """The training photos of each source with its weight."""
        found = {name: source.split("train") for name, source in self.sources.items()}
        weights = self.weights or {name: len(photos) for name, photos in found.items()}
        return [Group(photos, weights[name]) for name, photos in found.items()]

    def split(self, name: str) -> list[Path]:
        """Photos of all sources that are asked for a split."""
        return [path for source in self._not_empty(name).values() for path in source.split(name)]

    def _asked(self, split: str) -> dict[str, PhotoSets]:
        """The sources named for a split, or all that have photos for it."""
        if names := {"train": list(self.sources), "val": self.val, "test": self.test}[split]:
            return {name: self.sources[name] for name in names}
        return {name: source for name, source in self.sources.items() if source.has(split)}

    def _not_empty(self, split: str) -> dict[str, PhotoSets]:
        """As `_asked`; FileNotFoundError where there are none."""
        if asked := self._asked(split):
            return asked
        raise FileNotFoundError(f"none of {self.key}.sources has photos for {split}: expected one")

    def audited(self, split: str, min_size: int, checks: Checks) -> Audit:
        """The usable photos of a split, each source's by its own rules."""
        found = Audit([], [], {})
        for name, source in self._not_empty(split).items():
            photos, rejected, notes = source.audited(split, min_size, checks)
            group = list(self.sources).index(name)
            found.photos.extend(photo.of_group(group) for photo in photos)
            found.rejected.extend(rejected)
            for note, paths in notes.items():
                found.notes.setdefault(note, []).extend(paths)
        return found

    def read(self, photo: Photo) -> Pixels:
        """Pixels of an audited photo, or of its partner, from the source that has it."""
        return list(self.sources.values())[photo.group].read(photo)

    def lr_of(self, hr: Path) -> Path | None:
        """The real partner that any of the sources knows."""
        return next((lr for s in self.sources.values() if (lr := s.lr_of(hr)) is not None), None)
