"""Several sources of photos together, each with its share of the patches."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from srlit.data.audit import Audit, Photo
from srlit.data.image_folder import Group, PhotoSets
from srlit.data.reader import Pixels

if TYPE_CHECKING:
    from srlit.data.splits import Checks


class MixedPhotos(PhotoSets):
    """Folders, pairs or other sources in one training: `weights={real: 1, synthetic: 3}`.

    Validation and test take all photos of the sources that have some, or of those named. The
    sources' errors name their keys here.

    Args:
        sources: name to source.
        weights: name to share of the training patches, in any unit; None: by number of photos.
        val: names of the sources that validate; None: all that have photos for it.
        test: names of the sources that are tested; None: all that have photos for it.

    Raises:
        ValueError: weights that are not positive, or names that are none of the sources.
    """

    def __init__(
        self,
        *,
        sources: Mapping[str, PhotoSets],
        weights: Mapping[str, float] | None = None,
        val: list[str] | None = None,
        test: list[str] | None = None,
    ) -> None:
        self.sources = dict(sources)
        self.weights = weights
        self._named = {"train": list(sources), "val": val or [], "test": test or []}
        for key, names in {"weights": list(weights or sources), **self._named}.items():
            if unknown := set(names) - set(sources):
                msg = f"data.photos.{key} names {sorted(unknown)}: expected {sorted(sources)}"
                raise ValueError(msg)
        for name, source in sources.items():
            if isinstance(source, MixedPhotos):
                msg = f"data.photos.sources.{name} is a mix: expected its sources in its place"
                raise ValueError(msg)  # noqa: TRY004 - a mistake in a configuration
            source.key = f"{self.key}.sources.{name}"
        if weights is not None and set(weights) != set(sources):
            msg = f"data.photos.weights lacks {sorted(set(sources) - set(weights))}"
            raise ValueError(msg)
        for name, weight in (weights or {}).items():
            if not 0 < weight < math.inf:
                msg = f"data.photos.weights.{name}={weight}: expected a number above 0"
                raise ValueError(msg)

    def has(self, split: str) -> bool:
        """Whether any source that is asked for a split has photos for it."""
        return any(source.has(split) for source in self._chosen(split).values())

    def groups(self) -> list[Group]:
        """The training photos of each source with its weight."""
        found = {name: source.train() for name, source in self.sources.items()}
        weights = self.weights or {name: len(photos) for name, photos in found.items()}
        return [Group(photos, weights[name]) for name, photos in found.items()]

    def train(self) -> list[Path]:
        """Photos of all sources."""
        return [path for group in self.groups() for path in group.photos]

    def val(self) -> list[Path]:
        """Photos of the sources that validate."""
        return self._all("val")

    def test(self) -> list[Path]:
        """Photos of the sources that are tested."""
        return self._all("test")

    def _all(self, split: str) -> list[Path]:
        return [path for source in self._asked(split).values() for path in source.split(split)]

    def _chosen(self, split: str) -> dict[str, PhotoSets]:
        """The sources named for a split, or all that have photos for it."""
        if names := self._named[split]:
            return {name: self.sources[name] for name in names}
        return {name: source for name, source in self.sources.items() if source.has(split)}

    def _asked(self, split: str) -> dict[str, PhotoSets]:
        """The same; FileNotFoundError where there are none."""
        chosen = self._chosen(split)
        if not chosen:
            msg = f"none of {self.key}.sources has photos for {split}: expected at least one"
            raise FileNotFoundError(msg)
        return chosen

    def audited(self, split: str, min_size: int, checks: "Checks") -> Audit:
        """The usable photos of a split, each source's by its own rules."""
        found = Audit([], [], {})
        for name, source in self._asked(split).items():
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

    def low(self, hr: Path) -> Path | None:
        """The real partner that any of the sources knows."""
        return next((low for s in self.sources.values() if (low := s.low(hr)) is not None), None)
