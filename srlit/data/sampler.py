"""Which photo each training sample visits: a pure function of (seed, number of the sample)."""

import bisect
import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate

import torch
from jaxtyping import Int64
from torch import Tensor

from srlit.ops.rng import make_keys, uniform_field

# Below the seed, each kind of draw has a path of its own.
ORDER, CROP, SAMPLE, EVALUATION = range(4)


# Visits whose order is drawn together, of as many epochs as that are: one by one is slow.
DRAWN_TOGETHER = 4096

# How far a group's visits may be from its share of an epoch, and the longest epoch to come nearer.
NEAR = 0.01
LONGEST = 2**16


def epoch_order(seed: int, epoch: int, count: int) -> Int64[Tensor, " count"]:
    """A permutation of an epoch's visits."""
    together = max(DRAWN_TOGETHER // count, 1)
    return _orders(seed, epoch // together, together, count)[epoch % together]


@lru_cache(maxsize=4)
def _orders(seed: int, block: int, together: int, count: int) -> Int64[Tensor, "epochs count"]:
    """The permutations of some epochs, each drawn by its own number."""
    keys = make_keys(seed, (ORDER,), torch.arange(together) + block * together)
    return uniform_field(keys, (count,)).argsort(dim=1, stable=True)


def divide(total: int, shares: Sequence[float]) -> list[int]:
    """Whole numbers that add up to `total`, at least one each, as near to the shares as can be.

    Largest remainders first (Hamilton's method).
    """
    exact = [total * share / math.fsum(shares) for share in shares]
    counts = [max(int(number), 1) for number in exact]
    by_remainder = sorted(range(len(exact)), key=lambda k: counts[k] - exact[k])
    for k in by_remainder[: max(total - sum(counts), 0)]:
        counts[k] += 1
    return counts


def visits_of(total: int, shares: Sequence[float]) -> list[int]:
    """The groups' visits in an epoch: of `total`, or of a multiple where that cannot be divided so.

    The least multiple that brings every group within 1 % of its share; none above `LONGEST`.
    """
    for length in range(total, max(total, LONGEST) + 1, total):
        visits = divide(length, shares)
        if near(visits, shares):
            break
    return visits


def near(visits: Sequence[int], shares: Sequence[float]) -> bool:
    """Whether each group's visits are within `NEAR` of its share."""
    unit = sum(visits) / math.fsum(shares)
    pairs = zip(visits, shares, strict=True)
    return all(abs(number - unit * share) <= NEAR * unit * share for number, share in pairs)


class PhotoOrder:
    """The photos in the order of their visits, epoch after epoch.

    An epoch has as many visits as there are photos, or a multiple (`visits_of`). Each group of
    photos gets its share of them and goes round its photos evenly. With one group, or shares by
    size, every photo is visited once an epoch, and the groups count as one.

    Args:
        counts: photos in each group; the photos are numbered through all groups.
        shares: how much of all visits each group gets, in any unit; None: by its size.
        seed: of the order within an epoch.
        crops: samples that one visit gives.
    """

    def __init__(
        self, counts: Sequence[int], *, seed: int, shares: Sequence[float] | None, crops: int = 1
    ) -> None:
        self.seed = seed
        self.crops = crops
        visits = list(counts) if shares is None else visits_of(sum(counts), shares)
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
