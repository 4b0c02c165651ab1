"""`metrics.csv` of a run: one row per logged interval and per validation."""

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path

from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.loggers import Logger

from srlit.utils.atomic import disk_error, write_text

STEP = "step"


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
    def rewind(self, iteration: int, validated: int) -> None:
        """Remove rows after `iteration`, and rows of validations after `validated`."""
        if not self.path.is_file():
            return
        rows = [
            row
            for row in read_rows(self.path)
            if int(row[STEP]) <= (validated if is_validation(row) else iteration)
        ]
        self._columns = _columns(rows)
        self._write(rows)

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
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]  # without a row that a kill cut off
    reader = csv.DictReader(io.StringIO(whole, newline=""))
    complete = (row for row in reader if (row.get(STEP) or "").isdecimal())
    return [{name: value for name, value in row.items() if value} for row in complete]


def is_validation(row: Mapping[str, str]) -> bool:
    """Whether a validation wrote this row."""
    return any(name.startswith("val/") for name in row)


def _columns(rows: Iterable[Mapping[str, str]]) -> list[str]:
    """Columns in order of appearance."""
    return list(dict.fromkeys(name for row in rows for name in row))
