"""Robustness: a metric over two strengths of a degradation, as one map per model.

`robustness.json` is a list of objects, one per map, of

    where    other parameters of the degradation and their values, the same for the whole map
    axes     two objects {name, values}: rows, then columns; values are numbers or texts
    metric   what was measured, such as lpips_alex
    models   name to matrix, a list of rows; null where nothing was measured. The first model is
             what the last one is compared with
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from annotated_types import Len
from pydantic import BaseModel

from srlit.reports.axis import MINUS
from srlit.reports.configuration import as_text
from srlit.reports.evaluations import falls_or_rises
from srlit.reports.warnings import read_json

FILE = "robustness.json"
LEVELS = 10

Matrix = list[list[float]]
Where = Callable[[int, int], str]


class Cell(NamedTuple):
    """A cell of a map.

    Attributes:
        text: its value.
        level: how strong its colour is, 0 to `LEVELS`; below 0 in the other colour.
        worst: whether it is the worst of its map.
    """

    text: str
    level: int
    worst: bool


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


class Robustness(NamedTuple):
    """The maps of one file entry.

    Attributes:
        where: other settings, as text; empty without any.
        metric: what was measured.
        better: 'higher' or 'lower'.
        names: of the two axes, rows first.
        rows: labels.
        columns: labels.
        maps: one per model; then last minus first.
    """

    where: str
    metric: str
    better: str
    names: tuple[str, str]
    rows: list[str]
    columns: list[str]
    maps: list[Map]


class _AxisFile(BaseModel):
    name: str
    values: list[Any]


class _MapFile(BaseModel):
    axes: tuple[_AxisFile, _AxisFile]
    metric: str
    models: Annotated[dict[str, list[list[float | None]]], Len(min_length=1)]
    where: dict[str, Any] = {}


def read_robustness(path: Path) -> list[Robustness]:
    """Read and lay out `robustness.json`.

    Raises:
        ValueError: it does not hold what the module's docstring says.
    """
    return [_robustness(content) for content in read_json(path, list[_MapFile])]


def _robustness(content: _MapFile) -> Robustness:
    (row_name, rows), (column_name, columns) = (
        (axis.name, [as_text(value) for value in axis.values]) for axis in content.axes
    )
    matrices = {
        name: _matrix(matrix, len(rows), len(columns), f"models.{name}")
        for name, matrix in content.models.items()
    }
    rises = bool(falls_or_rises(content.metric))
    where = _describer(row_name, rows, column_name, columns)
    scale = [value for matrix in matrices.values() for value in _finite(matrix)]
    maps = [_map(name, matrix, scale, where, rises=rises) for name, matrix in matrices.items()]
    if len(matrices) > 1:
        maps.append(_difference(matrices, where, rises=rises))
    return Robustness(
        where=", ".join(f"{name} {as_text(value)}" for name, value in content.where.items()),
        metric=content.metric,
        better="higher" if rises else "lower",
        names=(row_name, column_name),
        rows=rows,
        columns=columns,
        maps=maps,
    )


def _matrix(lines: list[list[float | None]], rows: int, columns: int, what: str) -> Matrix:
    """Numbers by rows, NaN for null."""
    if len(lines) != rows or any(len(line) != columns for line in lines):
        raise ValueError(f"{what} is not of {rows} rows of {columns} values, as axes say")
    return [[math.nan if v is None else v for v in line] for line in lines]


def _describer(row_name: str, rows: list[str], column_name: str, columns: list[str]) -> Where:
    return lambda i, j: f"{row_name} {rows[i]}, {column_name} {columns[j]}"


def _map(name: str, matrix: Matrix, scale: Sequence[float], where: Where, *, rises: bool) -> Map:
    """The stronger the colour, the worse, on a scale that all models share."""
    low, high = min(scale, default=0.0), max(scale, default=0.0)

    def level(value: float) -> int:
        fraction = (value - low) / (high - low) if high > low else 0.0
        return round(LEVELS * (1 - fraction if rises else fraction))

    worst = (min if rises else max)(_finite(matrix), default=0.0)
    return _laid_out(name, matrix, where, level, worst, diverging=False)


def _difference(matrices: dict[str, Matrix], where: Where, *, rises: bool) -> Map:
    """Last model minus first; the worst cell has the smallest gain or the largest loss."""
    (first, before), (last, after) = next(iter(matrices.items())), list(matrices.items())[-1]
    matrix = [
        [b - a for a, b in zip(*lines, strict=True)] for lines in zip(before, after, strict=True)
    ]
    largest = max(map(abs, _finite(matrix)), default=0.0)

    def level(value: float) -> int:
        loss = -value if rises else value
        return round(LEVELS * loss / largest) if largest else 0

    worst = (min if rises else max)(_finite(matrix), default=0.0)
    return _laid_out(f"{last} {MINUS} {first}", matrix, where, level, worst, diverging=True)


def _laid_out(
    title: str,
    matrix: Matrix,
    where: Where,
    level: Callable[[float], int],
    worst: float,
    *,
    diverging: bool,
) -> Map:
    digits = 2 if max(map(abs, _finite(matrix)), default=0.0) >= 10 else 3

    def text(value: float) -> str:
        return f"{value:{'+' if diverging else ''}.{digits}f}".replace("-", MINUS)

    cells = [
        [
            Cell(text(v), level(v), v == worst) if math.isfinite(v) else Cell("", 0, worst=False)
            for v in line
        ]
        for line in matrix
    ]
    places = [where(i, j) for i, line in enumerate(cells) for j, c in enumerate(line) if c.worst]
    summary = f"{text(worst)} at {places[0]}" if places else "nothing was measured"
    return Map(title, diverging, cells, summary)


def _finite(matrix: Matrix) -> list[float]:
    return [value for line in matrix for value in line if math.isfinite(value)]
