"""Quality over a grid of degradation parameters."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import torch

from srlit.degradation.pipeline import Degradation
from srlit.degradation.recorded_draws import DrawsError
from srlit.evaluation.tables import format_value
from srlit.metrics.registry import higher_is_better

Grid = Mapping[str, Sequence[float]]
Means = Mapping[str, float]
Setting = dict[str, float]


class RobustnessMap(NamedTuple):
    """A metric over two parameters.

    Attributes:
        fixed: the grid's other parameters, and their values in this map.
        axes: the parameters that change from row to row and from column to column, and their
            values.
        metric: what was measured.
        models: method to its means, (rows, columns).
    """

    fixed: Setting
    axes: list[tuple[str, list[float]]]
    metric: str
    models: dict[str, np.ndarray]

    def as_json(self) -> dict[str, Any]:
        """The map as in `robustness.json`; null stands for NaN."""
        axes = [{"name": name, "values": values} for name, values in self.axes]
        models = {
            n: np.where(np.isnan(m), np.array(None), m).tolist() for n, m in self.models.items()
        }
        return {"where": self.fixed, "axes": axes, "metric": self.metric, "models": models}

    def worst_cell(self, method: str) -> tuple[int, int]:
        """Row and column of a method's worst value."""
        matrix = self.models[method]
        worst = matrix.argmin() if higher_is_better(self.metric) else matrix.argmax()
        return divmod(int(worst), matrix.shape[1])

    def worst(self, method: str) -> str:
        """Where a method is worst, and its value there."""
        cell = self.worst_cell(method)
        where = {axis: values[i] for i, (axis, values) in zip(cell, self.axes, strict=True)}
        value = f"{self.metric} {format_value(float(self.models[method][cell]), self.metric)}"
        return f"{method} is worst at {describe(where | self.fixed)}: {value}"


def describe(setting: Setting) -> str:
    """Parameters and their values as text."""
    return ", ".join(f"{name} {value:g}" for name, value in setting.items())


def check_grid(grid: Grid, degradation: Degradation) -> None:
    """See that a grid is made of parameters that the degradation draws.

    Raises:
        DrawsError: it has fewer than two parameters, an unknown one, or one without values.
    """
    drawn = degradation.sample(torch.zeros(1, dtype=torch.int64))
    numbers = {n for n, value in drawn.items() if value.ndim == 1 and not n.endswith("key")}
    known = sorted(numbers - degradation.chain.names.keys())
    if len(grid) < 2:
        raise DrawsError(f"grid={dict(grid)}: expected at least two of {', '.join(known)}")
    for name in grid:
        if name not in known:
            raise DrawsError(f"grid.{name}: {degradation.name} draws {', '.join(known)}")


def grid_settings(grid: Grid) -> list[Setting]:
    """Every cell of a grid: parameter to value; the last parameter changes fastest."""
    return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]


def robustness_maps(grid: Grid, metric: str, means: Sequence[Means]) -> list[RobustnessMap]:
    """Maps over the first two parameters, one for each setting of the others.

    Args:
        grid: parameter to values.
        metric: what was measured.
        means: method to mean, one mapping per cell in the order of `grid_settings`.
    """
    shape = [len(values) for values in grid.values()]
    arrays = {name: np.reshape([cell[name] for cell in means], shape) for name in means[0]}
    axes = [(name, list(values)) for name, values in grid.items()]
    maps = []
    for others in np.ndindex(*shape[2:]):
        fixed = {name: values[i] for i, (name, values) in zip(others, axes[2:], strict=True)}
        models = {name: array[:, :, *others] for name, array in arrays.items()}
        maps.append(RobustnessMap(fixed, axes[:2], metric, models))
    return maps
