"""From photos on the device to what the network sees: augment and degrade, each by its own key."""

from srlit.data.augment import Augmentation
from srlit.degradation import Degradation
from srlit.ops.rng import RowGenerator
from srlit.types import Batch, Photos


def training_pair(photos: Photos, augmentation: Augmentation, degradation: Degradation) -> Batch:
    """Augment, then degrade."""
    hr = augmentation(photos.pixels, RowGenerator(photos.keys).child("augmentation"))
    return Batch(degradation(hr, photos.keys), hr)


def evaluation_pair(photos: Photos, degradation: Degradation) -> Batch:
    """Degrade."""
    hr = photos.pixels.float().div_(255)
    return Batch(degradation(hr, photos.keys), hr)
