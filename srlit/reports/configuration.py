"""Keys in which the configurations of several runs differ."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from srlit.reports.run_folders import Run

ABSENT = "—"
OWN = ("name", "paths.run", "paths.runs")  # differ between any two runs and explain nothing


class Difference(NamedTuple):
    """A key whose value differs between runs.

    Attributes:
        key: with dots.
        values: one per run, as text; `ABSENT` where a run does not have the key.
    """

    key: str
    values: list[str]


def differences(runs: Sequence[Run]) -> list[Difference]:
    """Keys whose values differ, in the order of the configurations; a run's own folder is none."""
    flat = [flattened(run.config) for run in runs]
    own = [_own_paths(run) for run in runs]
    keys = list(dict.fromkeys(key for one in flat for key in one if key not in OWN))
    found: list[Difference] = []
    for key in keys:
        values = [one.get(key, ABSENT) for one in flat]
        neutral = {_without(text, paths) for text, paths in zip(values, own, strict=True)}
        if len(neutral) > 1:
            found.append(Difference(key, values))
    return found


def flattened(node: Any, key: str = "") -> dict[str, str]:  # noqa: ANN401 - a YAML node
    """Dotted key to value as text; lists of plain values stay one value."""
    if isinstance(node, Mapping) and node:
        items = [(f"{key}.{name}" if key else str(name), value) for name, value in node.items()]
    elif isinstance(node, list) and any(isinstance(item, (Mapping, list)) for item in node):
        items = [(f"{key}[{i}]", item) for i, item in enumerate(node)]
    else:
        return {key: as_text(node)}
    return {k: v for name, value in items for k, v in flattened(value, name).items()}


def as_text(value: Any) -> str:  # noqa: ANN401 - a YAML leaf
    """A value as YAML would write it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return f"[{', '.join(map(as_text, value))}]"
    return str(value)


def _own_paths(run: Run) -> list[str]:
    """Where a run lies, as its configuration says it; longer first, as one holds the other."""
    flat = flattened(run.config)
    return [flat[key] for key in ("paths.run", "paths.runs") if flat.get(key)]


def _without(text: str, paths: Sequence[str]) -> str:
    """The value without the run's folder in it."""
    for path in paths:
        text = text.replace(path, "…")
    return text
