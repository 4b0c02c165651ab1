"""Weights that change over the iterations, such as a ramp of the adversarial weight."""

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from srlit.types import Count, NonNegative, NonNegativeInt


@runtime_checkable
class WeightSchedule(Protocol):
    """A number for each iteration."""

    end: float

    def __call__(self, iteration: int) -> float:
        """The value in this iteration, counted from 0."""
        ...


@dataclass(kw_only=True, eq=False)
class LinearRamp:
    """A straight line from one value to another.

    Args:
        begin: value until iteration `after`.
        end: value from iteration `after + over` on.
        over: length of the ramp in iterations.
        after: iteration in which it begins.
    """

    begin: NonNegative
    end: NonNegative
    over: Count
    after: NonNegativeInt = 0

    def __call__(self, iteration: int) -> float:
        """The value in this iteration."""
        progress = min(max((iteration - self.after) / self.over, 0.0), 1.0)
        return self.begin + self.shape(progress) * (self.end - self.begin)

    def shape(self, progress: float) -> float:
        """Fraction of the change that is complete after this fraction of the ramp."""
        return progress


class CosineRamp(LinearRamp):
    """Half a cosine from one value to another: slow at both ends."""

    def shape(self, progress: float) -> float:
        """(1 - cos(pi * progress)) / 2, as in Loshchilov and Hutter 2017, eq. 5."""
        return (1 - math.cos(math.pi * progress)) / 2


Weight = NonNegative | WeightSchedule


def value_at(weight: Weight, iteration: int | None) -> float:
    """A weight in an iteration; None: after the last one."""
    if isinstance(weight, float | int):
        return float(weight)
    return weight.end if iteration is None else weight(iteration)
