"""The sections of a checkpoint, as types that pydantic checks."""

from typing import Any, NotRequired

from pydantic import ConfigDict, JsonValue, NonNegativeInt, TypeAdapter, with_config
from torch import Tensor
from typing_extensions import TypedDict

EMA_KEY = "EMA"

OPEN = ConfigDict(extra="allow", strict=True, arbitrary_types_allowed=True)


@with_config(OPEN)
class Card(TypedDict):
    """How the generator is built: `_target_` and arguments; and how it was trained."""

    model: dict[str, JsonValue]


@with_config(OPEN)
class EMAState(TypedDict):
    """The generator's averaged weights, and the iteration that they have seen."""

    averaged: dict[str, Tensor]
    seen: NotRequired[NonNegativeInt]


@with_config(OPEN)
class CallbackStates(TypedDict):
    """State by name of each callback; here the EMA is read."""

    EMA: NotRequired[EMAState]


@with_config(OPEN)
class Checkpoint(TypedDict):
    """All that a training needs to go on; a generator alone has the first three."""

    card: Card
    state_dict: dict[str, Tensor]
    iteration: NonNegativeInt
    validated: NotRequired[NonNegativeInt]
    validation_id: NotRequired[str]
    rows_written: NotRequired[NonNegativeInt]
    baseline: NotRequired[dict[str, float]]
    callbacks: NotRequired[CallbackStates]
    running_means: NotRequired[dict[str, Any]]
    finite_check: NotRequired[dict[str, Any]]
    optimizer_states: NotRequired[list[dict[str, Any]]]
    lr_schedulers: NotRequired[list[dict[str, Any]]]


CHECKPOINT = TypeAdapter(Checkpoint)
# What only a training has, and needs to go on.
RESUMED = sorted(Checkpoint.__optional_keys__)
