"""Augmentation on the device: flips and quarter turns, and small changes of colour."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from srlit.ops.rng import RowGenerator
from srlit.types import Fraction


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
