"""The interface of a degradation stage, and how stages declare their arguments.

`sample(rows)` draws one row of parameters per sample; `apply(batch, params)` is deterministic.
Choices between kinds are drawn as indices and applied through masks, so nothing waits for the
device and no sample depends on the others in its batch.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Annotated, dataclass_transform

import torch
from annotated_types import Ge, Gt, Interval, MinLen, Predicate
from jaxtyping import Float, Int64
from torch import Tensor

from srlit.ops.ragged_batch import Params, RaggedBatch
from srlit.ops.rng import RowGenerator
from srlit.types import Count, NonNegative, Positive

# -- arguments -----------------------------------------------------------------------------------

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


# -- stages --------------------------------------------------------------------------------------

RelativeSize = Fraction | None
"""Side of the images divided by the original side; None where it differs between samples."""
FULL_SIZE = Fraction(1)
NO_NAMES: Mapping[str, Sequence[str]] = MappingProxyType({})


class Stage(Configured, ABC):
    """One step of a degradation.

    Attributes:
        names: for parameters that are indices: the name of each value.
    """

    names = NO_NAMES

    def sample(self, rows: RowGenerator) -> Params:  # noqa: ARG002 - for stages that draw
        """Draw parameters, each of shape (n, ...); a stage without parameters returns {}."""
        return {}

    @abstractmethod
    def apply(self, batch: RaggedBatch, params: Params) -> RaggedBatch:
        """Degrade images in [0, 1] with drawn parameters, row i of which belongs to image i.

        Raises:
            ValueError: the images do not suit the stage.
        """

    def relative_size_after(self, before: RelativeSize) -> RelativeSize:
        """Relative size of the stage's output for that of its input."""
        return before


class IntegerShrink(Stage):
    """A stage that divides both sides of images of one size by `scale`."""

    scale: Count

    def apply(self, batch: RaggedBatch, params: Params) -> RaggedBatch:
        """(n, 3, H, W) -> (n, 3, H / scale, W / scale)."""
        if batch.sizes is not None:
            expected = "put it before every Resize, or after the last"
            raise ValueError(f"{type(self).__name__} needs images of one size: {expected}")
        return batch.resized(self.shrunk(batch, params))

    @abstractmethod
    def shrunk(self, batch: RaggedBatch, params: Params) -> Float[Tensor, "n 3 h w"]:
        """The smaller pixels."""

    def relative_size_after(self, before: RelativeSize) -> RelativeSize:
        """The size before, divided by the scale."""
        return None if before is None else before / self.scale


class InterpolatedShrink(IntegerShrink):
    """A shrink by an interpolation drawn per sample, all `kinds` equally likely."""

    kinds: Sequence[str]

    def __post_init__(self) -> None:
        self.names = {"kind": self.kinds}

    def sample(self, rows: RowGenerator) -> Params:
        """Draw `kind` (n,), an index into `kinds`."""
        return {"kind": rows.integers(0, len(self.kinds) - 1)}


def merge_choices(choice: Int64[Tensor, " n"], drawn: Sequence[Params]) -> dict[str, Tensor]:
    """Merge the parameters of several kinds: each row keeps those of its own kind.

    A parameter that the row's kind does not have is NaN, or 0 for integers.
    """
    merged: dict[str, Tensor] = {}
    for index, params in enumerate(drawn):
        for name, value in params.items():
            missing = float("nan") if value.is_floating_point() else 0
            before = merged.get(name, torch.full_like(value, missing))
            own = (choice == index).view(-1, *[1] * (value.dim() - 1))
            merged[name] = torch.where(own, value, before)
    return merged


def distinct(names: list[str]) -> list[str]:
    """The names, repeated ones numbered: sinc, sinc_2."""
    return [
        name if names.index(name) == place else f"{name}_{names[: place + 1].count(name)}"
        for place, name in enumerate(names)
    ]


def require_larger(batch: RaggedBatch, radius: int, what: str) -> None:
    """Raise ValueError where an image may be smaller than a kernel's radius."""
    h, w = batch.min_size
    if min(h, w) <= radius:
        raise ValueError(
            f"{what} reaches {radius} pixels, but an image may have only {h}x{w} here: "
            "expected larger patches (data.patch_size) or smaller kernels"
        )


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
