"""Quality over a grid of degradations: where does a method break down?"""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

from srlit.degradation import Degradation
from srlit.degradation.recorded_draws import DrawsError
from srlit.metrics.ranking import rises

Grid = Mapping[str, Sequence[float]]
Setting = dict[str, float]


class RobustnessMap(NamedTuple):
    """A metric over two parameters.

    Attributes:
        where: the other parameters of the grid, and their values in this map.
        axes: name and values of the rows' parameter, then of the columns'.
        metric: what was measured.
        models: method to means, by rows.
    """

    where: Setting
    axes: tuple[tuple[str, list[float]], tuple[str, list[float]]]
    metric: str
    models: dict[str, list[list[float]]]

    def as_json(self) -> dict[str, Any]:
        """As `robustness.json` holds it."""
        return {
            "where": self.where,
            "axes": [{"name": name, "values": values} for name, values in self.axes],
            "metric": self.metric,
            "models": {
                name: [[None if math.isnan(v) else v for v in row] for row in matrix]
                for name, matrix in self.models.items()
            },
        }

    def worst(self) -> list[str]:
        """A line a method: where it is worst, and how bad."""
        rising = rises(self.metric)
        lines = []
        (rows, row_values), (columns, column_values) = self.axes
        for name, matrix in self.models.items():
            cells = {(i, j): value for i, line in enumerate(matrix) for j, value in enumerate(line)}
            i, j = (min if rising else max)(cells, key=lambda cell: cells[cell])
            where = {rows: row_values[i], columns: column_values[j], **self.where}
            place = ", ".join(f"{key} {value:g}" for key, value in where.items())
            lines.append(f"{name} is worst at {place}: {self.metric} {cells[i, j]:.4g}")
        return lines

    def title(self) -> str:
        """The parameters of all maps but this one's axes, in words."""
        return ", ".join(f"{name} {value:g}" for name, value in self.where.items())


def check_grid(grid: Grid, degradation: Degradation) -> None:
    """See that a grid is one of the degradation's parameters.

    Raises:
        DrawsError: it has fewer than two, or an unknown one, or one without values.
    """
    import torch

    drawn = degradation.sample(torch.zeros(1, dtype=torch.int64))
    known = sorted(
        name
        for name, value in drawn.items()
        if value.ndim == 1 and not name.endswith("key") and name not in degradation.chain.names()
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


def settings_of(grid: Grid) -> Iterator[Setting]:
    """Every cell of a grid: parameter to value; the last parameter runs fastest."""
    for values in product(*grid.values()):
        yield dict(zip(grid, values, strict=True))


def maps_of(
    grid: Grid, metric: str, methods: Sequence[str], means: Mapping[tuple[float, ...], Setting]
) -> list[RobustnessMap]:
    """Maps over the first two parameters, one for each setting of the others.

    Args:
        grid: parameter to values.
        metric: what was measured.
        methods: names.
        means: a cell's values, in the grid's order, to method and mean.
    """
    (rows, row_values), (columns, column_values), *others = grid.items()
    maps = []
    for fixed in product(*(values for _, values in others)):
        matrices = {
            method: [
                [means[row, column, *fixed][method] for column in column_values]
                for row in row_values
            ]
            for method in methods
        }
        axes = (rows, list(row_values)), (columns, list(column_values))
        where = dict(zip((name for name, _ in others), fixed, strict=True))
        maps.append(RobustnessMap(where, axes, metric, matrices))
    return maps
