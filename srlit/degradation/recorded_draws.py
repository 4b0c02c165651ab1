"""Draws as JSON records, one dict of numbers and names per image, and back."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from srlit.degradation.pipeline import Degradation
from srlit.ops.ragged_batch import Params

Record = dict[str, Any]


class DrawsError(ValueError):
    """Recorded draws do not fit the degradation."""


def to_records(degradation: Degradation, draws: Params, count: int) -> list[Record]:
    """One record per image: parameter to number, or to the name of a choice.

    Parameters of kinds that were not chosen are None.

    Args:
        degradation: the preset.
        draws: its parameters for `count` images; empty for a preset that draws nothing.
        count: number of images.
    """
    names = degradation.chain.names
    columns = {key: _plain(value.tolist(), names.get(key)) for key, value in draws.items()}
    return [{key: column[i] for key, column in columns.items()} for i in range(count)]


def _plain(value: Any, names: Sequence[str] | None) -> Any:  # noqa: ANN401 - numbers, nested
    """A number, its name, or None; item by item for a list."""
    if isinstance(value, list):
        return [_plain(one, names) for one in value]
    if names is not None:
        return names[value]
    return None if isinstance(value, float) and math.isnan(value) else value


def from_records(degradation: Degradation, records: Sequence[Mapping[str, Any]]) -> Params:
    """Draws for `degradation.apply`, one row per record.

    Raises:
        DrawsError: a record lacks a parameter, has one too many, or names an unknown choice.
    """
    names = degradation.chain.names
    example = degradation.sample(torch.zeros(1, dtype=torch.int64))
    for record in records:
        if different := ", ".join(sorted(set(record) ^ set(example))):
            where = f"recorded draws do not fit degradation {degradation.name!r}"
            raise DrawsError(f"{where}: {different} are only in one of them")
    return {
        key: _column(key, [record[key] for record in records], names.get(key), value)
        for key, value in example.items()
    }


def _column(key: str, values: list[Any], names: Sequence[str] | None, example: Tensor) -> Tensor:
    """One parameter of all records, in the stage's own dtype."""
    try:
        column = torch.tensor(_read(values, names), dtype=example.dtype)
    except (TypeError, ValueError, OverflowError) as error:
        wanted = f"one of {', '.join(names)}" if names else "numbers"
        raise DrawsError(f"recorded draws of {key}: {error}: expected {wanted}") from error
    own, expected = tuple(column.shape[1:]), tuple(example.shape[1:])
    if own != expected:
        raise DrawsError(f"recorded draws of {key}: shape {own} per image: expected {expected}")
    return column


def _read(value: Any, names: Sequence[str] | None) -> Any:  # noqa: ANN401
    """The inverse of `_plain`."""
    if isinstance(value, list):
        return [_read(one, names) for one in value]
    if names is not None:
        return list(names).index(value)
    return math.nan if value is None else value
