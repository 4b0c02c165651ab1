"""Arguments of stages: how they are declared, ranges to draw from and lists to choose from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, dataclass_transform

from annotated_types import Ge, Gt, Interval, MinLen, Predicate

from srlit.types import NonNegative, Positive

# Pairs [low, high]: what is drawn lies between the two.
IsRange = Predicate(lambda pair: len(pair) == 2 and pair[0] <= pair[1])
Level = Annotated[float, Interval(ge=0, le=255)]
Quality = Annotated[int, Interval(ge=0, le=100)]
Factor = Annotated[float, Gt(0), Interval(le=64)]  # Resize pads to the largest size it may give

NonNegativeRange = Annotated[Sequence[NonNegative], IsRange, "[low, high], ascending, >= 0"]
PositiveRange = Annotated[Sequence[Positive], IsRange, "[low, high], ascending, > 0"]
LevelRange = Annotated[Sequence[Level], IsRange, "[low, high], ascending, within 0 to 255"]
QualityRange = Annotated[Sequence[Quality], IsRange, "[low, high], whole, within 0 to 100"]
FactorRange = Annotated[Sequence[Factor], IsRange]
FactorRanges = Annotated[
    Sequence[FactorRange], MinLen(1), "one or more [low, high], ascending, above 0 and up to 64"
]
OddSize = Annotated[int, Ge(1), Predicate(lambda size: size % 2 == 1), "an odd number >= 1"]
OddSizes = Annotated[Sequence[OddSize], MinLen(1), "one or more odd numbers >= 1"]


@dataclass_transform(kw_only_default=True, eq_default=False)
class Configured:
    """A base whose subclasses are dataclasses: annotated attributes are keyword arguments."""

    def __init_subclass__(cls) -> None:
        """Make the subclass a dataclass; a constructor of its own stays."""
        dataclass(kw_only=True, eq=False)(cls)


def choice_weights(weights: Sequence[float] | None, options: Sequence[object]) -> list[float]:
    """One weight per option, equal ones where `weights` is None.

    Raises:
        ValueError: no options, or `weights` are not one number >= 0 per option with a positive sum.
    """
    if weights is None:
        weights = [1.0] * len(options)
    if len(weights) != len(options) or min(weights, default=-1) < 0 or sum(weights) <= 0:
        expected = f"expected {len(options)} numbers >= 0 with a positive sum"
        raise ValueError(f"weights={list(weights)}: {expected}, and at least one option")
    return list(weights)
