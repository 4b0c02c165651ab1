"""What an audit found, for people: a table, and a JSON list of all files."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from srlit.data.audit import Audit, Photo
from srlit.data.photo_file import printable
from srlit.utils.atomic import write_json

# What a note means for training.
MEANINGS = {
    "alpha": "composited on white",
    "animated": "the first image is used",
    "cmyk": "converted to RGB without its profile",
    "dark 16-bit": "holds 12 bits or less; looks black",
    "duplicate": "same pixels as another file of the split",
    "gray": "no colour to learn from",
    "rotated": "turned upright, as its EXIF says",
    "upscaled": "no detail at full size: looks upscaled",
    "16-bit": "rounded to 8 bits",
}


def print_listing(found: Mapping[str, Audit]) -> None:
    """A table: how many files of each split are usable, left out, or noted."""
    table = Table(title="files", title_justify="left")
    table.add_column("what")
    for split in found:
        table.add_column(split, justify="right")
    table.add_column("meaning")
    listed: list[dict[str, Any]] = [
        {"usable": a.photos, "left out": a.rejected} | a.notes for a in found.values()
    ]
    for row in dict.fromkeys(["usable", "left out", *sorted(k for part in listed for k in part)]):
        counts = [str(len(part.get(row, []))) for part in listed]
        table.add_row(row, *counts, MEANINGS.get(row, ""))
    Console().print(table)


def write_listing(path: Path, found: Mapping[str, Audit]) -> None:
    """A JSON file: for each split the usable files with their notes, the others with reasons.

    Names that are not UTF-8 are written with escapes.
    """
    write_json(path, {split: _listing(audit) for split, audit in found.items()})


def _listing(audit: Audit) -> dict[str, Any]:
    noted = {note: {*paths} for note, paths in audit.notes.items()}
    return {
        "left_out": [
            {"file": os.fspath(path), "shown": printable(path), "reason": reason}
            for path, reason in audit.rejected
        ],
        "usable": [
            _described(photo) | {"notes": [note for note in noted if photo.path in noted[note]]}
            for photo in audit.photos
        ],
    }


def _described(photo: Photo) -> dict[str, Any]:
    path, size = os.fspath(photo.path), [photo.width, photo.height]
    about = {"file": path, "size": size, "digest": photo.digest}
    return about if photo.lr is None else about | {"lr": _described(photo.lr)}
