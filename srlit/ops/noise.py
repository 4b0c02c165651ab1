"""Noise as quantiles of 16 random bits per pixel, so that it can be replayed from a key.

Both quantile functions are tables, computed once in float64: faster on a CPU than a
formula, and the same on every device, where the last bits of `erfinv` differ.
"""

import math
from functools import lru_cache

import torch
from jaxtyping import Float, Int32, UInt8
from torch import Tensor

NORMAL_STEPS = 1 << 16

# Poisson counts of rates below MAX_TABLED_RATE come from a table over (sqrt(rate), quantile).
ROWS_PER_ROOT = 16
ROW_BITS, COLUMN_BITS = 7, 12
MAX_TABLED_RATE = ((2**ROW_BITS - 1) / ROWS_PER_ROOT) ** 2
MAX_COUNT = 128
OFFSETS = 64


@lru_cache(maxsize=8)
def normal_table(device: torch.device) -> Float[Tensor, " 65536"]:
    """Standard normal quantiles at the middles of 65536 equal steps, scaled to unit variance."""
    u = (torch.arange(NORMAL_STEPS, dtype=torch.float64) + 0.5) / NORMAL_STEPS
    z = (2 * u - 1).erfinv() * math.sqrt(2)
    return (z / z.square().mean().sqrt()).float().to(device)


def normal_noise(bits: Int32[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Standard normal numbers from 16 random bits each, within +-4.3."""
    return normal_table(bits.device).index_select(0, bits.flatten()).view(bits.shape)


@lru_cache(maxsize=8)
def poisson_table(device: torch.device) -> UInt8[Tensor, " 524288"]:
    """Poisson quantiles: rows at rates (j / 16)^2, 4096 columns at equal steps of probability.

    `_tabled` spreads a rate over two neighbouring rows, which adds a 256th of its variance and
    1 / (6 * 256) to its mean; the rows' rates are lowered by the latter.
    """
    columns = 1 << COLUMN_BITS
    roots = torch.arange(1 << ROW_BITS, dtype=torch.float64) / ROWS_PER_ROOT
    rates = (roots**2 - 1 / (6 * ROWS_PER_ROOT**2)).clamp(min=0)
    k = torch.arange(MAX_COUNT, dtype=torch.float64)
    below = torch.special.gammaincc(k + 1, rates[:, None])  # P(K <= k)
    below[rates == 0] = 1.0
    # Column j stands for the probability (j + offset) / 4096. Each row takes the offset with which
    # its mean comes closest to its rate: the middle would miss it by up to 0.01.
    offsets = (torch.arange(OFFSETS, dtype=torch.float64) + 0.5) / OFFSETS
    ends = (below[..., None] * columns - offsets).ceil()  # columns whose count is at most k
    means = (1 - ends / columns).sum(1)
    best = (means - rates[:, None]).abs().argmin(1)
    ends = ends.gather(2, best.view(-1, 1, 1).expand(-1, MAX_COUNT, 1))[..., 0]
    column = torch.arange(columns, dtype=torch.float64).expand(len(rates), -1).contiguous()
    counts = torch.searchsorted(ends.contiguous(), column, right=True)
    return counts.to(torch.uint8).flatten().to(device)


def poisson_noise(
    rate: Float[Tensor, "*shape"], bits: Int32[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Poisson counts, elementwise, one from 16 random bits.

    From a table of quantiles; from `MAX_TABLED_RATE` on by the Cornish-Fisher expansion of
    M. Giles, "Algorithm 955: approximation of the inverse Poisson cumulative distribution
    function" (ACM TOMS 2016, eq. 5).

    Args:
        rate: expected counts, >= 0.
        bits: from `pixel_field`.
    """
    tabled = _tabled(rate, bits).to(rate.dtype)
    if rate.is_cpu and rate.numel() and rate.max() < MAX_TABLED_RATE:
        return tabled
    return torch.where(
        rate < MAX_TABLED_RATE, tabled, _expanded(rate, normal_noise(bits).to(rate.dtype))
    )


def _tabled(rate: Tensor, bits: Int32[Tensor, "*shape"]) -> Tensor:
    """Look counts up: the lower 12 bits are the column, and all 16 choose the row.

    With 16 fractional bits to the row, adding the bits carries into the next row as often as
    sqrt(rate) lies above this one. Row and column share the lower bits, which matters in one
    sixteenth of the cases and by less than a row.
    """
    roots = rate.clamp(max=MAX_TABLED_RATE).sqrt_().mul_(ROWS_PER_ROOT << 16)
    index: Int32[Tensor, "*shape"] = roots.to(torch.int32).add_(bits)
    index.bitwise_right_shift_(16).mul_(1 << COLUMN_BITS)
    index.add_(bits.bitwise_and((1 << COLUMN_BITS) - 1))
    return poisson_table(rate.device).index_select(0, index.flatten()).float().view(rate.shape)


def _expanded(rate: Tensor, z: Tensor) -> Tensor:
    """Giles' Q_N2: the normal quantile, corrected for skewness and kurtosis, rounded down."""
    root = rate.clamp(min=1.0).sqrt_()
    z2 = z * z
    first = z * (-1 / 36 - z2 / 72) / root
    second = (-8 / 405 + z2 * (7 / 810 + z2 / 270)) / (root * root)
    return (rate + root * z + (1 / 3 + z2 / 6) + first + second).floor_().clamp_(min=0)
