"""Noise whose every pixel is a quantile of one uniform field, so that it replays from a key."""

import torch
from jaxtyping import Float
from torch import Tensor

from srlit.ops.rng import normal_from_uniform

SMALL_RATE = 4.0
SMALL_RATE_TERMS = 18


def poisson_quantile(
    rate: Float[Tensor, "*shape"], u: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """The smallest k with P(K <= k) >= u for K ~ Poisson(rate), elementwise.

    From `SMALL_RATE` on the Cornish-Fisher expansion of M. Giles, "Algorithm 955: approximation
    of the inverse Poisson cumulative distribution function" (ACM TOMS 2016, eq. 5), rounded down:
    off by one count in a few of ten thousand draws. Below it the sum itself, exact to float32.

    Args:
        rate: expected counts, >= 0.
        u: uniform numbers in (0, 1).
    """
    small = rate < SMALL_RATE
    if not rate.is_cpu:
        return torch.where(small, _summed(rate, u), _expanded(rate, u))
    counts = _expanded(rate, u)  # the sum is long: on a CPU only where it is needed
    counts[small] = _summed(rate[small], u[small])
    return counts


def _expanded(rate: Tensor, u: Tensor) -> Tensor:
    """Giles' Q_N2: the normal quantile, corrected for skewness and kurtosis."""
    w = normal_from_uniform(u)
    root = rate.clamp(min=SMALL_RATE).sqrt()
    w2 = w * w
    first = w * (-1 / 36 - w2 / 72) / root
    second = (-8 / 405 + w2 * (7 / 810 + w2 / 270)) / (root * root)
    return (rate + root * w + (1 / 3 + w2 / 6) + first + second).floor_().clamp_(min=0)


def _summed(rate: Tensor, u: Tensor) -> Tensor:
    """Count the terms of the distribution function that lie below u."""
    rate = rate.clamp(max=SMALL_RATE)
    term = torch.exp(-rate)
    below = term.clone()
    count = torch.zeros_like(rate)
    for k in range(1, SMALL_RATE_TERMS):
        count += below < u
        term = term * rate / k
        below += term
    return count
