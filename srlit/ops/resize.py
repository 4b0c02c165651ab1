"""Resizing as linear operators: MATLAB's antialiased bicubic, and decimation by an integer."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from srlit.ops.ragged_batch import own_rows

Decimation = Literal["bilinear", "bicubic", "area"]
Interpolation = Literal[
    "nearest", "bilinear", "bicubic", "lanczos", "area",
    "bilinear_antialiased", "bicubic_antialiased", "lanczos_antialiased",
]  # fmt: skip
INTERPOLATIONS: tuple[Interpolation, ...] = get_args(Interpolation)


def cubic(x: Float[Tensor, "*shape"], a: float) -> Float[Tensor, "*shape"]:
    """Keys' cubic convolution (1981, eq. 8); a = -0.5 in MATLAB, -0.75 in OpenCV and torch."""
    x = x.abs()
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return torch.where(x <= 1, near, torch.where(x < 2, far, torch.zeros_like(x)))


@lru_cache(maxsize=64)
def bicubic_matrix(
    source: int, target: int, scale: float, device: torch.device, dtype: torch.dtype
) -> Float[Tensor, "target source"]:
    """Row i holds the weights of output pixel i, as in MATLAB's imresize with antialiasing.

    Shrinking stretches the kernel by 1 / scale; outside the image the border pixel is repeated.

    Args:
        source: pixels of the input axis.
        target: pixels of the output axis.
        scale: the factor that was asked for, which may differ from target / source.
        device: of the matrix.
        dtype: of the matrix; it is computed in float64.
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
    return matrix.to(dtype).to(device)


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
    rows = bicubic_matrix(h, oh, scale, x.device, x.dtype)
    columns = bicubic_matrix(w, ow, scale, x.device, x.dtype)
    return _round_half_up(_round_half_up(rows @ (x * 255)) @ columns.T) / 255


def shrink(x: Float[Tensor, "n c h w"], size: tuple[int, int]) -> Float[Tensor, "n c oh ow"]:
    """MATLAB's antialiased bicubic without rounding: linear, so gradients pass.

    Args:
        x: images.
        size: output height and width.
    """
    rows, columns = (
        bicubic_matrix(before, after, after / before, x.device, x.dtype)
        for before, after in zip(x.shape[-2:], size, strict=True)
    )
    return rows @ x @ columns.T


def _round_half_up(levels: Tensor) -> Tensor:
    """Whole levels in 0 to 255; unlike torch.round, ties go up."""
    return (levels + 0.5).floor_().clamp_(0, 255)


def bilinear(x: Float[Tensor, "n c h w"], scale: int) -> Float[Tensor, "n c oh ow"]:
    """Bilinear enlargement by an integer, pixel centres aligned."""
    return F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)


def interpolation_matrix(
    kind: Interpolation,
    source: Int64[Tensor, " n"],
    target: Int64[Tensor, " n"],
    shape: tuple[int, int],
) -> Float[Tensor, "n oh h"]:
    """Rows that interpolate an axis of `source` pixels at the centres of `target` new pixels.

    As in Pillow and torch, antialiasing stretches the kernel when shrinking, `bicubic` has a =
    -0.75 without and -0.5 with it, lanczos has 3 lobes, and `area` is the mean of the pixels that a
    new pixel touches. Taps outside the image are dropped and the others normalised (torch does so
    where it antialiases; its plain bicubic repeats the border pixel instead).

    Args:
        kind: one of `INTERPOLATIONS`.
        source: sizes before, one per sample.
        target: sizes after.
        shape: rows and columns of the matrices: at least the largest target and source.
    """
    source, target = source.view(-1, 1, 1), target.view(-1, 1, 1)
    out = torch.arange(shape[0], device=source.device)[:, None]
    position = torch.arange(shape[1], device=source.device)
    # Integer arithmetic: where a cell begins must not depend on rounding.
    if kind == "nearest":
        weights = (position == (2 * out + 1) * source // (2 * target)).double()
    elif kind == "area":
        begins, ends = out * source // target, ((out + 1) * source + target - 1) // target
        weights = ((position >= begins) & (position < ends)).double()
    else:
        step = source.double() / target
        x = position - ((out + 0.5) * step - 0.5)
        weights = _kernel(kind, x / step.clamp(min=1) if "antialiased" in kind else x)
    weights = weights * (position < source)
    return weights / weights.sum(2, keepdim=True).clamp(min=1e-9)


def _kernel(kind: Interpolation, x: Tensor) -> Tensor:
    """The interpolation kernel at distances of x pixels."""
    if kind.startswith("bilinear"):
        return (1 - x.abs()).clamp_(min=0)
    if kind.startswith("bicubic"):
        return cubic(x, a=-0.75 if kind == "bicubic" else -0.5)
    return torch.sinc(x) * torch.sinc(x / 3) * (x.abs() < 3)


def interpolate(
    x: Float[Tensor, "n c h w"],
    source: Int64[Tensor, "n 2"],
    target: Int64[Tensor, "n 2"],
    kind: Int64[Tensor, " n"],
    kinds: Sequence[Interpolation],
    largest: tuple[int, int],
) -> Float[Tensor, "n c oh ow"]:
    """Resize every sample by its own interpolation from its own size to its own size.

    On a CPU each sample at its own size; elsewhere on the padded batch, as reading the sizes would
    wait for the device.

    Args:
        x: images, each in the top left corner of the batch.
        source: height and width of every sample.
        target: its output size, at most `largest`.
        kind: index into `kinds`.
        kinds: of `INTERPOLATIONS`.
        largest: height and width of the output batch.
    """
    if x.is_cpu:
        result = x.new_zeros(*x.shape[:2], *largest)
        samples = zip(source.tolist(), target.tolist(), kind.tolist(), strict=True)
        for i, ((h, w), (oh, ow), own) in enumerate(samples):
            result[i, :, :oh, :ow] = _interpolate_one(x[i, :, :h, :w], (oh, ow), kinds[own])
        return result

    def own_matrices(axis: int) -> Float[Tensor, "n 1 o i"]:
        """Each sample's matrix of one axis; all kinds are computed."""
        sizes, shape = (source[:, axis], target[:, axis]), (largest[axis], x.shape[2 + axis])
        matrices = (interpolation_matrix(name, *sizes, shape) for name in kinds)
        return own_rows(kind, matrices).to(x.dtype)[:, None]

    return own_matrices(0) @ x @ own_matrices(1).transpose(2, 3)


def _interpolate_one(
    x: Float[Tensor, "c h w"], size: tuple[int, int], kind: Interpolation
) -> Float[Tensor, "c oh ow"]:
    """One image, first along the axis that leaves fewer pixels."""
    h, w = x.shape[1:]
    if (h, w) == size:
        return x
    rows, columns = (
        interpolation_matrix(kind, torch.tensor([before]), torch.tensor([after]), (after, before))
        for before, after in zip((h, w), size, strict=True)
    )
    rows, columns = rows[0].to(x.dtype), columns[0].to(x.dtype)
    return rows @ (x @ columns.T) if size[1] < w else (rows @ x) @ columns.T


def decimation_taps(kind: Decimation, scale: int) -> Float[Tensor, " scale4"]:
    """Taps that shrink by an integer without antialiasing, on a common window of 4 * scale pixels.

    The window of output i covers the input pixels from (i * scale - 3 * scale / 2), rounded down,
    on; the interpolating kinds sample at (i + 1/2) * scale - 1/2, `area` averages the cell.

    Args:
        kind: as OpenCV's and torch's modes of the same name.
        scale: how many input pixels make one output pixel, >= 1.
    """
    x = torch.arange(4 * scale) - decimation_pad(scale)[0] - (scale - 1) / 2
    taps = (x.abs() < scale / 2).float() if kind == "area" else _kernel(kind, x)
    return taps / taps.sum()


@lru_cache(maxsize=64)
def decimation_table(
    kinds: tuple[Decimation, ...], scale: int, device: torch.device
) -> Float[Tensor, "kinds scale4"]:
    """The taps of several kinds, one row each."""
    return torch.stack([decimation_taps(kind, scale) for kind in kinds]).to(device)


def decimation_pad(scale: int) -> tuple[int, int]:
    """Pixels to repeat before and after an axis, so that the windows of `decimation_taps` fit."""
    before = 3 * scale // 2
    return before, 3 * scale - before
