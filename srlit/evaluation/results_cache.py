"""What has been measured so far, so that an evaluation goes on where it was stopped."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path

from srlit.utils.atomic import REFUSALS, disk_error

Values = dict[str, float]


class ResultsCache:
    """Measured values by method and photo, a line of JSON each, appended as they come.

    Method and photo are told apart by fingerprints of all that a value depends on, so that a line
    holds for good: the same weights on the same pixels. Lines that a kill or a full disk cut short
    are passed over.

    Args:
        path: the file; None keeps everything in memory only.
        context: fingerprint of whatever else the values depend on, such as the degradation.
    """

    def __init__(self, path: Path | None = None, context: str = "") -> None:
        self.path, self.context = path, context
        self._values: dict[tuple[str, str], Values] = {}
        if path is not None and path.exists():
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                self._take(line)

    def _take(self, line: str) -> None:
        try:
            entry = json.loads(line)
            key = str(entry["method"]), str(entry["photo"])
            values = {str(name): float(value) for name, value in entry["values"].items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            return
        self._values.setdefault(key, {}).update(values)

    def find(self, method: str, photo: str, metrics: Collection[str]) -> Values | None:
        """The values of a method on a photo; None unless all the metrics are known."""
        values = self._values.get((method, photo))
        if values is None or not values.keys() >= set(metrics):
            return None
        return {name: values[name] for name in metrics}

    def known(self, method: str, photo: str, metrics: Collection[str]) -> Values:
        """The same, where it is known.

        Raises:
            KeyError: it is not.
        """
        found = self.find(method, photo, metrics)
        if found is None:
            raise KeyError(method, photo)
        return found

    def add(self, method: str, photo: str, values: Mapping[str, float]) -> None:
        """Note values; they are in the file when this returns.

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
                # A line of its own, also behind one that was cut short.
                file.write(f"{line}\n" if _ends_whole(self.path) else f"\n{line}\n")
        except OSError as error:
            if error.errno not in REFUSALS:
                raise
            raise disk_error(self.path, error) from error


def _ends_whole(path: Path) -> bool:
    """Whether a file is empty or ends with a line's end."""
    with path.open("rb") as file:
        if file.seek(0, 2) == 0:
            return True
        file.seek(-1, 2)
        return file.read() == b"\n"
