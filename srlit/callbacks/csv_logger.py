"""`metrics.csv` of a run: one row per logged interval and per validation."""

import csv
import io
import logging
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.loggers import Logger

from srlit.utils.atomic import disk_error, write_text

log = logging.getLogger(__name__)

STEP = "step"
REPLACED = "\N{REPLACEMENT CHARACTER}"


class CSVLogger(Logger):
    """Writes `metrics.csv`; its `step` is the iteration.

    Unlike Lightning's CSVLogger, it continues the file of a resumed run, from the row of the
    checkpoint on.

    Args:
        folder: the run's folder.
    """

    def __init__(self, *, folder: str) -> None:
        super().__init__()
        self.path = Path(folder) / "metrics.csv"
        self._columns = _columns(read_rows(self.path))

    @property
    def name(self) -> str:
        """Required by Lightning."""
        return "rows"

    @property
    def version(self) -> int:
        """Required by Lightning."""
        return 0

    def log_hyperparams(self, *_: object, **__: object) -> None:
        """Nothing to do: they are in config.yaml."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Add a row; new columns go to the right.

        Raises:
            DiskError: the row could not be written.
        """
        row = {STEP: str(step), **{name: repr(float(value)) for name, value in metrics.items()}}
        if not row.keys() <= {*self._columns}:
            rows = [*read_rows(self.path), row]
            self._columns = list(dict.fromkeys([*self._columns, *row]))
            self._write(rows)
            return
        try:
            with self.path.open("a", encoding="utf-8", newline="") as file:
                csv.DictWriter(file, self._columns, lineterminator="\n").writerow(row)
        except OSError as error:
            raise disk_error(self.path, error) from error

    @rank_zero_only
    def rewind(self, iteration: int, validated: int, expected: int) -> None:
        """Remove rows after `iteration`, and rows of validations after `validated`.

        Args:
            iteration: of the checkpoint.
            validated: its last validation's iteration.
            expected: how many rows it knows; a warning tells if fewer are left, and a copy of the
                table is kept.
        """
        rows = [
            row
            for row in read_rows(self.path)
            if int(row[STEP]) <= (validated if is_validation(row) else iteration)
        ]
        if len(rows) < expected:
            log.warning("%s lacks %d of %d rows", self.path, expected - len(rows), expected)
            if self.path.is_file():
                shutil.copy2(self.path, self.path.with_suffix(".damaged.csv"))
        self._columns = _columns(rows)
        if rows or self.path.is_file():
            self._write(rows)

    @rank_zero_only
    def flush(self) -> None:
        """See that all rows are on the disk, before a checkpoint that counts them is."""
        if self.path.is_file():
            with self.path.open("rb+") as file:
                os.fsync(file.fileno())

    def _write(self, rows: list[dict[str, str]]) -> None:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self._columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self.path, text.getvalue())


def read_rows(path: Path) -> list[dict[str, str]]:
    """Complete rows of a table, without empty cells; none where there is no file."""
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8", errors="replace").replace("\0", REPLACED)
    whole = text[: text.rfind("\n") + 1]  # without a row that a kill cut off
    reader = csv.DictReader(io.StringIO(whole, newline=""))
    complete = (row for row in reader if _is_whole(row))
    return [{name: value for name, value in row.items() if value} for row in complete]


def is_validation(row: Mapping[str, str]) -> bool:
    """Whether a validation wrote this row."""
    return any(name.startswith("val/") for name in row)


def _is_whole(row: Mapping[Any, Any]) -> bool:
    """Whether a row has a step, as many cells as columns, and no damaged byte."""
    text = "".join(map(str, row.values()))
    as_long = None not in row and None not in row.values()
    return as_long and row.get(STEP, "").isdecimal() and REPLACED not in text


def _columns(rows: Iterable[Mapping[str, str]]) -> list[str]:
    """Columns in order of appearance."""
    return list(dict.fromkeys(name for row in rows for name in row))
