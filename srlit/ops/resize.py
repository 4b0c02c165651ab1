"""Resizing as linear operators: MATLAB's antialiased bicubic, and decimation by an integer."""

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

DECIMATIONS = ("bilinear", "bicubic", "area")


def cubic(x: Float[Tensor, "*shape"], a: float) -> Float[Tensor, "*shape"]:
    """Keys' cubic convolution (1981, eq. 8); a = -0.5 in MATLAB, -0.75 in OpenCV and torch."""
    x = x.abs()
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
    return torch.where(x <= 1, near, torch.where(x < 2, far, torch.zeros_like(x)))


@lru_cache(maxsize=64)
def bicubic_matrix(
    source: int, target: int, scale: float, device: torch.device
) -> Float[Tensor, "target source"]:
    """Rows hold the weights of each output pixel, as in MATLAB's imresize with antialiasing.

    Shrinking stretches the kernel by 1 / scale; outside the image the border pixel is repeated.

    Args:
        source: pixels of the input axis.
        target: pixels of the output axis.
        scale: target / source as the user asked for it (MATLAB keeps it apart from the sizes).
        device: where the matrix is kept.
    """
    stretch = max(1.0, 1.0 / scale)
    centre = (torch.arange(target, dtype=torch.float64) + 0.5) / scale - 0.5
    reach = math.ceil(4 * stretch) + 2
    left = torch.floor(centre - 2 * stretch)
    position = left[:, None] + torch.arange(reach, dtype=torch.float64)
    weights = cubic((centre[:, None] - position) / stretch, a=-0.5)
    weights = weights / weights.sum(1, keepdim=True)
    inside = position.long().clamp(0, source - 1)
    matrix = torch.zeros(target, source, dtype=torch.float64).scatter_add_(1, inside, weights)
    return matrix.float().to(device)


def imresize(
    x: Float[Tensor, "n c h w"], scale: float, size: tuple[int, int] | None = None
) -> Float[Tensor, "n c oh ow"]:
    """MATLAB's imresize of 8-bit images, to the bit: bicubic with antialiasing.

    Like MATLAB it resizes the columns, rounds to 8 bits, resizes the rows and rounds again.

    Args:
        x: images in [0, 1]; values off the 8-bit grid are kept until the first rounding.
        scale: factor of both axes, 2 doubles the size.
        size: output size; ceil(scale * input) without it, as in MATLAB.

    Returns:
        Images in [0, 1], on the 8-bit grid.
    """
    h, w = x.shape[-2:]
    oh, ow = size or (math.ceil(scale * h), math.ceil(scale * w))
    rows = bicubic_matrix(h, oh, scale, x.device)
    columns = bicubic_matrix(w, ow, scale, x.device)
    return _round_half_up(_round_half_up(rows @ (x * 255)) @ columns.T) / 255


def _round_half_up(levels: Tensor) -> Tensor:
    """Whole levels in 0 to 255; unlike torch.round, ties go up."""
    return (levels + 0.5).floor_().clamp_(0, 255)


def bilinear(x: Float[Tensor, "n c h w"], scale: int) -> Float[Tensor, "n c oh ow"]:
    """Bilinear enlargement by an integer, pixel centres aligned."""
    return F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)


def decimation_taps(kind: str, scale: int) -> Float[Tensor, " scale4"]:
    """Taps that shrink by an integer without antialiasing, on a common window of 4 * scale pixels.

    The window of output i covers the input pixels from (i * scale - 3 * scale / 2), rounded down,
    on; interpolating kinds look at the point (i + 1/2) * scale - 1/2, `area` averages the cell.

    Args:
        kind: one of `DECIMATIONS`, as in OpenCV's and torch's modes of the same name.
        scale: how many input pixels make one output pixel, >= 1.
    """
    size = 4 * scale
    x = torch.arange(size) - decimation_pad(scale)[0] - (scale - 1) / 2
    if kind == "area":
        taps = (x.abs() < scale / 2).float()
    elif kind == "bilinear":
        taps = (1 - x.abs()).clamp(min=0)
    elif kind == "bicubic":
        taps = cubic(x, a=-0.75)
    else:
        msg = f"unknown decimation {kind!r}: expected one of {', '.join(DECIMATIONS)}"
        raise ValueError(msg)
    return taps / taps.sum()


@lru_cache(maxsize=64)
def decimation_table(
    kinds: tuple[str, ...], scale: int, device: torch.device
) -> Float[Tensor, "kinds scale4"]:
    """The taps of several kinds, a row each, on a device."""
    return torch.stack([decimation_taps(kind, scale) for kind in kinds]).to(device)


def decimation_pad(scale: int) -> tuple[int, int]:
    """Pixels to repeat before and after an axis, so that the windows of `decimation_taps` fit."""
    before = 3 * scale // 2
    return before, 3 * scale - before
