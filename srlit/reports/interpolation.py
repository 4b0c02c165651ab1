"""Metrics between two networks: `interpolation.json`, a list of {weight, metrics}.

The weight is the share of the second network, 0 to 1; metrics is an object of numbers.
"""

from pathlib import Path
from typing import Any

from srlit.reports.curves import Chart, Curve
from srlit.reports.run_folders import Column
from srlit.reports.warnings import expect, numbers, read_json

FILE = "interpolation.json"


def read_interpolation(path: Path) -> list[Chart]:
    """A chart a metric, over the weight.

    Raises:
        ValueError: the file does not hold what the module's docstring says.
    """
    steps: list[tuple[float, dict[str, float]]] = []
    for i, entry in enumerate(read_json(path, list)):
        step: dict[str, Any] = expect(entry, dict, f"entry {i}")
        weight = float(expect(step.get("weight"), (int, float), f"entry {i}: weight"))
        steps.append((weight, numbers(step.get("metrics"), f"entry {i}: metrics")))
    if not steps:
        msg = "holds no entry"
        raise ValueError(msg)
    steps.sort(key=lambda step: step[0])
    names = list(dict.fromkeys(name for _, metrics in steps for name in metrics))
    return [
        Chart(name, [Curve(name, _over_weight(steps, name))], x_label="weight") for name in names
    ]


def _over_weight(steps: list[tuple[float, dict[str, float]]], name: str) -> Column:
    known = [(weight, metrics[name]) for weight, metrics in steps if name in metrics]
    return Column([weight for weight, _ in known], [value for _, value in known])
