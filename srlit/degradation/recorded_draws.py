"""Draws as records: a dict of plain numbers and names for every image, and back."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from srlit.degradation.pipeline import Degradation
from srlit.ops.ragged_batch import Params

Record = dict[str, Any]


class DrawsError(ValueError):
    """Recorded draws do not belong to the degradation."""


def to_records(degradation: Degradation, draws: Params, count: int) -> list[Record]:
    """One record an image: parameter to number, or to the name of a choice.

    Numbers that were not drawn, as another kind was, are None.

    Args:
        degradation: whose draws they are.
        draws: of `count` images; a preset may draw nothing.
        count: how many images.
    """
    names = degradation.chain.names()
    columns = {key: value.tolist() for key, value in draws.items()}
    return [
        {key: _told(column[i], names.get(key)) for key, column in columns.items()}
        for i in range(count)
    ]


def _told(value: Any, names: Sequence[str] | None) -> Any:  # noqa: ANN401 - numbers, nested
    """A number, its name, or None; lists of them likewise."""
    if isinstance(value, list):
        return [_told(one, names) for one in value]
    if names is not None:
        return names[value]
    return None if isinstance(value, float) and math.isnan(value) else value


def from_records(degradation: Degradation, records: Sequence[Mapping[str, Any]]) -> Params:
    """Draws that `degradation.apply` takes, one row a record.

    Raises:
        DrawsError: a record lacks a parameter, has one too many, or names an unknown choice.
    """
    names = degradation.chain.names()
    example = degradation.sample(torch.zeros(1, dtype=torch.int64))
    for record in records:
        if different := sorted(set(record) ^ set(example)):
            msg = (
                f"recorded draws do not fit degradation {degradation.name!r}: "
                f"{', '.join(different)} are only in one of them"
            )
            raise DrawsError(msg)
    return {
        key: _column(key, [record[key] for record in records], names.get(key), value)
        for key, value in example.items()
    }


def _column(key: str, values: list[Any], names: Sequence[str] | None, example: Tensor) -> Tensor:
    """A parameter of all records, in the type that the stage draws."""
    try:
        numbers = [_read(value, names) for value in values]
        column = torch.tensor(numbers, dtype=example.dtype)
    except (TypeError, ValueError, OverflowError) as error:
        expected = f"one of {', '.join(names)}" if names else "numbers"
        msg = f"recorded draws of {key}: {error}: expected {expected}"
        raise DrawsError(msg) from error
    if column.shape[1:] != example.shape[1:]:
        msg = f"recorded draws of {key}: shape {tuple(column.shape[1:])} an image"
        raise DrawsError(f"{msg}: expected {tuple(example.shape[1:])}")
    return column


def _read(value: Any, names: Sequence[str] | None) -> Any:  # noqa: ANN401
    """The number that `_told` told."""
    if isinstance(value, list):
        return [_read(one, names) for one in value]
    if names is not None:
        return list(names).index(value)
    return math.nan if value is None else value
