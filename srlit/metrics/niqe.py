"""NIQE: the distance of an image's statistics from those of pristine photos.

Source: A. Mittal, R. Soundararajan, A. C. Bovik, "Making a 'completely blind' image quality
analyzer" (2013). The mean and covariance of pristine photos are the authors' own
(`niqe_pristine.txt`); no maintained package ships them (pyiqa downloads them, piq, torchmetrics
and kornia have no NIQE).
"""

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from srlit.metrics.planes import plane
from srlit.metrics.registry import Measure, Metric, Target, named
from srlit.ops.filters import centred_positions, separable_filter
from srlit.ops.resize import shrink
from srlit.types import NonNegativeInt

BLOCK = 96
# Two blocks along each axis: a covariance needs more than one.
MIN_SIDE = 2 * BLOCK
WINDOW, SIGMA = 7, 7 / 6
# Offsets of the neighbours to multiply with: horizontal, vertical and the two diagonals.
SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))

Samples = Float[Tensor, "n blocks pixels"]
PerBlock = Float[Tensor, "n blocks"]


def niqe(y: Float[Tensor, "n 1 h w"]) -> Float[Tensor, " n"]:
    """Distance to pristine photos (eq. 10), at least 0; natural photos have about 2 to 5.

    Blocks of 96x96 pixels start at the top left corner; incomplete ones at the right and the bottom
    are ignored. As in the authors' code, luma is rounded to whole levels first, and the second
    scale is downscaled to half the size by an antialiased bicubic.

    Args:
        y: luma in [0, 1], float64.

    Returns:
        A value per image; NaN if fewer than two blocks have any texture.

    Raises:
        ValueError: an image smaller than two by two blocks.
    """
    h, w = y.shape[-2:]
    if min(h, w) < MIN_SIDE:
        raise ValueError(
            f"niqe: got {h}x{w} pixels, expected at least {MIN_SIDE}x{MIN_SIDE} without the "
            "border: raise data.eval_crop or take niqe out of metrics.names"
        )
    h, w = h // BLOCK * BLOCK, w // BLOCK * BLOCK
    levels = (y[..., :h, :w] * 255).round()
    halved = shrink(levels, (h // 2, w // 2))
    scales = block_features(levels, BLOCK), block_features(halved, BLOCK // 2)
    return distance_to_pristine(torch.cat(scales, 2))


def block_features(levels: Float[Tensor, "n 1 h w"], side: int) -> Float[Tensor, "n blocks 18"]:
    """The 18 statistics of every block of one scale."""
    normalised = normalised_luminance(levels)
    n, _, h, w = normalised.shape
    split = normalised.view(n, h // side, side, w // side, side).transpose(2, 3)
    blocks = split.reshape(n, -1, side, side)
    shape, left, right = asymmetric_gaussian(blocks.flatten(2))
    features = [shape, (left + right) / 2]
    for shift in SHIFTS:
        product = blocks * blocks.roll(shift, (2, 3))
        shape, left, right = asymmetric_gaussian(product.flatten(2))
        features += [shape, (right - left) * gamma(2 / shape) / gamma(1 / shape), left, right]
    return torch.stack(features, 2)


def normalised_luminance(levels: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n 1 h w"]:
    """Levels minus their local mean, divided by their local deviation (eq. 1 to 3)."""
    taps = torch.exp(-0.5 * (centred_positions(WINDOW, levels).to(levels.dtype) / SIGMA) ** 2)
    taps = (taps / taps.sum()).expand(len(levels), -1)
    pad = WINDOW // 2, WINDOW // 2
    mean = separable_filter(levels, taps, pad=pad)
    variance = separable_filter(levels.square(), taps, pad=pad) - mean.square()
    return (levels - mean) / (variance.abs().sqrt() + 1)


def asymmetric_gaussian(x: Samples) -> tuple[PerBlock, PerBlock, PerBlock]:
    """Shape, left and right scale of a generalised Gaussian (eq. 7), fitted by its moments.

    Source of the fit: N.-E. Lasmar et al., "Multiscale skewed heavy tailed model for texture
    analysis" (2009).
    """
    below, above = one_sided_deviation(x, x < 0), one_sided_deviation(x, x > 0)
    ratio = below / above
    peakedness = x.abs().mean(2).square() / x.square().mean(2)
    moment = peakedness * (ratio**3 + 1) * (ratio + 1) / (ratio.square() + 1).square()
    shapes, moments = moments_of_shapes(x.device)
    shape = shapes[(moments - moment[..., None]).square().argmin(2)]
    scale = (gamma(1 / shape) / gamma(3 / shape)).sqrt()
    return shape, below * scale, above * scale


def one_sided_deviation(x: Samples, side: Tensor) -> PerBlock:
    """Root mean square of the samples on one side; NaN if there is none."""
    return ((x.square() * side).sum(2) / side.sum(2)).sqrt()


def gamma(x: Tensor) -> Tensor:
    """The gamma function of positive numbers."""
    return torch.lgamma(x).exp()


@lru_cache(maxsize=8)
def moments_of_shapes(device: torch.device) -> tuple[Tensor, Tensor]:
    """Shapes 0.2, 0.201 ... 10, and the ratio of moments (E |x|)^2 / E x^2 that each has."""
    shapes = torch.arange(200, 10001, dtype=torch.float64, device=device) / 1000
    return shapes, gamma(2 / shapes).square() / (gamma(1 / shapes) * gamma(3 / shapes))


def distance_to_pristine(features: Float[Tensor, "n blocks 36"]) -> Float[Tensor, " n"]:
    """Distance of the Gaussian of an image's blocks from that of pristine photos (eq. 10)."""
    mean, covariance = pristine(features.device)
    complete = ~features.isnan().any(2, keepdim=True)
    own_mean = features.where(complete, torch.nan).nanmean(1, keepdim=True)
    centred = (features - own_mean).where(complete, 0)
    own = centred.transpose(1, 2) @ centred / (complete.sum((1, 2)) - 1)[:, None, None]
    difference = mean - features.nanmean(1, keepdim=True)
    # An image without two complete blocks has no covariance; its NaN must not stop the others.
    measured = own.isfinite().all((1, 2)) & difference.isfinite().all((1, 2))
    pooled = torch.where(measured[:, None, None], (covariance + own) / 2, covariance)
    inverse = torch.linalg.pinv(pooled, rtol=1e-15)
    squared = (difference @ inverse @ difference.transpose(1, 2))[:, 0, 0]
    return torch.where(measured, squared.sqrt(), torch.nan)


@lru_cache(maxsize=8)
def pristine(device: torch.device) -> tuple[Tensor, Tensor]:
    """Mean (36,) and covariance (36, 36) of the features of 125 pristine photos."""
    with np.load(Path(__file__).with_name("niqe_pristine.npz"), allow_pickle=False) as file:
        mean, covariance = (torch.from_numpy(file[name]) for name in ("mean", "covariance"))
    return mean.to(device), covariance.to(device)


@named("niqe_y_b<border>")
class NIQE(Metric):
    """NIQE of the restored image alone, from 0.

    Args:
        border: pixels to ignore on each side.
    """

    needs = ()
    ideal = None

    def __init__(self, *, border: NonNegativeInt) -> None:
        self.border = border
        self.min_size = MIN_SIDE + 2 * border

    def against(self, target: Target) -> Measure:  # noqa: ARG002 - no target is needed
        """As in `Metric`."""
        return lambda sr: niqe(plane(sr, "y", self.border))
