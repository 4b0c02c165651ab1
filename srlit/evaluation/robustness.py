"""Quality over a grid of degradation parameters."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import torch

from srlit.degradation.pipeline import Degradation
from srlit.degradation.recorded_draws import DrawsError
from srlit.metrics.registry import higher_is_better

Grid = Mapping[str, Sequence[float]]
Setting = dict[str, float]


class Axis(NamedTuple):
    """A parameter and its values."""

    name: str
    values: list[float]


class RobustnessMap(NamedTuple):
    """A metric over two parameters.

    Attributes:
        fixed: the grid's other parameters, and their values in this map.
        rows: the parameter that changes from row to row.
        columns: the parameter that changes from column to column.
        metric: what was measured.
        models: method to its means, (rows, columns).
    """

    fixed: Setting
    rows: Axis
    columns: Axis
    metric: str
    models: dict[str, np.ndarray]

    def as_json(self) -> dict[str, Any]:
        """The map as in `robustness.json`; null stands for NaN."""
        return {
            "where": self.fixed,
            "axes": [axis._asdict() for axis in (self.rows, self.columns)],
            "metric": self.metric,
            "models": {
                name: np.where(np.isnan(matrix), np.array(None), matrix).tolist()
                for name, matrix in self.models.items()
            },
        }

    def worst_cell(self, method: str) -> tuple[int, int]:
        """Row and column of a method's worst value."""
        matrix = self.models[method]
        worst = matrix.argmin() if higher_is_better(self.metric) else matrix.argmax()
        row, column = divmod(int(worst), matrix.shape[1])
        return row, column

    def worst(self) -> list[str]:
        """One line per method: where it is worst, and its value there."""
        lines = []
        for name, matrix in self.models.items():
            row, column = self.worst_cell(name)
            setting = {
                self.rows.name: self.rows.values[row],
                self.columns.name: self.columns.values[column],
            }
            value = f"{self.metric} {matrix[row, column]:.4g}"
            lines.append(f"{name} is worst at {describe(setting | self.fixed)}: {value}")
        return lines


def describe(setting: Setting) -> str:
    """Parameters and their values as text."""
    return ", ".join(f"{name} {value:g}" for name, value in setting.items())


def check_grid(grid: Grid, degradation: Degradation) -> None:
    """See that a grid is made of parameters that the degradation draws.

    Raises:
        DrawsError: it has fewer than two parameters, an unknown one, or one without values.
    """
    drawn = degradation.sample(torch.zeros(1, dtype=torch.int64))
    known = sorted(
        name
        for name, value in drawn.items()
        if value.ndim == 1 and not name.endswith("key") and name not in degradation.chain.names
    )
    if len(grid) < 2:
        msg = f"grid={dict(grid)}: expected at least two of {', '.join(known)}"
        raise DrawsError(msg)
    for name, values in grid.items():
        if name not in known:
            msg = f"grid.{name}: degradation {degradation.name!r} draws {', '.join(known)}"
            raise DrawsError(msg)
        if len(values) == 0:
            msg = f"grid.{name}=[]: expected at least one value"
            raise DrawsError(msg)


def grid_settings(grid: Grid) -> list[Setting]:
    """Every cell of a grid: parameter to value; the last parameter changes fastest."""
    return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]


def robustness_maps(
    grid: Grid, metric: str, means: Mapping[tuple[float, ...], Mapping[str, float]]
) -> list[RobustnessMap]:
    """Maps over the first two parameters, one for each setting of the others.

    Args:
        grid: parameter to values.
        metric: what was measured.
        means: a cell's values, in the grid's order, to method and mean.
    """
    rows, columns, *others = (Axis(name, list(values)) for name, values in grid.items())
    methods = next(iter(means.values()))
    maps = []
    for values in product(*(axis.values for axis in others)):
        models = {
            method: np.array(
                [[means[r, c, *values][method] for c in columns.values] for r in rows.values]
            )
            for method in methods
        }
        fixed = dict(zip((axis.name for axis in others), values, strict=True))
        maps.append(RobustnessMap(fixed, rows, columns, metric, models))
    return maps
