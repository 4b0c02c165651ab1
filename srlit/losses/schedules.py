"""Weights that change over the iterations, such as a ramp of the adversarial weight."""

import math
from typing import Protocol, runtime_checkable

from srlit.types import Count, NonNegative, NonNegativeInt


@runtime_checkable
class WeightSchedule(Protocol):
    """A number for each iteration."""

    end: float

    def __call__(self, iteration: int) -> float:
        """The value in this iteration, counted from 0."""
        ...


class LinearRamp:
    """A straight line from one value to another.

    Args:
        begin: value until iteration `after`.
        end: value from iteration `after + over` on.
        over: length of the ramp in iterations.
        after: iteration in which it begins.
    """

    def __init__(
        self,
        *,
        begin: NonNegative,
        end: NonNegative,
        over: Count,
        after: NonNegativeInt = 0,
    ) -> None:
        self.begin, self.end, self.over, self.after = begin, end, over, after

    def __call__(self, iteration: int) -> float:
        """The value in this iteration."""
        progress = min(max((iteration - self.after) / self.over, 0.0), 1.0)
        return self.begin + self.shape(progress) * (self.end - self.begin)

    def __repr__(self) -> str:
        numbers = f"begin={self.begin}, end={self.end}, over={self.over}, after={self.after}"
        return f"{type(self).__name__}({numbers})"

    def shape(self, progress: float) -> float:
        """Fraction of the change that is complete after this fraction of the ramp."""
        return progress


class CosineRamp(LinearRamp):
    """Half a cosine from one value to another: slow at both ends."""

    def shape(self, progress: float) -> float:
        """(1 - cos(pi * progress)) / 2, as in Loshchilov and Hutter 2017, eq. 5."""
        return (1 - math.cos(math.pi * progress)) / 2


Weight = float | WeightSchedule


def check_weight(key: str, weight: object) -> None:
    """Check that a weight is a finite number, at least 0, or a schedule between such numbers.

    Args:
        key: of the configuration.
        weight: its value.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(weight, float | int | WeightSchedule) or not all(
        0 <= value < math.inf for value in extremes(weight)
    ):
        msg = f"{key}={weight!r}: expected a finite number, at least 0, or a schedule of them"
        raise ValueError(msg)


def value_at(weight: Weight, iteration: int | None) -> float:
    """A weight in an iteration; None: after the last one."""
    if isinstance(weight, float | int):
        return float(weight)
    return weight.end if iteration is None else weight(iteration)


def extremes(weight: Weight) -> tuple[float, ...]:
    """The first and the last value of a weight."""
    if isinstance(weight, float | int):
        return (float(weight),)
    return (weight(0), weight.end)
