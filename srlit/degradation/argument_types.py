"""Annotations of stages' arguments: ranges to draw from and lists to choose from."""

from collections.abc import Sequence
from typing import Annotated

from annotated_types import Ge, Gt, Interval, Len, MinLen, Predicate

from srlit.types import NonNegative, Positive

Range = Sequence[float]
"""[low, high]: what is drawn lies between the two."""


def _is_ascending(pair: Range) -> bool:
    return pair[0] <= pair[1]


def _is_odd(size: int) -> bool:
    return size % 2 == 1


IsPair, IsAscending = Len(2, 2), Predicate(_is_ascending)

NonNegativeRange = Annotated[
    Sequence[NonNegative], IsPair, IsAscending, "[low, high], two ascending numbers >= 0"
]
PositiveRange = Annotated[
    Sequence[Positive], IsPair, IsAscending, "[low, high], two ascending numbers > 0"
]
LevelRange = Annotated[
    Sequence[Annotated[float, Interval(ge=0, le=255)]],
    IsPair,
    IsAscending,
    "[low, high], two ascending numbers within 0 to 255",
]
QualityRange = Annotated[
    Sequence[Annotated[int, Interval(ge=0, le=100)]],
    IsPair,
    IsAscending,
    "[low, high], two ascending whole numbers within 0 to 100",
]
# Resize holds the largest size that a factor may give.
Factor = Annotated[float, Gt(0), Interval(le=64)]
FactorRanges = Annotated[
    Sequence[Annotated[Sequence[Factor], IsPair, IsAscending]],
    MinLen(1),
    "one or more [low, high], ascending numbers above 0 and up to 64",
]
OddSize = Annotated[int, Ge(1), Predicate(_is_odd), "an odd number >= 1"]
OddSizes = Annotated[Sequence[OddSize], MinLen(1), "one or more odd numbers >= 1"]


def choice_weights(
    name: str, weights: Sequence[float] | None, options: Sequence[object]
) -> list[float]:
    """One weight per option, equal ones where `weights` is None.

    Raises:
        ValueError: no options, or `weights` are not one number >= 0 per option with a positive sum.
    """
    if weights is None:
        weights = [1.0] * len(options)
    if len(weights) != len(options) or min(weights, default=-1) < 0 or sum(weights) <= 0:
        msg = (
            f"{name}={list(weights)}: expected {len(options)} numbers >= 0 with a positive sum, "
            "and at least one option"
        )
        raise ValueError(msg)
    return list(weights)
