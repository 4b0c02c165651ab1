"""HTML tables: cells with marks for the best value and differences to the reference."""

import datetime as dt
import math
from collections.abc import Sequence
from typing import NamedTuple

from srlit.evaluation.tables import Row, best_value, format_value
from srlit.reports.axis import MINUS
from srlit.reports.evaluations import REFERENCE, Evaluation, falls_or_rises
from srlit.reports.run_folders import Run


class Cell(NamedTuple):
    """A cell.

    Attributes:
        text: its value.
        best: whether it is the best of its column.
        delta: the difference to the reference, signed; empty without one.
        gain: 1 where the difference is to the better, -1 to the worse, 0 otherwise.
    """

    text: str
    best: bool = False
    delta: str = ""
    gain: int = 0


class Table(NamedTuple):
    """A table.

    Attributes:
        title: what it is about.
        note: how to read it.
        columns: names, with whether more is better, None where that is not known.
        rows: the first cell is the row's name.
        tones: colours of the rows; empty where rows have none.
    """

    title: str
    note: str
    columns: list[tuple[str, bool | None]]
    rows: list[list[Cell]]
    tones: Sequence[int] = ()


def evaluation_table(evaluation: Evaluation) -> Table:
    """All methods; differences to bicubic where it was measured."""
    rows, base = evaluation.rows, evaluation.row(REFERENCE)
    columns = [("method", None), *((name, falls_or_rises(name)) for name in evaluation.metrics)]
    cells = [
        [Cell(row["name"]), *(metric_cell(name, row, rows, base) for name in evaluation.metrics)]
        for row in rows
    ]
    count = f"{len(evaluation.photos)} photos. " if evaluation.photos else ""
    note = f"{count}Small numbers: difference to {REFERENCE}." if base else count
    return Table(evaluation.title, note, columns, cells)


def runs_table(runs: Sequence[Run]) -> Table:
    """Selected checkpoints, one row per run."""
    rows: list[Row] = [(run.selected.metrics if run.selected else {}) for run in runs]
    # Losses of different terms and weights cannot be compared.
    metrics = list(dict.fromkeys(name for row in rows for name in row if name != "loss"))
    known = [row for row in rows if all(name in row for name in metrics)]
    facts = ("run", "status", "time", "iterations", "selected")
    columns = [
        *((name, None) for name in facts),
        *((name, falls_or_rises(name)) for name in metrics),
    ]
    cells = []
    for run, row in zip(runs, rows, strict=True):
        status = run.record.status if run.record else "—"
        selected = f"{run.selected.iteration:,}" if run.selected else "—"
        texts = (run.name, status, duration(run), f"{run.iterations:,}", selected)
        cells.append(
            [*map(Cell, texts), *(metric_cell(name, row, known, None) for name in metrics)]
        )
    note = "Metrics of the selected checkpoints on their own validation photos."
    return Table("Runs", note, columns, cells, [i % 8 for i in range(len(runs))])


def metric_cell(name: str, row: Row, rows: Sequence[Row], base: Row | None) -> Cell:
    """A metric of a row, and its difference to the reference's."""
    if name not in row:
        return Cell("—")
    known = [other for other in rows if math.isfinite(other[name])]
    best = falls_or_rises(name) is not None and row[name] == best_value(name, known)
    compared = difference(name, row[name], base[name]) if base and base is not row else ("", 0)
    return Cell(format_value(row[name]), best, *compared)


def difference(metric: str, value: float, base: float) -> tuple[str, int]:
    """A signed difference as text, and whether it is a gain, 1, or a loss, -1."""
    change = value - base
    digits = 2 if abs(base) >= 10 else 4
    if not math.isfinite(change) or round(change, digits) == 0:
        return ("±0" if math.isfinite(change) else "", 0)
    rises = falls_or_rises(metric)
    gain = 0 if rises is None else 1 if (change > 0) == rises else -1
    return f"{change:+.{digits}f}".replace("-", MINUS), gain


def duration(run: Run) -> str:
    """How long a run took, if it has ended."""
    if run.record is None or run.record.ended is None:
        return "—"
    minutes, seconds = divmod(round(run.record.ended - run.record.started), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"


def day(seconds: float) -> str:
    """A time as a date, in UTC."""
    moment = dt.datetime.fromtimestamp(seconds, dt.UTC)
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"
