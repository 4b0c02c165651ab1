"""Robustness: a metric over two strengths of a degradation, as one map per model.

`robustness.json` is a list of objects, one per map, of

    where    other parameters of the degradation and their values, the same for the whole map
    axes     two objects {name, values}: rows, then columns; values are numbers or texts
    metric   what was measured, such as lpips_alex
    models   name to matrix, a list of rows; null where nothing was measured. The first model is
             what the last one is compared with
"""

import math
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from annotated_types import Len
from jaxtyping import Float64
from pydantic import AfterValidator, BaseModel

from srlit.reports.axis import MINUS
from srlit.reports.configuration import as_text
from srlit.reports.evaluations import falls_or_rises
from srlit.reports.warnings import read_typed_json

FILE = "robustness.json"
LEVELS = 10

Matrix = Float64[np.ndarray, "rows columns"]
Text = Annotated[Any, AfterValidator(as_text)]


class Cell(NamedTuple):
    """A cell of a map.

    Attributes:
        text: its value; empty where nothing was measured.
        level: how strong its colour is, 0 to `LEVELS`; below 0 in the other colour.
        worst: whether it is the worst of its map.
    """

    text: str = ""
    level: int = 0
    worst: bool = False


class Map(NamedTuple):
    """A map laid out.

    Attributes:
        title: the model, or which is compared with which.
        diverging: whether two colours tell better from worse.
        cells: by rows.
        worst: value and position of the worst cell, as text.
    """

    title: str
    diverging: bool
    cells: list[list[Cell]]
    worst: str


class MapAxis(BaseModel):
    """An axis of a map: what varies along it, and its values as text."""

    name: str
    values: list[Text]


class Robustness(BaseModel):
    """One object of the file; see the module's docstring."""

    axes: tuple[MapAxis, MapAxis]
    metric: str
    models: Annotated[dict[str, list[list[float | None]]], Len(min_length=1)]
    where: dict[str, Text] = {}

    @property
    def rises(self) -> bool:
        """Whether more of the metric is better."""
        return bool(falls_or_rises(self.metric))

    def maps(self) -> list[Map]:
        """One map per model, on a scale that all share; then the last model minus the first."""
        matrices = [np.array(rows, float) for rows in self.models.values()]
        values = [value for matrix in matrices for value in _finite(matrix)]
        low, high = min(values, default=0.0), max(values, default=0.0)
        maps = []
        for name, matrix in zip(self.models, matrices, strict=True):
            fraction = (matrix - low) / ((high - low) or 1.0)
            maps.append(self._map(name, matrix, 1 - fraction if self.rises else fraction))
        return maps + ([self._difference(matrices)] if len(matrices) > 1 else [])

    def _difference(self, matrices: list[Matrix]) -> Map:
        """Last model minus first; the worst cell has the smallest gain or the largest loss."""
        first, *_, last = self.models
        change = matrices[-1] - matrices[0]
        badness = (-change if self.rises else change) / (
            max(map(abs, _finite(change)), default=0.0) or 1.0
        )
        return self._map(f"{last} {MINUS} {first}", change, badness, diverging=True)

    def _map(self, title: str, matrix: Matrix, badness: Matrix, *, diverging: bool = False) -> Map:
        """A map; `badness` is the strength of the colours, up to 1."""
        values = _finite(matrix)
        worst = (min if self.rises else max)(values, default=0.0)
        digits = 2 if max(map(abs, values), default=0.0) >= 10 else 3

        def text(value: float) -> str:
            return f"{value:{'+' if diverging else ''}.{digits}f}".replace("-", MINUS)

        cells = [
            [
                Cell(text(v), round(LEVELS * bad), v == worst) if math.isfinite(v) else Cell()
                for v, bad in zip(*lines, strict=True)
            ]
            for lines in zip(matrix.tolist(), badness.tolist(), strict=True)
        ]
        found = np.argwhere(matrix == worst).tolist()
        summary = f"{text(worst)} at {self._place(*found[0])}" if found else ""
        return Map(title, diverging, cells, summary or "nothing was measured")

    def _place(self, *position: int) -> str:
        """Where a cell is: the values along both axes."""
        pairs = zip(self.axes, position, strict=True)
        return ", ".join(f"{axis.name} {axis.values[i]}" for axis, i in pairs)


def read_robustness(path: Path) -> list[Robustness]:
    """Read `robustness.json`.

    Raises:
        ValueError: it does not hold what the module's docstring says.
    """
    found: list[Robustness] = read_typed_json(path, list[Robustness])
    for entry in found:
        rows, columns = (len(axis.values) for axis in entry.axes)
        for name, matrix in entry.models.items():
            if [len(line) for line in matrix] != [columns] * rows:
                shape = f"{rows} rows of {columns} values"
                raise ValueError(f"models.{name} is not of {shape}, as axes say")
    return found


def _finite(matrix: Matrix) -> list[float]:
    return matrix[np.isfinite(matrix)].tolist()
