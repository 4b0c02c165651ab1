"""Reading run folders: record, configuration, logged columns, selected checkpoint."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel

from srlit.callbacks.csv_logger import STEP, read_rows
from srlit.checkpoint.runs import BEST, RECORD, RunRecord, read_record
from srlit.reports.warnings import Warnings, read_json
from srlit.utils.small_files import read_yaml

METRICS = "metrics.csv"
CONFIG = "config.yaml"


class Column(NamedTuple):
    """A logged quantity over the iterations; NaN and infinity are kept.

    Attributes:
        x: iterations, ascending.
        y: values.
    """

    x: list[float]
    y: list[float]


class Selected(BaseModel):
    """The selected checkpoint, as `best.json` describes it.

    Attributes:
        iteration: when it was saved.
        rule: what selected it, as text.
        metrics: on the validation images.
        checkpoint: its file below the run's folder.
    """

    iteration: int
    metrics: dict[str, float]
    rule: str = ""
    checkpoint: str = ""


class Run(NamedTuple):
    """A run's folder; parts that are missing or damaged are empty.

    Attributes:
        folder: where it lies.
        name: what the report calls it.
        record: how it was started and ended.
        selected: the checkpoint that was selected.
        config: the whole configuration.
        columns: what was logged, by its name in `metrics.csv`.
    """

    folder: Path
    name: str
    record: RunRecord | None
    selected: Selected | None
    config: dict[str, Any]
    columns: dict[str, Column]

    def column(self, name: str) -> Column:
        """A logged column; empty where it was not logged."""
        return self.columns.get(name, Column([], []))

    @property
    def iterations(self) -> int:
        """How far the training got, as far as it logged."""
        return int(max((column.x[-1] for column in self.columns.values()), default=0))

    @property
    def scale(self) -> int | None:
        """By how much it enlarges, where the configuration says so."""
        scale = self.config.get("scale")
        return scale if isinstance(scale, int) and not isinstance(scale, bool) else None


def is_run(folder: Path) -> bool:
    """Whether `srlit.train` worked in a folder."""
    return any((folder / name).is_file() for name in (RECORD, METRICS, BEST))


def read_run(folder: Path, name: str, warnings: Warnings) -> Run:
    """A run without its images; what cannot be read becomes a warning."""
    return Run(
        folder=folder,
        name=name,
        record=warnings.attempt(_record, folder / RECORD, None),
        selected=warnings.attempt(_selected, folder / BEST, None),
        config=warnings.attempt(read_yaml, folder / CONFIG, {}),
        columns=warnings.attempt(lambda path: read_columns(path, warnings), folder / METRICS, {}),
    )


def read_columns(path: Path, warnings: Warnings) -> dict[str, Column]:
    """The table of a run by columns; a cell that is no number is noted and becomes a gap.

    Raises:
        ValueError: there is text, but no row.
        OSError: there is no such file.
    """
    rows = read_rows(path)
    if not rows:
        problem = "has no complete row" if path.is_file() else "is not there"
        raise ValueError(f"{problem}: nothing was logged in this folder, or the file is damaged")
    cells: dict[str, dict[float, float]] = {}
    broken = 0
    for row in sorted(rows, key=lambda row: int(row[STEP])):
        for name, text in _named(row):
            value = _number(text)
            broken += value is None
            cells.setdefault(name, {})[int(row[STEP])] = math.nan if value is None else value
    if broken:
        warnings.append(f"{path}: {broken} cells are no numbers; the curves have gaps there")
    return {name: Column(list(found), list(found.values())) for name, found in cells.items()}


def _named(row: dict[str, str]) -> Iterator[tuple[str, str]]:
    """The cells that have a column; csv keeps those beyond the last one as a list under None."""
    for name, text in row.items():
        if isinstance(name, str) and isinstance(text, str) and name != STEP:
            yield name, text


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _record(path: Path) -> RunRecord | None:
    if not path.is_file():
        return None
    record = read_record(path.parent)
    if record is None or not isinstance(record.started, (int, float)):
        raise ValueError("is damaged: how the run was started and ended is not known")
    return record


def _selected(path: Path) -> Selected | None:
    """The selected checkpoint; None before the first validation."""
    selected: Selected | None = read_json(path, Selected) if path.is_file() else None
    return selected
