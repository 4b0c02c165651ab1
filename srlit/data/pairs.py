"""From photos on the device to what the network sees: augment and degrade, each by its own key."""

from srlit.data.augment import Augmentation
from srlit.degradation import Degradation
from srlit.ops.canvas import Params
from srlit.ops.precision import float64_device
from srlit.ops.rng import RowGenerator
from srlit.types import Batch, Photos


def training_pair(photos: Photos, augmentation: Augmentation, degradation: Degradation) -> Batch:
    """Augment, sharpen where the preset does, then degrade."""
    hr = augmentation(photos.pixels, RowGenerator(photos.keys).child("augmentation"))
    hr = degradation.target(hr)
    return Batch(degradation(hr, photos.keys), hr)


def evaluation_pair(photos: Photos, degradation: Degradation, draws: Params | None = None) -> Batch:
    """Degrade in float64, by recorded draws where they are given.

    In float32 a last bit that differs between devices would turn a rounding before JPEG in some
    photos, and so the pixels of a block.
    """
    device = photos.pixels.device
    hr = photos.pixels.to(float64_device(device)).double().div_(255)
    drawn = degradation.sample(photos.keys) if draws is None else draws
    return Batch(degradation.apply(hr, drawn).to(device), hr.float().to(device))
