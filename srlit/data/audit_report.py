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
    table.add_row("usable", *[str(len(audit.photos)) for audit in found.values()], "")
    table.add_row("left out", *[str(len(audit.rejected)) for audit in found.values()], "")
    for note in sorted({note for audit in found.values() for note in audit.notes}):
        counts = [str(len(audit.notes.get(note, []))) for audit in found.values()]
        table.add_row(note, *counts, MEANINGS.get(note, ""))
    Console().print(table)


def write_listing(path: Path, found: Mapping[str, Audit]) -> None:
    """A JSON file: for each split the usable files with their notes, the others with reasons.

    Names that are not UTF-8 are written with escapes.
    """
    write_json(path, {split: _listing(audit) for split, audit in found.items()})


def _listing(audit: Audit) -> dict[str, Any]:
    notes: dict[Path, list[str]] = {}
    for note, paths in audit.notes.items():
        for path in paths:
            notes.setdefault(path, []).append(note)
    return {
        "left_out": [
            {"file": os.fspath(path), "shown": printable(path), "reason": reason}
            for path, reason in audit.rejected
        ],
        "usable": [
            _described(photo) | {"notes": notes.get(photo.path, [])} for photo in audit.photos
        ],
    }


def _described(photo: Photo) -> dict[str, Any]:
    about = {
        "file": os.fspath(photo.path),
        "size": [photo.width, photo.height],
        "digest": photo.digest,
    }
    return about if photo.lr is None else about | {"lr": _described(photo.lr)}
