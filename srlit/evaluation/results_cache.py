"""Measured values on disk, so that an interrupted evaluation continues where it stopped."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path

from srlit.utils.atomic import REFUSALS, disk_error

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
        self._values: dict[tuple[str, str], Values] = {}
        if path is not None and path.exists():
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                self._read(line)

    def _read(self, line: str) -> None:
        try:
            entry = json.loads(line)
            key = str(entry["method"]), str(entry["photo"])
            values = {str(name): float(value) for name, value in entry["values"].items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            return
        self._values.setdefault(key, {}).update(values)

    def has(self, method: str, photo: str, metrics: Collection[str] = ()) -> bool:
        """Whether there is an entry of a method and photo, with all of the metrics."""
        values = self._values.get((method, photo))
        return values is not None and values.keys() >= set(metrics)

    def get(self, method: str, photo: str, metrics: Collection[str]) -> Values:
        """The values of a method on a photo.

        Raises:
            KeyError: one of the metrics has not been measured.
        """
        values = self._values[method, photo]
        return {name: values[name] for name in metrics}

    def add(self, method: str, photo: str, values: Mapping[str, float]) -> None:
        """Add values; they are in the file when this returns.

        Raises:
            DiskError: the disk is full or read-only.
        """
        self._values.setdefault((method, photo), {}).update(values)
        if self.path is None:
            return
        line = json.dumps({"method": method, "photo": photo, "values": dict(values)})
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                # An entry that was cut short keeps its line to itself.
                file.write(f"{line}\n" if _ends_with_newline(self.path) else f"\n{line}\n")
        except OSError as error:
            if error.errno not in REFUSALS:
                raise
            raise disk_error(self.path, error) from error


def _ends_with_newline(path: Path) -> bool:
    """Whether a file is empty or ends with a complete line."""
    with path.open("rb") as file:
        if file.seek(0, 2) == 0:
            return True
        file.seek(-1, 2)
        return file.read() == b"\n"
