"""Datasets whose every item is a pure function of the seed and a number.

`PatchBatches[iteration]` is the whole training batch of that iteration. So a sampler is a `range`,
any number of workers gives the same batches, and a resumed run needs one integer. Samples are
numbered through all ranks: two ranks with half a batch each see what one rank with a batch sees.
"""

import logging
from collections.abc import Sequence
from functools import lru_cache

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from srlit.data.index import Photo
from srlit.data.photo import PhotoError, read_photo
from srlit.ops.rng import RowGenerator, make_keys, uniform_field
from srlit.types import Photos

log = logging.getLogger(__name__)

# Below the seed, each kind of draw has a path of its own.
ORDER, CROP, SAMPLE, EVALUATION = range(4)
TRIES = 3


class PhotoReader:
    """Decodes photos and keeps what fits into memory.

    Args:
        photos: the photos, by index.
        cache_mb: how much decoded pixels each process keeps, in MiB.
    """

    def __init__(self, photos: Sequence[Photo], *, cache_mb: float) -> None:
        self.photos = list(photos)
        self._budget = int(cache_mb * 2**20)
        self._kept: dict[int, UInt8[Tensor, "3 h w"]] = {}

    def __getitem__(self, index: int) -> UInt8[Tensor, "3 h w"]:
        """Pixels of photo `index`, upright RGB."""
        if index in self._kept:
            return self._kept[index]
        pixels = read_photo(self.photos[index].path)
        if pixels.nbytes <= self._budget:
            self._budget -= pixels.nbytes
            self._kept[index] = pixels
        return pixels


@lru_cache(maxsize=4)
def epoch_order(seed: int, epoch: int, count: int) -> Int64[Tensor, " count"]:
    """The order in which an epoch visits its photos."""
    keys = make_keys(seed, (ORDER,), torch.tensor([epoch]))
    return uniform_field(keys, (count,))[0].argsort(stable=True)


class PatchBatches(Dataset[Photos]):
    """Random square crops, a batch an item; one crop a photo and epoch.

    Args:
        photos: what to crop from; sides of at least `patch_size`.
        seed: the run's seed.
        patch_size: side of a crop, in HR pixels.
        batch_size: crops a batch and rank.
        cache_mb: decoded pixels kept in memory by each worker, in MiB.
        rank: this process.
        world_size: number of processes.
    """

    def __init__(
        self,
        photos: Sequence[Photo],
        *,
        seed: int,
        patch_size: int,
        batch_size: int,
        cache_mb: float,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.reader = PhotoReader(photos, cache_mb=cache_mb)
        self.seed = seed
        self.patch_size = patch_size
        self.batch_size = batch_size
        self.rank, self.world_size = rank, world_size

    def __getitem__(self, iteration: int) -> Photos:
        """The batch of an iteration, counted from 0."""
        first = (iteration * self.world_size + self.rank) * self.batch_size
        samples = torch.arange(first, first + self.batch_size)
        rows = RowGenerator(make_keys(self.seed, (CROP,), samples))
        corners = torch.stack([rows.uniform(), rows.uniform()], 1).tolist()
        patches = [
            self._crop(sample, *corner)
            for sample, corner in zip(samples.tolist(), corners, strict=True)
        ]
        return Photos(torch.stack(patches), make_keys(self.seed, (SAMPLE,), samples))

    def _crop(self, sample: int, vertical: float, horizontal: float) -> UInt8[Tensor, "3 p p"]:
        """A crop of the sample's photo, or of the next one that still decodes."""
        count = len(self.reader.photos)
        epoch, position = divmod(sample, count)
        order = epoch_order(self.seed, epoch, count)
        failures = []
        for step in range(TRIES):
            try:
                pixels = self.reader[int(order[(position + step) % count])]
            except PhotoError as error:
                log.warning("took another photo, as this one changed: %s", error)
                failures.append(str(error))
                continue
            top = int(vertical * (pixels.shape[1] - self.patch_size + 1))
            left = int(horizontal * (pixels.shape[2] - self.patch_size + 1))
            return pixels[:, top : top + self.patch_size, left : left + self.patch_size]
        msg = f"{TRIES} photos in a row no longer decode: {'; '.join(failures)}"
        raise PhotoError(msg)


class EvaluationPhotos(Dataset[Photos]):
    """Whole photos or centre crops, grouped into batches of one size.

    Args:
        photos: the photos, whose index keys their degradation.
        seed: the evaluation's seed.
        scale: sizes are cut to multiples of it.
        crop: side of the centre crop in HR pixels; None keeps the whole photo.
        batch_size: most photos of one size in a batch.
    """

    def __init__(
        self, photos: Sequence[Photo], *, seed: int, scale: int, crop: int | None, batch_size: int
    ) -> None:
        self.photos = list(photos)
        self.seed = seed
        self.scale = scale
        self.crop = crop
        self.groups = self._group(batch_size)

    def _target_size(self, photo: Photo) -> tuple[int, int]:
        """Height and width after cropping."""
        limit = self.crop or max(photo.width, photo.height)
        height, width = min(photo.height, limit), min(photo.width, limit)
        return height - height % self.scale, width - width % self.scale

    def _group(self, batch_size: int) -> list[list[int]]:
        """Neighbouring photos of equal size, at most `batch_size` together."""
        groups: list[list[int]] = []
        previous = None
        for index, photo in enumerate(self.photos):
            size = self._target_size(photo)
            if size == previous and len(groups[-1]) < batch_size:
                groups[-1].append(index)
            else:
                groups.append([index])
            previous = size
        return groups

    def __len__(self) -> int:
        """Number of batches."""
        return len(self.groups)

    def __getitem__(self, group: int) -> Photos:
        """A batch of equally large photos."""
        indices = self.groups[group]
        pixels = torch.stack([self._pixels(self.photos[index]) for index in indices])
        return Photos(pixels, make_keys(self.seed, (EVALUATION,), torch.tensor(indices)))

    def _pixels(self, photo: Photo) -> UInt8[Tensor, "3 h w"]:
        pixels = read_photo(photo.path)
        height, width = self._target_size(photo)
        top, left = (pixels.shape[1] - height) // 2, (pixels.shape[2] - width) // 2
        return pixels[:, top : top + height, left : left + width]
