"""The photos that methods are judged by. Apart from the datamodule, as lightning takes seconds."""

from collections.abc import Mapping
from pathlib import Path

from srlit.data.audit import SHOWN, BadDataError, Photo
from srlit.data.datasets import EvaluationPhotos
from srlit.data.image_folder import PhotoSets
from srlit.data.photo import show
from srlit.data.reader import PhotoReader
from srlit.data.splits import Checks
from srlit.data.store import PackedStore


class EvaluationData:
    """Audited photos of a split, cropped and grouped.

    Args:
        photos: where the sets come from.
        scale: factor between LR and HR.
        eval_seed: of the evaluation's degradation; runs compare only with the same one.
        eval_crop: side of the centre crop to evaluate on, in HR pixels; None takes whole photos.
        eval_batch_size: most equally large photos in an evaluation batch.
        max_invalid_fraction: share of unusable photos from which on a set is refused.
        cache_dir: folder that remembers audits; None checks every photo at each start.
        store_dir: folder of the packed store; photos that it lacks are decoded. None: no store.

    Attributes:
        rejected: photos that cannot be used, each with the reason.

    Raises:
        ValueError: the scale does not divide the crop, or the batch is empty.
    """

    def __init__(
        self,
        *,
        photos: PhotoSets,
        scale: int,
        eval_seed: int = 0,
        eval_crop: int | None = None,
        eval_batch_size: int = 1,
        max_invalid_fraction: float = 0.05,
        cache_dir: str | None = None,
        store_dir: str | None = None,
    ) -> None:
        check_counts({"eval_batch_size": eval_batch_size})
        check_sizes({"eval_crop": eval_crop or scale}, scale)
        self.sets = photos
        self.scale = scale
        self.eval_seed = eval_seed
        self.eval_crop, self.eval_batch_size = eval_crop, eval_batch_size
        self.store = PackedStore(store_dir)
        self.checks = Checks(
            scale, max_invalid_fraction, Path(cache_dir).expanduser() if cache_dir else None
        )
        self.rejected: list[tuple[Path, str]] = []

    def evaluation_photos(self, split: str, min_size: int = 1) -> EvaluationPhotos:
        """Photos of the 'val' or 'test' set.

        Args:
            split: which set.
            min_size: shortest side that the metrics can measure, in pixels.

        Raises:
            ValueError: `split` is neither, or the crop is too small.
        """
        if split not in {"val", "test"}:
            msg = f"split={split!r}: expected 'val' or 'test'"
            raise ValueError(msg)
        return self._grouped(self._judged(split, min_size), self.eval_batch_size)

    def _judged(self, split: str, min_size: int) -> list[Photo]:
        """The usable photos of a split that is measured on.

        Raises:
            ValueError: the crop is smaller than the metrics can measure.
        """
        if self.eval_crop is not None and self.eval_crop < min_size:
            msg = f"data.eval_crop={self.eval_crop}: the metrics need at least {min_size} pixels"
            raise ValueError(msg)
        # Sizes are cut to multiples of the scale.
        return self._audited(split, min_size + self.scale - 1)

    def _audited(self, split: str, min_size: int) -> list[Photo]:
        """The usable photos of a split; BadDataError where the audit leaves none."""
        found = self.sets.audited(split, min_size, self.checks)
        self.rejected += found.rejected
        if not found.photos:
            shown = ", ".join(f"{show(path)}: {reason}" for path, reason in found.rejected[:SHOWN])
            msg = f"no usable photo for {split}: {shown}"
            raise BadDataError(msg)
        return found.photos

    def _grouped(self, photos: list[Photo], batch_size: int) -> EvaluationPhotos:
        return EvaluationPhotos(
            self._reader(photos),
            seed=self.eval_seed,
            scale=self.scale,
            crop=self.eval_crop,
            batch_size=batch_size,
        )

    def _reader(self, photos: list[Photo], cache_mb: float = 0) -> PhotoReader:
        return PhotoReader(photos, cache_mb=cache_mb, store=self.store, read=self.sets.read)


def check_counts(counts: Mapping[str, int]) -> None:
    """Raise ValueError where something of which one is needed is to be taken less than once."""
    for name, count in counts.items():
        if count < 1:
            msg = f"data.{name}={count}: expected at least 1"
            raise ValueError(msg)


def check_sizes(sizes: Mapping[str, int], scale: int) -> None:
    """Raise ValueError where a side in HR pixels has no whole counterpart in LR pixels."""
    for name, size in sizes.items():
        if size % scale:
            msg = f"data.{name}={size} is no multiple of scale={scale}: expected one"
            raise ValueError(msg)
