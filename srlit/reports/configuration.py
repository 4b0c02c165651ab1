"""Keys in which the configurations of several runs differ."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from srlit.reports.run_folders import Run

ABSENT = "—"
OWN = ("name", "paths.run", "paths.runs")  # differ between any two runs and explain nothing


def differences(runs: Sequence[Run]) -> dict[str, list[str]]:
    """Dotted keys whose values differ between runs, in the order of the configurations.

    A run's own folder is no difference.

    Returns:
        Key to values, one per run, as text; `ABSENT` where a run does not have the key.
    """
    flat = [flattened(run.config) for run in runs]
    keys = dict.fromkeys(key for one in flat for key in one if key not in OWN)
    neutral = {key: {_neutral(one.get(key, ABSENT), one) for one in flat} for key in keys}
    return {key: [one.get(key, ABSENT) for one in flat] for key in keys if len(neutral[key]) > 1}


def _neutral(text: str, flat: Mapping[str, str]) -> str:
    """A value without the run's own folder in it; the longer path first, as it holds the other."""
    for key in ("paths.run", "paths.runs"):
        text = text.replace(flat[key], "…") if flat.get(key) else text
    return text


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
    if isinstance(value, list):
        return f"[{', '.join(map(as_text, value))}]"
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return f"{value:g}" if isinstance(value, float) else str(value)
