"""What a discriminator is shown instead of the bare images, so that it does not win too early.

Draws come from PyTorch's generator of the device, which a phase seeds from (seed, iteration, rank).
"""

import math
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from srlit.losses.schedules import Weight, check_weight, value_at
from srlit.types import Images


@runtime_checkable
class DiscriminatorAugment(Protocol):
    """A differentiable change of images."""

    def __call__(self, images: Images, iteration: int) -> Images:
        """The images as the discriminator sees them."""
        ...


class InstanceNoise:
    """Gaussian noise on real and restored images (Arjovsky and Bottou 2017, section 3.1).

    Args:
        sigma: standard deviation in [0, 1] image units, a number or a schedule, >= 0.

    Raises:
        ValueError: a sigma that is negative or no number.
    """

    def __init__(self, *, sigma: Weight) -> None:
        check_weight("phase.d_augment: sigma", sigma)
        self.sigma = sigma

    def __call__(self, images: Images, iteration: int) -> Images:
        """Images + sigma * noise."""
        sigma = value_at(self.sigma, iteration)
        return images + sigma * torch.randn_like(images) if sigma else images


class Brightness:
    """Adds a number within +-0.5 to each image (DiffAugment, Zhao et al. 2020, section 4)."""

    def __call__(self, images: Images, iteration: int) -> Images:  # noqa: ARG002
        """A shift for each image."""
        return images + _each(images) - 0.5


class Saturation:
    """Multiplies each image's distance to its gray by 0 to 2 (the same)."""

    def __call__(self, images: Images, iteration: int) -> Images:  # noqa: ARG002
        """A factor for each image."""
        gray = images.mean(dim=1, keepdim=True)
        return gray + (images - gray) * 2 * _each(images)


class Contrast:
    """Multiplies each image's distance to its mean by 0.5 to 1.5 (the same)."""

    def __call__(self, images: Images, iteration: int) -> Images:  # noqa: ARG002
        """A factor for each image."""
        mean = images.mean(dim=(1, 2, 3), keepdim=True)
        return mean + (images - mean) * (0.5 + _each(images))


class Translation:
    """Shifts each image by whole pixels and fills with zeros (the same).

    Args:
        share: the largest shift as a share of the side, within 0 to 1.
    """

    def __init__(self, *, share: float = 0.125) -> None:
        self.share = share

    def __call__(self, images: Images, iteration: int) -> Images:  # noqa: ARG002
        """A shift in both directions for each image."""
        n, _, h, w = images.shape
        down, right = (self._shifts(n, side, images.device) for side in (h, w))
        rows = torch.arange(h, device=images.device) - down
        columns = torch.arange(w, device=images.device) - right
        inside = _within(rows, h)[:, None, :, None] & _within(columns, w)[:, None, None, :]
        picked = images.permute(0, 2, 3, 1)[
            torch.arange(n, device=images.device)[:, None, None],
            rows.clamp(0, h - 1)[:, :, None],
            columns.clamp(0, w - 1)[:, None, :],
        ]
        return picked.permute(0, 3, 1, 2) * inside

    def _shifts(self, n: int, side: int, device: torch.device) -> Tensor:
        most = _pixels(self.share, side)
        return torch.randint(-most, most + 1, (n, 1), device=device)


class Cutout:
    """Blackens a square of each image (the same).

    Args:
        share: its side as a share of the image's, within 0 to 1.
    """

    def __init__(self, *, share: float = 0.5) -> None:
        self.share = share

    def __call__(self, images: Images, iteration: int) -> Images:  # noqa: ARG002
        """A place for each image; the square may lie partly outside."""
        n, _, h, w = images.shape
        covered = [
            self._covered(n, side, images.device)[(slice(None), None, *place)]
            for side, place in ((h, (slice(None), None)), (w, (None, slice(None))))
        ]
        return images * ~(covered[0] & covered[1])

    def _covered(self, n: int, side: int, device: torch.device) -> Tensor:
        """Which rows (or columns) of each image the square covers, (n, side)."""
        size = _pixels(self.share, side)
        centre = torch.randint(0, side + 1 - size % 2, (n, 1), device=device)
        return _within(torch.arange(side, device=device) - centre + size // 2, size)


POLICIES: dict[str, tuple[type, ...]] = {
    "color": (Brightness, Saturation, Contrast),
    "translation": (Translation,),
    "cutout": (Cutout,),
}


class DiffAugment:
    """Differentiable augmentation of all that a discriminator sees (Zhao et al. 2020).

    Args:
        policy: names among 'color', 'translation', 'cutout', as in the paper.

    Raises:
        ValueError: an unknown name.
    """

    def __init__(self, *, policy: Sequence[str] = ("color", "translation", "cutout")) -> None:
        unknown = sorted(set(policy) - set(POLICIES))
        if unknown:
            msg = (
                f"phase.d_augment: DiffAugment has no policy {', '.join(map(repr, unknown))}; "
                f"it has {', '.join(POLICIES)}"
            )
            raise ValueError(msg)
        self.steps: list[DiscriminatorAugment] = [
            make() for name in policy for make in POLICIES[name]
        ]

    def __call__(self, images: Images, iteration: int) -> Images:
        """One after the other."""
        for step in self.steps:
            images = step(images, iteration)
        return images.contiguous(memory_format=torch.channels_last)


def _each(images: Images) -> Float[Tensor, "n 1 1 1"]:
    """A uniform number within 0 to 1 for each image."""
    return torch.rand(len(images), 1, 1, 1, device=images.device)


def _pixels(share: float, side: int) -> int:
    """A share of a side in whole pixels, halves rounded up."""
    return math.floor(share * side + 0.5)


def _within(positions: Tensor, side: int) -> Tensor:
    return (positions >= 0) & (positions < side)
