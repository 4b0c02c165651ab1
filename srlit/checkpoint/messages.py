"""Descriptions of a file's content for error messages: short, and safe for a terminal."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

MAX_SHOWN = 200
MAX_NAMED = 4


def shapes(weights: Mapping[str, Tensor]) -> str:
    """The number of weights, and the names and shapes of the first few."""
    first = [f"{printable(k)} {tuple(w.shape)}" for k, w in list(weights.items())[:MAX_NAMED]]
    return (
        f"{len(weights)} tensors: {', '.join(first)}{', ...' if len(weights) > MAX_NAMED else ''}"
    )


def weight_differences(expected: Mapping[str, Tensor], came: Mapping[str, Tensor]) -> list[str]:
    """Why weights do not fit a network: those it lacks, and those it has no place for."""
    both = expected.keys() & came.keys()
    others = {k for k in both if expected[k].shape != came[k].shape}
    missing = {k: w for k, w in expected.items() if k not in both or k in others}
    unknown = {k: w for k, w in came.items() if k not in both or k in others}
    found = [f"expected {shapes(missing)}"] if missing else []
    return [*found, f"came {shapes(unknown)}"] if unknown else found


def card_differences(
    recorded: Any,  # noqa: ANN401 - a tree of plain values
    current: Any,  # noqa: ANN401
    key: str,
) -> list[str]:
    """The differences between two configurations, one line per key."""
    if isinstance(recorded, dict) and isinstance(current, dict):
        names = [*recorded, *(name for name in current if name not in recorded)]
        return [
            line
            for name in names
            for line in card_differences(recorded.get(name), current.get(name), f"{key}.{name}")
        ]
    if recorded == current:
        return []
    return [f"{printable(key)}: {printable(recorded)} in the checkpoint, {printable(current)} now"]


def printable(value: object) -> str:
    """A value from a file as text: short, and without control characters."""
    text = str(value)
    if len(text) > MAX_SHOWN:
        text = f"{text[:MAX_SHOWN]}..."
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
