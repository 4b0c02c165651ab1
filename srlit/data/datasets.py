"""Datasets whose every item is a pure function of the seed and a number.

`PatchBatches[iteration]` is the whole training batch of that iteration. So a sampler is a `range`,
any number of workers gives the same batches, and a resumed run needs one integer. Samples are
numbered through all ranks: two ranks with half a batch each see what one rank with a batch sees.
"""

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

import torch
from jaxtyping import Int64
from torch import Tensor
from torch.utils.data import Dataset

from srlit.data.audit import Photo
from srlit.data.photo_file import PhotoError, TemporaryPhotoError
from srlit.data.reader import PhotoReader
from srlit.data.sampler import CROP, EVALUATION, SAMPLE, PhotoOrder
from srlit.ops.rng import RowGenerator, make_keys
from srlit.types import Photos

log = logging.getLogger(__name__)

TRIES = 3
WAITS = (0.1, 1.0, 5.0)  # seconds
# Batches whose numbers are drawn together: hashing a thousand rows costs what hashing ten does.
BATCHES_PER_DRAW = 64
# HR pixels of an evaluation batch: larger batches need more memory and are no faster.
MAX_AREA = 2**21


Crop = tuple[Tensor, Tensor | None]  # of a photo, and of its LR partner if any


class Draws(NamedTuple):
    """The random numbers of some samples.

    Attributes:
        samples: their numbers.
        corners: where to crop, vertically and horizontally, in [0, 1) of the possible positions.
        keys: of all later draws.
    """

    samples: list[int]
    corners: list[list[float]]
    keys: Int64[Tensor, " n"]


@lru_cache(maxsize=4)
def _draw_block(seed: int, block: int, batch_size: int, rank: int, world_size: int) -> list[Draws]:
    """The draws of a rank in each of `BATCHES_PER_DRAW` iterations."""
    iterations = torch.arange(BATCHES_PER_DRAW) + block * BATCHES_PER_DRAW
    first = (iterations * world_size + rank) * batch_size
    samples = (first[:, None] + torch.arange(batch_size)).flatten()
    rows = RowGenerator(make_keys(seed, (CROP,), samples))
    corners = torch.stack([rows.uniform(), rows.uniform()], 1)
    keys = make_keys(seed, (SAMPLE,), samples)
    drawn = zip(*(part.split(batch_size) for part in (samples, corners, keys)), strict=True)
    return [Draws(numbers.tolist(), places.tolist(), keys) for numbers, places, keys in drawn]


@dataclass(eq=False, repr=False)
class PatchBatches(Dataset[Photos]):
    """Random square crops, one batch per item.

    Args:
        reader: gives the photos' pixels; sides of at least `patch_size`.
        order: which photo a sample visits.
        seed: the run's seed.
        patch_size: side of a crop, in HR pixels, a multiple of the scale.
        batch_size: crops per batch and rank.
        scale: HR size / LR size of real pairs.
        rank: this process.
        world_size: number of processes.
    """

    reader: PhotoReader
    order: PhotoOrder
    _: KW_ONLY
    seed: int
    patch_size: int
    batch_size: int
    scale: int = 1
    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        real = [photo.lr is not None for photo in self.reader.photos]
        self.some_real, self.all_real = any(real), all(real)

    def __getitem__(self, iteration: int) -> Photos:
        """The batch of an iteration, counted from 0."""
        samples, corners, keys = self._draw(iteration)
        pairs = [self._patch(*drawn) for drawn in zip(samples, corners, strict=True)]
        pixels = torch.stack([hr for hr, _ in pairs])
        if not self.some_real:
            return Photos(pixels, keys)
        blank = pixels.new_zeros(3, *[self.patch_size // self.scale] * 2)
        lr = torch.stack([blank if lr is None else lr for _, lr in pairs])
        real = None if self.all_real else torch.tensor([lr is not None for _, lr in pairs])
        return Photos(pixels, keys, lr, real)

    def photos_of(self, iteration: int) -> list[int]:
        """Indices of the photos in an iteration's batch."""
        return [self.order.photo(sample) for sample in self._draw(iteration).samples]

    def _draw(self, iteration: int) -> Draws:
        block, position = divmod(iteration, BATCHES_PER_DRAW)
        return _draw_block(self.seed, block, self.batch_size, self.rank, self.world_size)[position]

    def _patch(self, sample: int, corner: Sequence[float]) -> Crop:
        """Patches of the sample's photo, or of the next one whose file has not changed."""
        failures = []
        for step in range(TRIES):
            try:
                return self._crop_with_retries(self.order.photo(sample, step), corner)
            except TemporaryPhotoError:
                raise
            except PhotoError as error:
                log.warning("took another photo, as this one changed: %s", error)
                failures.append(str(error))
        raise PhotoError(f"the data set changed, {TRIES} photos in a row: {'; '.join(failures)}")

    def _crop_with_retries(self, index: int, corner: Sequence[float]) -> Crop:
        """Wait where a file cannot be read for the moment: another photo would change the run."""
        for wait in WAITS:
            try:
                return self._crop(index, corner)
            except TemporaryPhotoError as error:
                log.warning("trying again in %g s: %s", wait, error)
                time.sleep(wait)
        return self._crop(index, corner)

    def _crop(self, index: int, corner: Sequence[float]) -> Crop:
        """The patch at this corner, given in [0, 1) of the possible positions."""
        unit = unit_of(self.reader.photos[index], self.scale)
        side = self.patch_size // unit
        height, width = area_of(self.reader.photos[index], unit)
        top, left = int(corner[0] * (height - side + 1)), int(corner[1] * (width - side + 1))
        return crop_pair(self.reader, index, (top, left, side, side), unit)


@dataclass(eq=False, repr=False)
class EvaluationPhotos(Dataset[Photos]):
    """Whole photos or centre crops, grouped into batches of one size.

    Args:
        reader: gives the photos' pixels; a photo's index keys its degradation.
        seed: the evaluation's seed.
        scale: sizes are cropped to multiples of it.
        crop: side of the centre crop in HR pixels; None keeps the whole photo but what the scale
            leaves over at the right and the bottom, as the tables of papers do (`modcrop`).
        batch_size: maximum of photos per batch; fewer where they are large, see `MAX_AREA`.
    """

    reader: PhotoReader
    _: KW_ONLY
    seed: int
    scale: int
    crop: int | None
    batch_size: int

    def __post_init__(self) -> None:
        self.photos = self.reader.photos
        self.groups: list[list[int]] = []  # neighbouring photos of one size and kind
        kinds = [(self._target_size(photo), photo.lr is None) for photo in self.photos]
        for (size, _), run in groupby(range(len(kinds)), key=kinds.__getitem__):
            alike = list(run)
            count = max(min(self.batch_size, MAX_AREA // math.prod(size)), 1)
            self.groups += [alike[i : i + count] for i in range(0, len(alike), count)]

    def first(self, count: int, *, crop: int | None) -> "EvaluationPhotos":
        """The first photos, one per batch and with another crop; they keep their keys."""
        found = replace(self, crop=crop, batch_size=1)
        del found.groups[count:]
        return found

    def _target_size(self, photo: Photo) -> tuple[int, int]:
        """Height and width after cropping, in HR pixels."""
        limit = self.crop or max(photo.width, photo.height)
        height, width = (min(side * self.scale, limit) for side in area_of(photo, self.scale))
        return height - height % self.scale, width - width % self.scale

    def __len__(self) -> int:
        """Number of batches."""
        return len(self.groups)

    def __getitem__(self, group: int) -> Photos:
        """A batch of photos of one size; raises as `read`."""
        return self.read(self.groups[group])

    def read(self, indices: Sequence[int]) -> Photos:
        """Photos of one size and kind as a batch.

        Raises:
            PhotoError: a file changed since the audit, or cannot be read.
        """
        keys = make_keys(self.seed, (EVALUATION,), torch.tensor(list(indices)))
        hr, lr = zip(*(self._centre(index) for index in indices), strict=True)
        return Photos(torch.stack(hr), keys, None if lr[0] is None else torch.stack(lr))

    def _centre(self, index: int) -> Crop:
        photo = self.photos[index]
        unit = unit_of(photo, self.scale)
        height, width = (side // unit for side in self._target_size(photo))
        rows, columns = area_of(photo, unit)
        if self.crop is None:  # what the scale leaves over is cut at the right and the bottom
            return crop_pair(self.reader, index, (0, 0, height, width), unit)
        box = (rows - height) // 2, (columns - width) // 2, height, width
        return crop_pair(self.reader, index, box, unit)


def unit_of(photo: Photo, scale: int) -> int:
    """HR pixels per unit of crops: crops of a real pair begin and end on LR pixels."""
    return 1 if photo.lr is None else scale


def area_of(photo: Photo, unit: int) -> tuple[int, int]:
    """Height and width in units; of a pair, what both of its images show."""
    height, width = photo.height // unit, photo.width // unit
    if photo.lr is None:
        return height, width
    return min(height, photo.lr.height), min(width, photo.lr.width)


def crop_pair(reader: PhotoReader, index: int, box: tuple[int, int, int, int], unit: int) -> Crop:
    """A crop of a photo, (top, left, height, width) in units, and of its LR partner if any."""
    top, left, height, width = (unit * number for number in box)
    hr = reader[index][:, top : top + height, left : left + width]
    if reader.photos[index].lr is None:
        return hr, None
    top, left, height, width = box
    return hr, reader.lr(index)[:, top : top + height, left : left + width]
