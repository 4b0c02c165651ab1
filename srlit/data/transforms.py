"""From photos on the device to what the network sees: augmented and degraded, by each one's key."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from srlit.data.augment import Augmentation
from srlit.degradation.pipeline import Degradation
from srlit.ops.compute_precision import float64_device
from srlit.ops.ragged_batch import Params
from srlit.ops.rng import RowGenerator
from srlit.types import Batch, Photos


def training_pair(photos: Photos, augmentation: Augmentation, degradation: Degradation) -> Batch:
    """Augment, then degrade; targets are sharpened where the degradation's preset says so.

    Both images of a real pair are augmented by the same draws, and not degraded.
    """
    hr = augmentation(photos.pixels, RowGenerator(photos.keys).child("augmentation"))
    if photos.lr is None:
        return _degrade(hr, photos.keys, degradation)
    lr = augmentation(photos.lr, RowGenerator(photos.keys).child("augmentation"))
    if photos.real is None:
        return Batch(lr, hr)
    # All are degraded and some are dropped: selecting would wait for the device.
    degraded = _degrade(hr, photos.keys, degradation)
    real = photos.real.view(-1, 1, 1, 1)
    return Batch(torch.where(real, lr, degraded.lr), torch.where(real, hr, degraded.hr))


def _degrade(
    hr: Float[Tensor, "n 3 h w"], keys: Int64[Tensor, " n"], degradation: Degradation
) -> Batch:
    hr = degradation.target(hr)
    return Batch(degradation(hr, keys), hr)


def evaluation_pair(photos: Photos, degradation: Degradation, draws: Params | None = None) -> Batch:
    """Degrade in float64, by recorded draws where they are given; a real pair stays as it is.

    In float32 the last bit, which differs between devices, would change a rounding before JPEG in
    some photos, and so the pixels of a block.
    """
    device = photos.pixels.device
    if photos.lr is not None:
        return Batch(photos.lr.float().div(255), photos.pixels.float().div(255))
    hr = photos.pixels.to(float64_device(device)).double().div_(255)
    drawn = degradation.sample(photos.keys) if draws is None else draws
    return Batch(degradation.apply(hr, drawn).to(device), hr.float().to(device))
