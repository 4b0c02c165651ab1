"""What a file holds, in words for a message: short, and safe for a terminal."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

MOST_SHOWN = 200
MOST_NAMED = 4


def shapes(weights: Mapping[str, Tensor]) -> str:
    """How many weights there are, and the first ones' names and shapes, for a message."""
    first = [f"{shown(k)} {tuple(w.shape)}" for k, w in list(weights.items())[:MOST_NAMED]]
    return (
        f"{len(weights)} tensors: {', '.join(first)}{', ...' if len(weights) > MOST_NAMED else ''}"
    )


def weight_differences(expected: Mapping[str, Tensor], came: Mapping[str, Tensor]) -> list[str]:
    """What keeps weights from fitting a network: what was expected, and what came."""
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
    """What differs between two configurations, a line a key."""
    if isinstance(recorded, dict) and isinstance(current, dict):
        names = [*recorded, *(name for name in current if name not in recorded)]
        return [
            line
            for name in names
            for line in card_differences(recorded.get(name), current.get(name), f"{key}.{name}")
        ]
    if recorded == current:
        return []
    return [f"{shown(key)}: {shown(recorded)} in the checkpoint, {shown(current)} now"]


def shown(value: object) -> str:
    """A value from a file for a message: short, and nothing that a terminal would obey."""
    text = str(value)
    if len(text) > MOST_SHOWN:
        text = f"{text[:MOST_SHOWN]}..."
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
