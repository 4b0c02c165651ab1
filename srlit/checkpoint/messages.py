"""Descriptions of a file's content for error messages: short, and safe for a terminal."""

from collections.abc import Mapping

from torch import Tensor

MAX_SHOWN = 200
MAX_NAMED = 4


def shapes(weights: Mapping[str, Tensor]) -> str:
    """The number of weights, and the names and shapes of the first few."""
    named = [f"{printable(k)} {tuple(w.shape)}" for k, w in weights.items()]
    more = ["..."] if len(named) > MAX_NAMED else []
    return f"{len(named)} tensors: {', '.join(named[:MAX_NAMED] + more)}"


def weight_differences(expected: Mapping[str, Tensor], came: Mapping[str, Tensor]) -> list[str]:
    """Why weights do not fit a network: those it lacks, and those it has no place for."""
    fit = {k for k in expected.keys() & came.keys() if expected[k].shape == came[k].shape}
    missing = {k: w for k, w in expected.items() if k not in fit}
    unknown = {k: w for k, w in came.items() if k not in fit}
    found = [f"expected {shapes(missing)}"] if missing else []
    return [*found, f"came {shapes(unknown)}"] if unknown else found


def differences(before: object, now: object, key: str = "") -> dict[str, tuple[object, object]]:
    """Key to both values of what differs between two configurations."""
    if not (isinstance(before, dict) and isinstance(now, dict)):
        return {} if before == now else {key: (before, now)}
    found: dict[str, tuple[object, object]] = {}
    for name in before | now:
        found |= differences(before.get(name), now.get(name), f"{key}.{name}".lstrip("."))
    return found


def in_words(found: Mapping[str, tuple[object, object]]) -> list[str]:
    """One line for each difference from a checkpoint."""
    return [
        f"{printable(key)}: {printable(before)} in the checkpoint, {printable(now)} now"
        for key, (before, now) in found.items()
    ]


def printable(value: object) -> str:
    """A value from a file as text: short, and without control characters."""
    text = str(value)
    if len(text) > MAX_SHOWN:
        text = f"{text[:MAX_SHOWN]}..."
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
