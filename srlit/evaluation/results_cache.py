"""Measured values on disk, so that an interrupted evaluation continues where it stopped."""

import json
from collections import defaultdict
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from srlit.utils.atomic import REFUSALS, disk_error
from srlit.utils.small_files import parse_json

Values = dict[str, float]


class ResultsCache:
    """Measured values by method and photo, one line of JSON each, appended as they are measured.

    Fingerprints of everything that a value depends on identify method and photo, so an entry never
    becomes stale. Lines that a kill or a full disk cut short are skipped.

    Args:
        path: the file; None keeps the values in memory only.
        context: fingerprint of whatever else the values depend on, such as the degradation.
    """

    def __init__(self, path: Path | None = None, context: str = "") -> None:
        self.path, self.context = path, context
        self._values: defaultdict[tuple[str, str], Values] = defaultdict(dict)
        content = path.read_text("utf-8", "replace") if path and path.exists() else ""
        for line in content.splitlines():
            self._read(line)
        # An entry that was cut short keeps its line to itself.
        self._line_start = "\n" if content and not content.endswith("\n") else ""

    def _read(self, line: str) -> None:
        with suppress(ValueError, KeyError, TypeError, AttributeError):
            entry = parse_json(line)
            values = {str(name): float(value) for name, value in entry["values"].items()}
            self._values[str(entry["method"]), str(entry["photo"])] |= values

    def has(self, method: str, photos: Collection[str], metrics: Collection[str] = ()) -> bool:
        """Whether there is an entry of a method on each photo, with all of the metrics."""
        entries = [self._values.get((method, photo)) for photo in photos]
        return all(entry is not None and entry.keys() >= set(metrics) for entry in entries)

    def get(self, method: str, photo: str, metrics: Collection[str]) -> Values:
        """The values of a method on a photo.

        Raises:
            KeyError: one of the metrics has not been measured.
        """
        return {name: self._values[method, photo][name] for name in metrics}

    def add(self, method: str, photo: str, values: Values) -> None:
        """Add values; they are in the file when this returns.

        Raises:
            DiskError: the disk is full or read-only.
        """
        self._values[method, photo] |= values
        if self.path is None:
            return
        line = json.dumps({"method": method, "photo": photo, "values": values})
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(f"{self._line_start}{line}\n")
            self._line_start = ""
        except OSError as error:
            if error.errno not in REFUSALS:
                raise
            raise disk_error(self.path, error) from error
