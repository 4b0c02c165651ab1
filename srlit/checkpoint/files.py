"""Writing a file whole or not at all."""

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Give a sibling to write into; it takes the place of `path` once it is on the disk.

    The file is flushed to the disk, renamed, and the folder is flushed too. If the body raises,
    the sibling is removed and `path` stays as it was.

    Args:
        path: the file to be written; its folder is made where it is missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Ends in the same suffix, as writers such as Pillow choose the format by it.
    sibling = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.tmp{path.suffix}")
    try:
        yield sibling
        with sibling.open("rb+") as file:
            os.fsync(file.fileno())
        sibling.replace(path)
        _sync_folder(path.parent)
    finally:
        sibling.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Flush the rename itself."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def link_file(source: Path, target: Path) -> None:
    """Give a file a second name, without a copy where the file system can."""
    with atomic_file(target) as sibling:
        try:
            os.link(source, sibling)
        except OSError:
            shutil.copy2(source, sibling)


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with atomic_file(path) as sibling:
        sibling.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:  # noqa: ANN401 - whatever JSON can hold
    """Write a JSON file, whole or not at all."""
    write_text(path, json.dumps(content, indent=2) + "\n")
