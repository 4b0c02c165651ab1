"""Several sources of photos together, each with its share of the patches."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path

from srlit.data.sources import Group, PhotoSets


class MixedPhotos(PhotoSets):
    """Folders, pairs or other sources in one training: `weights={real: 1, synthetic: 3}`.

    Validation and test take all photos of the sources that have some, or of those named.

    Args:
        sources: name to source.
        weights: name to share of the training patches, in any unit; None: by number of photos.
        val: names of the sources that validate; None: all.
        test: names of the sources that are tested; None: all.

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
        self._val, self._test = (names or list(sources) for names in (val, test))
        for key, names in {
            "weights": weights or sources,
            "val": self._val,
            "test": self._test,
        }.items():
            if unknown := set(names) - set(sources):
                msg = f"data.photos.{key} names {sorted(unknown)}: expected {sorted(sources)}"
                raise ValueError(msg)
        if weights is not None and set(weights) != set(sources):
            msg = f"data.photos.weights lacks {sorted(set(sources) - set(weights))}"
            raise ValueError(msg)
        for name, weight in (weights or {}).items():
            if not 0 < weight < math.inf:
                msg = f"data.photos.weights.{name}={weight}: expected a number above 0"
                raise ValueError(msg)

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
        return self._all(self._val, lambda source: source.val())

    def test(self) -> list[Path]:
        """Photos of the sources that are tested."""
        return self._all(self._test, lambda source: source.test())

    def _all(self, names: list[str], photos: Callable[[PhotoSets], list[Path]]) -> list[Path]:
        return [path for name in names for path in photos(self.sources[name])]

    def low(self, hr: Path) -> Path | None:
        """The real partner that any of the sources knows."""
        return next((low for s in self.sources.values() if (low := s.low(hr)) is not None), None)
