"""Reading evaluations: the table of means and the values per photo."""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from srlit.evaluation.summary import LABELS
from srlit.evaluation.tables import Row
from srlit.metrics.registry import higher_is_better
from srlit.reports.warnings import Warnings, read_typed_json
from srlit.utils.small_files import plain_text

TABLE = "table.json"
PHOTOS = "photos.csv"
REFERENCE = "bicubic"
BASELINES = ("nearest", "bilinear", REFERENCE, "lanczos")


class Photo(NamedTuple):
    """A photo of an evaluation.

    Attributes:
        number: of the evaluation's photos; its comparison image's name begins with it.
        name: of its file.
        values: method to metric to value.
    """

    number: int
    name: str
    values: dict[str, dict[str, float]]


class Evaluation(NamedTuple):
    """The results of `srlit.evaluate` in a folder.

    Attributes:
        folder: where it lies.
        title: which photos, under which degradation.
        rows: one per method: its name and the mean of each metric.
        photos: every photo, in order.
    """

    folder: Path
    title: str
    rows: list[Row]
    photos: list[Photo]

    @property
    def methods(self) -> list[str]:
        """Names of the methods, in their order in tables and comparison images."""
        return [row["name"] for row in self.rows]

    def row(self, method: str | None) -> Row | None:
        """The row of a method; None where it was not measured."""
        return next((row for row in self.rows if row["name"] == method), None)

    @property
    def metrics(self) -> list[str]:
        """Names of the metrics."""
        return [name for name in self.rows[0] if name != "name"]

    @property
    def ranked_method(self) -> str:
        """The method whose photos are ranked: the last one, as networks follow the baselines."""
        return self.methods[-1]


class _TableRow(BaseModel):
    """A row of `table.json`: a name, labels, and numbers."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, float | str]
    name: str


def is_evaluation(folder: Path) -> bool:
    """Whether `srlit.evaluate` worked in a folder; a sweep has a table, but no photos."""
    return (folder / TABLE).is_file() and (folder / PHOTOS).is_file()


def read_evaluation(folder: Path, warnings: Warnings) -> Evaluation | None:
    """An evaluation; None where its table is damaged, which is noted."""
    rows: list[Row] = warnings.attempt(read_table, folder / TABLE, [])
    if not rows:
        return None
    photos: list[Photo] = warnings.attempt(read_photos, folder / PHOTOS, [])
    return Evaluation(folder, _title(folder), rows, photos)


def read_table(path: Path) -> list[Row]:
    """`table.json`: rows of a name and numbers, all with the same keys.

    Raises:
        ValueError: it holds something else.
    """
    read: list[_TableRow] = read_typed_json(path, list[_TableRow])
    rows = [row.model_dump(exclude=set(LABELS)) for row in read]
    if not rows or any(row.keys() != rows[0].keys() for row in rows):
        raise ValueError("expected rows of equal keys, at least one")
    return rows


def read_photos(path: Path) -> list[Photo]:
    """`photos.csv`: one row per method and photo; each method's photos are in order.

    Raises:
        ValueError: a column is missing, or a cell is no number.
    """
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    photos: dict[int, Photo] = {}
    counts: Counter[str] = Counter()
    for line, row in enumerate(rows, 2):
        if None in row or None in row.values() or not {"name", "photo"} <= row.keys():
            raise ValueError(f"line {line} is not whole, or name and photo are no columns")
        method, photo = (plain_text(row.pop(key)) for key in ("name", "photo"))
        try:
            values = {metric: float(text) for metric, text in row.items() if metric not in LABELS}
        except ValueError as error:
            raise ValueError(f"line {line}: {error}") from error
        number = counts[method]
        photos.setdefault(number, Photo(number, photo, {})).values[method] = values
        counts[method] += 1
    return list(photos.values())


def _title(folder: Path) -> str:
    """Data set and degradation, from the first line of `table.md`."""
    path = folder / "table.md"
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    first = text.partition("\n")[0].strip()
    return first if first and not first.startswith("|") else folder.name


def falls_or_rises(metric: str) -> bool | None:
    """Whether more of a metric is better; None where that is not known."""
    try:
        return higher_is_better(metric)
    except ValueError:
        return None


def deciding_metric(metrics: Sequence[str]) -> str | None:
    """The metric that photos are ranked by: LPIPS, or else the first whose direction is known."""
    known = [name for name in metrics if falls_or_rises(name) is not None]
    return next((name for name in metrics if name.startswith("lpips")), known[0] if known else None)


def ranked(photos: Sequence[Photo], method: str, metric: str) -> list[Photo]:
    """Photos from the worst to the best; those without a finite value are left out."""
    sign = 1 if falls_or_rises(metric) else -1
    known = [p for p in photos if abs(p.values.get(method, {}).get(metric, float("nan"))) < 1e30]
    return sorted(known, key=lambda photo: sign * photo.values[method][metric])


def row_of(run: str, evaluation: Evaluation) -> str | None:
    """The method that a run is in a table: its own name, or the end of it ('phase 1')."""
    names = [name for name in evaluation.methods if name not in BASELINES]
    if run in names:
        return run
    plain = {name: re.sub(r"\W|_", "", name).lower() for name in (run, *names)}
    ends = [name for name in names if plain[name] and plain[run].endswith(plain[name])]
    return ends[0] if len(ends) == 1 else None
