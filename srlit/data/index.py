"""The audit: every file is decoded once before a run starts, so that none can end it later."""

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from rich.progress import track

from srlit.checkpoint.files import write_json
from srlit.data.photo import PhotoError, open_photo

log = logging.getLogger(__name__)

CACHE_FORMAT = 1
MANY = 200


class BadDataError(ValueError):
    """Too many files of a set cannot be used."""


class Photo(NamedTuple):
    """A file that decodes.

    Attributes:
        path: where it lies.
        width: pixels, upright.
        height: pixels, upright.
    """

    path: Path
    width: int
    height: int


class Audit(NamedTuple):
    """What an audit found.

    Attributes:
        photos: usable files, in the order given.
        rejected: (path, reason) of the others.
    """

    photos: list[Photo]
    rejected: list[tuple[Path, str]]


def audit(
    paths: Sequence[Path], *, least_size: int, most_bad: float, cache: Path | None = None
) -> Audit:
    """Decode every file once, in parallel, and keep what is usable.

    Args:
        paths: files to look at.
        least_size: shortest side that is usable, in pixels.
        most_bad: share of unusable files from which on the set is refused.
        cache: folder that remembers results by path, size and time of change.

    Raises:
        BadDataError: no file is usable, or more than `most_bad` of them are not.
    """
    known = _read_cache(cache, paths)
    fresh = [
        path
        for path in paths
        if str(path) not in known or _stamp(path) != known[str(path)].get("stamp")
    ]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        looked = pool.map(_look, fresh)
        if len(fresh) > MANY:
            looked = track(looked, "checking photos", total=len(fresh))  # type: ignore[assignment]
        known.update({str(path): entry for path, entry in zip(fresh, looked, strict=True)})
    if fresh:
        _write_cache(cache, paths, known)
    result = _sort_out(paths, known, least_size)
    _judge(result, len(paths), most_bad)
    return result


def _stamp(path: Path) -> list[int] | None:
    """Size and time of change; None where the file cannot be asked."""
    try:
        status = path.stat()
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]


def _look(path: Path) -> dict[str, object]:
    """Decode one file: its size, or why it cannot be used."""
    stamp = _stamp(path)
    try:
        image = open_photo(path)
    except PhotoError as error:
        return {"stamp": stamp, "reason": str(error).removeprefix(f"{path}: ")}
    return {"stamp": stamp, "size": [image.width, image.height]}


def _sort_out(paths: Sequence[Path], known: dict[str, dict[str, object]], least_size: int) -> Audit:
    photos: list[Photo] = []
    rejected: list[tuple[Path, str]] = []
    for path in paths:
        entry = known[str(path)]
        size = entry.get("size")
        if not isinstance(size, list):
            rejected.append((path, str(entry["reason"])))
        elif min(size) < least_size:
            rejected.append((path, f"{size[0]}x{size[1]} pixels, smaller than {least_size}"))
        else:
            photos.append(Photo(path, *size))
    return Audit(photos, rejected)


def _judge(result: Audit, count: int, most_bad: float) -> None:
    """Report what is left out; refuse where it is too much."""
    for path, reason in result.rejected:
        log.warning("left out: %s: %s", path, reason)
    if not result.photos or len(result.rejected) > most_bad * count:
        shown = "\n".join(f"  {path}: {reason}" for path, reason in result.rejected[:10])
        msg = (
            f"{len(result.rejected)} of {count} photos cannot be used, "
            f"more than data.most_bad={most_bad:g} of them:\n{shown}"
        )
        raise BadDataError(msg)


def _cache_file(cache: Path, paths: Sequence[Path]) -> Path:
    folders = sorted({str(path.parent) for path in paths})
    return cache / f"{hashlib.sha256(json.dumps(folders).encode()).hexdigest()[:16]}.json"


def _read_cache(cache: Path | None, paths: Sequence[Path]) -> dict[str, dict[str, object]]:
    """Remembered results; none where the cache is missing, older or damaged."""
    if cache is None:
        return {}
    try:
        stored = json.loads(_cache_file(cache, paths).read_text())
        entries = stored["entries"] if stored["format"] == CACHE_FORMAT else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return entries if isinstance(entries, dict) else {}


def _write_cache(
    cache: Path | None, paths: Sequence[Path], known: dict[str, dict[str, object]]
) -> None:
    if cache is None:
        return
    try:
        cache.mkdir(parents=True, exist_ok=True)
        write_json(_cache_file(cache, paths), {"format": CACHE_FORMAT, "entries": known})
    except OSError as error:
        log.warning("could not remember the audit in %s: %s", cache, error)
