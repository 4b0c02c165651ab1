"""What a report had to leave out, in words that its reader sees."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

# What a damaged, missing or foreign file makes its reader raise. Readers check types themselves and
# raise ValueError, so that a mistake of this package is not taken for one of a file.
DAMAGE = (OSError, ValueError, csv.Error)

T = TypeVar("T")


class Notices(list[str]):
    """Lines on what is not in the report, and why; a broken part shall not end the others."""

    def attempt(self, read: Callable[[Path], T], path: Path, default: T) -> T:
        """Read a file; where it is damaged, note it and give `default`."""
        try:
            return read(path)
        except DAMAGE as error:
            self.append(f"{path}: {error}")
            return default


def read_json(path: Path, kind: type[T]) -> T:
    """The content of a JSON file, an object (`dict`) or a list.

    Raises:
        ValueError: no JSON, or something else than `kind`.
    """
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        msg = "nested too deeply"
        raise ValueError(msg) from error
    return expect(content, kind, "the file")


def expect(content: Any, kind: type[T] | tuple[type[T], ...], what: str) -> T:  # noqa: ANN401
    """The content as what it should be.

    Raises:
        ValueError: it is something else.
    """
    kinds = kind if isinstance(kind, tuple) else (kind,)
    # JSON's true is no number, though Python's is.
    if not isinstance(content, kinds) or (isinstance(content, bool) and bool not in kinds):
        names = " or ".join(one.__name__ for one in kinds)
        msg = f"{what} is {content!r:.60}, expected {names}"
        raise ValueError(msg)
    return content


def numbers(content: Any, what: str) -> dict[str, float]:  # noqa: ANN401
    """A JSON object whose values are numbers.

    Raises:
        ValueError: it is something else.
    """
    found = expect(content, dict, what)
    return {str(k): float(expect(v, (int, float), f"{what}.{k}")) for k, v in found.items()}
