"""Metrics between two networks: `interpolation.json`, a list of {weight, metrics}.

The weight is that of the second network, 0 to 1; metrics is an object of numbers.
"""

from pathlib import Path
from typing import Annotated

from annotated_types import Len
from pydantic import BaseModel

from srlit.reports.curves import Chart, Curve
from srlit.reports.run_folders import Column
from srlit.reports.warnings import read_json

FILE = "interpolation.json"


class _Step(BaseModel):
    weight: float
    metrics: dict[str, float]


def read_interpolation(path: Path) -> list[Chart]:
    """One chart per metric, over the weight.

    Raises:
        ValueError: the file does not hold what the module's docstring says.
    """
    steps: list[_Step] = read_json(path, Annotated[list[_Step], Len(min_length=1)])
    steps.sort(key=lambda step: step.weight)
    names = list(dict.fromkeys(name for step in steps for name in step.metrics))
    return [
        Chart(name, [Curve(name, _over_weight(steps, name))], x_label="weight") for name in names
    ]


def _over_weight(steps: list[_Step], name: str) -> Column:
    known = [step for step in steps if name in step.metrics]
    return Column([step.weight for step in known], [step.metrics[name] for step in known])
