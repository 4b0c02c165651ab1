"""The photos that methods are measured on, and what a training takes besides them.

Lightning, which takes seconds to import, is left to `srlit.data.datamodule`.
"""

from dataclasses import dataclass
from pathlib import Path

from srlit.data.audit import SHOWN, BadDataError, Checks, Photo
from srlit.data.datasets import EvaluationPhotos
from srlit.data.photo_file import printable
from srlit.data.photo_sets import PhotoSets
from srlit.data.reader import PhotoReader
from srlit.data.store import PackedStore
from srlit.data.transforms import Augmentation
from srlit.degradation.pipeline import Degradation
from srlit.types import Count, Fraction, NonNegative, NonNegativeInt, Positive


@dataclass(kw_only=True, eq=False, repr=False)
class EvaluationData:
    """Audited photos of a split, cropped and grouped.

    Args:
        photos: where the sets come from.
        scale: factor between LR and HR.
        eval_seed: of the evaluation's degradation; runs compare only with the same one.
        eval_crop: side of the centre crop to evaluate on, in HR pixels; None takes whole photos.
        eval_batch_size: maximum of photos per evaluation batch.
        max_invalid_fraction: a set with more unusable photos is refused.
        cache_dir: folder that remembers audits; None checks every photo at each start.
        store_dir: folder of the packed store; photos that it lacks are decoded. None: no store.

    Attributes:
        rejected: photos that cannot be used, each with the reason.

    Raises:
        ValueError: the scale does not divide the crop.
    """

    photos: PhotoSets
    scale: Count
    eval_seed: int = 0
    eval_crop: Count | None = None
    eval_batch_size: Count = 1
    max_invalid_fraction: Fraction = 0.05
    cache_dir: str | None = None
    store_dir: str | None = None

    def __post_init__(self) -> None:
        check_multiple("data.eval_crop", self.eval_crop, self.scale)
        self.store = PackedStore(self.store_dir)
        cache = Path(self.cache_dir).expanduser() if self.cache_dir else None
        self.checks = Checks(self.scale, self.max_invalid_fraction, cache)
        self.rejected: list[tuple[Path, str]] = []

    def evaluation_photos(self, split: str, min_size: int = 1) -> EvaluationPhotos:
        """Photos of the 'val' or 'test' set.

        Args:
            split: which set.
            min_size: shortest side that the metrics can measure, in pixels.

        Raises:
            ValueError: `split` is neither, or the crop is too small.
        """
        return self._grouped(self._measurable(split, min_size), self.eval_batch_size)

    def _measurable(self, split: str, min_size: int) -> list[Photo]:
        """The usable photos of a split that the metrics can measure.

        Raises:
            ValueError: the crop is smaller than the metrics can measure.
        """
        if self.eval_crop is not None and self.eval_crop < min_size:
            raise ValueError(f"data.eval_crop={self.eval_crop}: the metrics need {min_size}")
        # Sizes are cropped to multiples of the scale.
        return self._audited(split, min_size + self.scale - 1)

    def _audited(self, split: str, min_size: int) -> list[Photo]:
        """The usable photos of a split; BadDataError where the audit leaves none."""
        found = self.photos.audited(split, min_size, self.checks)
        self.rejected += found.rejected
        if not found.photos:
            first = [f"{printable(path)}: {reason}" for path, reason in found.rejected[:SHOWN]]
            raise BadDataError(f"no usable photo for {split}: {', '.join(first)}")
        return found.photos

    def _grouped(self, photos: list[Photo], batch_size: int) -> EvaluationPhotos:
        sizes = {"scale": self.scale, "batch_size": batch_size}
        reader = self._reader(photos)
        return EvaluationPhotos(reader, seed=self.eval_seed, crop=self.eval_crop, **sizes)

    def _reader(self, photos: list[Photo], cache_mb: float = 0) -> PhotoReader:
        return PhotoReader(photos, cache_mb=cache_mb, store=self.store, read=self.photos.read)


@dataclass(kw_only=True, eq=False, repr=False)
class TrainingData(EvaluationData):
    """Photos of all splits, and how batches are made of them.

    Args:
        degradation: of training pairs.
        eval_degradation: of validation and test pairs.
        augmentation: of training patches, before the degradation.
        seed: of crops, order, augmentation and training degradation.
        patch_size: side of a training patch in HR pixels, a multiple of the scale.
        batch_size: patches per batch and process.
        iterations: how many batches a training takes.
        workers: worker processes; None chooses by the cores, and none where all is packed.
        worker_timeout_s: seconds without a batch after which a worker ends the training.
        cache_mb: decoded pixels that each worker keeps in memory, in MiB.
        crops_per_photo: patches taken each time a photo is visited; more than one saves decoding
            where photos are not packed, and makes the patches of a batch more alike.

    Raises:
        ValueError: the scale does not divide the patch.
    """

    degradation: Degradation
    eval_degradation: Degradation
    augmentation: Augmentation
    seed: int
    patch_size: Count
    batch_size: Count
    iterations: NonNegativeInt
    workers: NonNegativeInt | None = None
    worker_timeout_s: Positive = 300.0
    cache_mb: NonNegative = 512
    crops_per_photo: Count = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_multiple("data.patch_size", self.patch_size, self.scale)


def check_multiple(key: str, size: int | None, scale: int) -> None:
    """Raise ValueError where a size in HR pixels is not a multiple of the scale."""
    if size is not None and size % scale:
        raise ValueError(f"{key}={size}: expected a multiple of scale={scale}")
