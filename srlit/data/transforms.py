"""From photos on the device to what the network sees: augmented and degraded, by each one's key.

Augmentation is flips and quarter turns, and small changes of colour.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from srlit.degradation.pipeline import Degradation
from srlit.ops.compute_precision import float64_device
from srlit.ops.ragged_batch import Params
from srlit.ops.rng import RowGenerator
from srlit.types import Batch, Fraction, Images, Photos


def dihedral(pixels: UInt8[Tensor, "n 3 p p"], rows: RowGenerator) -> UInt8[Tensor, "n 3 p p"]:
    """One of the eight flips and quarter turns per sample, all equally likely."""

    def coin() -> Tensor:
        return rows.bernoulli(0.5).view(-1, 1, 1, 1)

    pixels = torch.where(coin(), pixels.flip(-1), pixels)
    pixels = torch.where(coin(), pixels.flip(-2), pixels)
    return torch.where(coin(), pixels.transpose(-1, -2), pixels)


@dataclass(kw_only=True, eq=False)
class Augmentation:
    """What may be done to a target before it is degraded.

    Args:
        geometry: flips and quarter turns.
        brightness: maximum shift of all channels, in units of [0, 1] images.
        contrast: maximum relative change of contrast; 0.1 draws factors of 0.9 to 1.1.
        saturation: maximum relative change of saturation.
        hue: maximum turn of hue, as a fraction of the colour circle.
    """

    geometry: bool = True
    brightness: Fraction = 0.0
    contrast: Fraction = 0.0
    saturation: Fraction = 0.0
    hue: Fraction = 0.0

    def __call__(
        self, pixels: UInt8[Tensor, "n 3 p p"], rows: RowGenerator
    ) -> Float[Tensor, "n 3 p p"]:
        """uint8 patches to augmented images in [0, 1]."""
        if self.geometry:
            pixels = dihedral(pixels, rows.child("geometry"))
        hr = pixels.float().div_(255)
        if self.brightness or self.contrast or self.saturation or self.hue:
            hr = self._recolour(hr, rows.child("colour"))
        return hr

    def _recolour(self, hr: Float[Tensor, "n 3 h w"], rows: RowGenerator) -> Tensor:
        """Kornia's adjustments, each sample by its own amounts, in experiment A's order."""
        from kornia import enhance  # takes seconds, and few runs need it

        around_one = [rows.uniform(1 - x, 1 + x) for x in (self.contrast, self.saturation)]
        hr = enhance.adjust_brightness(hr, rows.uniform(-self.brightness, self.brightness))
        hr = enhance.adjust_contrast_with_mean_subtraction(hr, around_one[0])
        hr = enhance.adjust_saturation_with_gray_subtraction(hr, around_one[1])
        turn = rows.uniform(-self.hue, self.hue) * 2 * math.pi
        return enhance.adjust_hue(hr, turn).clamp(0, 1)


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


def _degrade(hr: Images, keys: Int64[Tensor, " n"], degradation: Degradation) -> Batch:
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
