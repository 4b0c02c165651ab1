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


@lru_cache(maxsize=4)
def epoch_order(seed: int, epoch: int, count: int) -> Int64[Tensor, " count"]:
    """A permutation of an epoch's visits."""
    keys = make_keys(seed, (ORDER,), torch.tensor([epoch]))
    return uniform_field(keys, (count,))[0].argsort(stable=True)


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


class PhotoOrder:
    """The photos in the order of their visits, epoch after epoch.

    An epoch has as many visits as there are photos. Each group of photos gets its share of them
    and goes round its photos evenly: with one group, or shares by size, every photo is visited
    once an epoch.

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
        self.counts = list(counts)
        self.visits = divide(sum(counts), counts if shares is None else shares)
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
