"""Which photo each training sample visits: a pure function of (seed, sample number)."""

import bisect
import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate

import torch
from jaxtyping import Int64
from torch import Tensor

from srlit.ops.rng import make_keys, uniform_field

# Paths of the draws below the seed.
ORDER, CROP, SAMPLE, EVALUATION = range(4)

# Visits whose order is drawn together, in as many epochs: one epoch at a time is slow.
VISITS_PER_DRAW = 4096

# How far a group's visits may be from its weight, and the longest epoch to come nearer.
TOLERANCE = 0.01
MAX_EPOCH = 2**16


def epoch_order(seed: int, epoch: int, count: int) -> Int64[Tensor, " count"]:
    """A permutation of an epoch's visits."""
    per_draw = max(VISITS_PER_DRAW // count, 1)
    return _orders(seed, epoch // per_draw, per_draw, count)[epoch % per_draw]


@lru_cache(maxsize=4)
def _orders(seed: int, block: int, epochs: int, count: int) -> Int64[Tensor, "epochs count"]:
    """The permutations of a block of epochs, each drawn by its own number."""
    keys = make_keys(seed, (ORDER,), torch.arange(epochs) + block * epochs)
    return uniform_field(keys, (count,)).argsort(dim=1, stable=True)


def divide(total: int, weights: Sequence[float]) -> list[int]:
    """Whole numbers >= 1 that add up to `total`, as near to the weights as can be.

    Largest remainders first (Hamilton's method).
    """
    exact = [total * weight / math.fsum(weights) for weight in weights]
    counts = [max(int(number), 1) for number in exact]
    by_remainder = sorted(range(len(exact)), key=lambda k: counts[k] - exact[k])
    for k in by_remainder[: max(total - sum(counts), 0)]:
        counts[k] += 1
    return counts


def visits_per_epoch(total: int, weights: Sequence[float]) -> list[int]:
    """Each group's visits in an epoch of `total` visits, or of a multiple of it.

    The smallest multiple that brings every group within 1 % of its weight; none above `MAX_EPOCH`.
    """
    for length in range(total, max(total, MAX_EPOCH) + 1, total):
        visits = divide(length, weights)
        unit = sum(visits) / math.fsum(weights)
        if all(
            abs(number - unit * weight) <= TOLERANCE * unit * weight
            for number, weight in zip(visits, weights, strict=True)
        ):
            break
    return visits


class PhotoOrder:
    """The photos in the order of their visits, epoch after epoch.

    An epoch has as many visits as there are photos, or a multiple (`visits_per_epoch`). Each group
    of photos gets them by its weight and cycles through its photos evenly. With one group, or
    weights by size, every photo is visited once per epoch, and the groups count as one.

    Args:
        counts: photos in each group; the photos are numbered through all groups.
        weights: relative number of visits of each group; None: by its size.
        seed: of the order within an epoch.
        crops: samples per visit.
    """

    def __init__(
        self, counts: Sequence[int], *, seed: int, weights: Sequence[float] | None, crops: int = 1
    ) -> None:
        self.seed = seed
        self.crops = crops
        visits = list(counts) if weights is None else visits_per_epoch(sum(counts), weights)
        whole = [sum(counts)]
        self.counts, self.visits = (whole, whole) if visits == [*counts] else ([*counts], visits)
        self._first_photo = [0, *accumulate(self.counts)]
        self._first_visit = [0, *accumulate(self.visits)]

    def photo(self, sample: int, step: int = 0) -> int:
        """The photo of a sample, or the one visited `step` visits later."""
        length = self._first_visit[-1]
        epoch, position = divmod(sample // self.crops + step, length)
        visit = int(epoch_order(self.seed, epoch, length)[position])
        group = bisect.bisect_right(self._first_visit, visit) - 1
        turn = epoch * self.visits[group] + visit - self._first_visit[group]
        return self._first_photo[group] + turn % self.counts[group]
