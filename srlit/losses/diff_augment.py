"""Differentiable augmentation of everything that a discriminator sees.

Draws come from PyTorch's generator of the device, which a phase seeds from (seed, iteration, rank).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from srlit.losses.schedules import Weight, value_at
from srlit.types import Images


@runtime_checkable
class DiscriminatorAugment(Protocol):
    """A differentiable change of images."""

    def __call__(self, images: Images, iteration: int) -> Images:
        """The images as the discriminator sees them."""
        ...


@dataclass(kw_only=True, eq=False)
class InstanceNoise:
    """Gaussian noise on real and restored images (Arjovsky and Bottou 2017, section 3.1).

    Args:
        sigma: standard deviation in [0, 1] image units, a number or a schedule, >= 0.
    """

    sigma: Weight

    def __call__(self, images: Images, iteration: int) -> Images:
        """Images + sigma * noise."""
        sigma = value_at(self.sigma, iteration)
        return images + sigma * torch.randn_like(images) if sigma else images


def brightness(images: Images) -> Images:
    """Add a number in +-0.5 to each image."""
    return images + _uniform(images) - 0.5


def saturation(images: Images) -> Images:
    """Scale each image's difference from its grey version by 0 to 2."""
    grey = images.mean(dim=1, keepdim=True)
    return grey + (images - grey) * 2 * _uniform(images)


def contrast(images: Images) -> Images:
    """Scale each image's difference from its mean by 0.5 to 1.5."""
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return mean + (images - mean) * (0.5 + _uniform(images))


def translation(images: Images, fraction: float = 0.125) -> Images:
    """Shift each image by whole pixels, at most by this fraction of a side, and fill with zeros."""
    n, _, h, w = images.shape
    device = images.device
    rows, inside_rows = _shifted(n, h, fraction, device)
    columns, inside_columns = _shifted(n, w, fraction, device)
    each = torch.arange(n, device=device)[:, None, None]
    picked = images.permute(0, 2, 3, 1)[each, rows[:, :, None], columns[:, None, :]]
    inside = inside_rows[:, :, None, None] & inside_columns[:, None, :, None]
    return (picked * inside).permute(0, 3, 1, 2)


def cutout(images: Images, fraction: float = 0.5) -> Images:
    """Blacken a square of each image, whose side is this fraction of the image's.

    The square may lie partly outside.
    """
    n, _, h, w = images.shape
    rows, columns = (_covered(n, side, fraction, images.device) for side in (h, w))
    return images * ~(rows[:, None, :, None] & columns[:, None, None, :])


Step = Literal["color", "translation", "cutout"]
POLICIES = {
    "color": (brightness, saturation, contrast),
    "translation": (translation,),
    "cutout": (cutout,),
}


class DiffAugment:
    """DiffAugment (Zhao et al. 2020, section 4).

    Args:
        policy: steps in order, with the paper's names.
    """

    def __init__(self, *, policy: Sequence[Step] = ("color", "translation", "cutout")) -> None:
        self.steps = [step for name in policy for step in POLICIES[name]]

    def __call__(self, images: Images, iteration: int) -> Images:  # noqa: ARG002
        """Every step, with its own draw for each image."""
        for step in self.steps:
            images = step(images)
        return images.contiguous(memory_format=torch.channels_last)


def _uniform(images: Images) -> Float[Tensor, "n 1 1 1"]:
    """A uniform number in 0 to 1 for each image."""
    return torch.rand(len(images), 1, 1, 1, device=images.device)


def _pixels(fraction: float, side: int) -> int:
    """A fraction of a side in whole pixels, halves rounded up."""
    return math.floor(fraction * side + 0.5)


def _shifted(n: int, side: int, fraction: float, device: torch.device) -> tuple[Tensor, Tensor]:
    """Source positions of shifted rows or columns, clamped, and whether they lie inside."""
    maximum = _pixels(fraction, side)
    shifts = torch.randint(-maximum, maximum + 1, (n, 1), device=device)
    positions = torch.arange(side, device=device) - shifts
    return positions.clamp(0, side - 1), (positions >= 0) & (positions < side)


def _covered(n: int, side: int, fraction: float, device: torch.device) -> Tensor:
    """Which rows (or columns) of each image a square covers, (n, side)."""
    size = _pixels(fraction, side)
    centre = torch.randint(0, side + 1 - size % 2, (n, 1), device=device)
    offset = torch.arange(side, device=device) - centre + size // 2
    return (offset >= 0) & (offset < size)
