"""What a report had to leave out, and the reading of files that may be damaged."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from srlit.utils.small_files import read_text

# What a damaged, missing or foreign file makes its reader raise. Any other exception is a bug of
# this package and must not pass for damage.
DAMAGE = (OSError, ValueError, csv.Error)

T = TypeVar("T")


class Warnings(list[str]):
    """Lines on what the report leaves out, and why; one broken part does not end the others."""

    def attempt(
        self, read: Callable[[Path], T], path: Path, default: T, *, optional: bool = False
    ) -> T:
        """Read a file; where it is damaged, note it and return `default`.

        Args:
            read: reads it.
            path: of the file.
            default: the result without the file.
            optional: whether the file may be missing without a note.
        """
        if optional and not path.is_file():
            return default
        try:
            return read(path)
        except DAMAGE as error:
            self.append(str(error) if str(path) in str(error) else f"{path}: {error}")
            return default


def read_typed_json(path: Path, kind: Any) -> Any:  # noqa: ANN401 - an instance of `kind`
    """A JSON file as a type that pydantic can check; nothing is converted.

    Raises:
        ValueError: no JSON, or of another type; the message names the place and the value.
    """
    try:
        return TypeAdapter(kind).validate_json(read_text(path), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        if first["type"] == "json_invalid":
            raise ValueError(first["msg"]) from error
        place = ".".join(map(str, first["loc"])) or "the file"
        raise ValueError(f"{place} is {first['input']!r:.60}: {first['msg']}") from error
