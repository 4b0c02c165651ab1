"""Finding runs and evaluations in the named folders, and reading runs."""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel

from srlit.callbacks.csv_logger import STEP, read_rows
from srlit.checkpoint.runs import BEST, RECORD, RunRecord, read_record
from srlit.reports.evaluations import Evaluation, is_evaluation, read_evaluation, row_of
from srlit.reports.warnings import Warnings, read_typed_json
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

    def pairs(self) -> Iterator[tuple[float, float]]:
        """Iterations with their values."""
        return zip(self.x, self.y, strict=True)


class Selected(BaseModel):
    """The selected checkpoint, as `best.json` describes it.

    Attributes:
        iteration: when it was saved.
        rule: what selected it, as text.
        metrics: on the validation images.
    """

    iteration: int
    metrics: dict[str, float]
    rule: str = ""


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


def is_run(folder: Path) -> bool:
    """Whether `srlit.train` worked in a folder."""
    return any((folder / name).is_file() for name in (RECORD, METRICS, BEST))


def read_run(folder: Path, name: str, warnings: Warnings) -> Run:
    """A run without its images; what cannot be read becomes a warning."""
    attempt, columns = warnings.attempt, partial(read_columns, warnings=warnings)
    select = partial(read_typed_json, kind=Selected)
    return Run(
        folder=folder,
        name=name,
        record=attempt(_record, folder / RECORD, None, optional=True),
        selected=attempt(select, folder / BEST, None, optional=True),
        config=attempt(read_yaml, folder / CONFIG, {}),
        columns=attempt(columns, folder / METRICS, {}),
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
        for name, text in row.items():
            # csv keeps cells beyond the last column as a list under None.
            if name == STEP or not isinstance(name, str) or not isinstance(text, str):
                continue
            value = _number(text)
            broken += value is None
            cells.setdefault(name, {})[int(row[STEP])] = math.nan if value is None else value
    if broken:
        warnings.append(f"{path}: {broken} cells are no numbers; the curves have gaps there")
    return {name: Column(list(found), list(found.values())) for name, found in cells.items()}


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _record(path: Path) -> RunRecord:
    record = read_record(path.parent)
    if record is None:
        raise ValueError("is damaged: how the run was started and ended is not known")
    return record


# -- finding ------------------------------------------------------------------------------------


class Subjects(NamedTuple):
    """The runs and evaluations of a report.

    Attributes:
        runs: in the order in which they were named, or started.
        evaluations: of these runs.
        folders: every folder that may hold further results, the named ones first.
    """

    runs: list[Run]
    evaluations: list[Evaluation]
    folders: list[Path]


def find_subjects(named: Sequence[Path], warnings: Warnings) -> Subjects:
    """Runs and evaluations in the named folders, one level below, and evaluations next to the runs.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: a folder without a run or evaluation.
    """
    inside = [folder for path in named for folder in _work_in(path)]
    folders = [folder for folder in _unique(inside) if is_run(folder)]
    names = _names(folders)
    runs = [read_run(folder, names[folder], warnings) for folder in folders]
    parents = _unique(folder.absolute().parent for folder in folders)
    nearby = [folder for parent in parents for folder in [parent, *sorted(parent.iterdir())]]
    evaluations = [
        found
        for folder in filter(is_evaluation, _unique([*inside, *nearby]))
        if (found := read_evaluation(folder, warnings)) is not None
        # One that nobody named must have a row of one of the runs.
        and (folder in inside or any(row_of(run.name, found) for run in runs))
    ]
    every = _unique([*named, *folders, *(found.folder for found in evaluations)])
    return Subjects(runs, evaluations, every)


def _work_in(path: Path) -> list[Path]:
    """The folder, if something was done in it, and those one level below; the oldest first."""
    if not path.is_dir():
        raise FileNotFoundError(f"{path}: no such folder: expected one of a run, or of several")
    below = sorted((child for child in path.iterdir() if child.is_dir()), key=_age)
    found = [folder for folder in [path, *below] if is_run(folder) or is_evaluation(folder)]
    if not found:
        raise ValueError(
            f"{path}: neither a run (no run.json, metrics.csv or best.json), nor an evaluation "
            "(no table.json with photos.csv), nor a folder of such folders"
        )
    return found


def _age(folder: Path) -> tuple[float, str]:
    """Sort key: when its configuration was written, which a finished run leaves as it is."""
    config = folder / "config.yaml"
    return (config.stat().st_mtime if config.is_file() else float("inf")), folder.name


def _names(folders: Sequence[Path]) -> dict[Path, str]:
    """A folder's name, with as much of its path as tells it from the others."""
    whole = {folder: folder.absolute().parts for folder in folders}
    for length in itertools.count(1):
        names = {folder: str(Path(*parts[-length:])) for folder, parts in whole.items()}
        if len(set(names.values())) == len(names):
            break
    return names


def _unique(folders: Iterable[Path]) -> list[Path]:
    """Each folder once, however it was named."""
    found: dict[Path, Path] = {}
    for folder in folders:
        found.setdefault(folder.resolve(), folder)
    return list(found.values())
