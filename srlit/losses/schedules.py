"""Weights that change over the iterations, such as an adversarial one that is let in slowly."""

import math
from typing import Protocol, runtime_checkable


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
        over: how many iterations the way takes, >= 1.
        after: where it begins, >= 0.

    Raises:
        ValueError: `over` or `after` is out of range.
    """

    def __init__(self, *, begin: float, end: float, over: int, after: int = 0) -> None:
        if over < 1 or after < 0:
            msg = f"a ramp over={over} iterations after={after}: expected at least 1 and 0"
            raise ValueError(msg)
        self.begin, self.end, self.over, self.after = begin, end, over, after

    def __call__(self, iteration: int) -> float:
        """The value in this iteration."""
        share = self.shape(min(max((iteration - self.after) / self.over, 0.0), 1.0))
        return self.begin + share * (self.end - self.begin)

    def __repr__(self) -> str:
        numbers = f"begin={self.begin}, end={self.end}, over={self.over}, after={self.after}"
        return f"{type(self).__name__}({numbers})"

    def shape(self, way: float) -> float:
        """Which share of the change is done after this share of the way."""
        return way


class CosineRamp(LinearRamp):
    """Half a cosine from one value to another: slow at both ends."""

    def shape(self, way: float) -> float:
        """(1 - cos(pi * way)) / 2, as in Loshchilov and Hutter 2017, eq. 5."""
        return (1 - math.cos(math.pi * way)) / 2


Weight = float | WeightSchedule


def check_weight(key: str, weight: object) -> None:
    """See that a weight can be followed and takes nothing away.

    Args:
        key: of the configuration.
        weight: what it holds.

    Raises:
        ValueError: neither a number nor a schedule; a value that is negative or not finite.
    """
    expected = "a finite number, at least 0, or a schedule of them, such as LinearRamp"
    if not isinstance(weight, float | int | WeightSchedule) or not all(
        0 <= value < math.inf for value in extremes(weight)
    ):
        msg = f"{key}={weight!r}: expected {expected}"
        raise ValueError(msg)


def value_at(weight: Weight, iteration: int | None) -> float:
    """A weight in an iteration; None: after the last one."""
    if isinstance(weight, float | int):
        return float(weight)
    return weight.end if iteration is None else weight(iteration)


def extremes(weight: Weight) -> tuple[float, ...]:
    """The values that a weight lies between."""
    if isinstance(weight, float | int):
        return (float(weight),)
    return (weight(0), weight.end)
