"""The audit: every file is decoded once before a run starts, so that none can end it later."""

import hashlib
import json
import logging
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional

from srlit.checkpoint.files import write_json
from srlit.data.examine import Entry, examine
from srlit.data.photo import show

log = logging.getLogger(__name__)

CACHE_FORMAT = 2
SHOWN = 10


class BadDataError(ValueError):
    """Too many files of a set cannot be used, or pairs do not match."""


class Photo(NamedTuple):
    """A file that decodes.

    Attributes:
        path: where it lies.
        width: pixels, upright.
        height: pixels, upright.
        digest: names its pixels (`srlit.data.store.digest_of`).
        stamp: size in bytes and time of change when it was checked; None is not compared.
        lr: its low-resolution partner, where the pair is real.
    """

    path: Path
    width: int
    height: int
    digest: str = ""
    stamp: tuple[int, int] | None = None
    lr: Optional["Photo"] = None


class Audit(NamedTuple):
    """What an audit found.

    Attributes:
        photos: usable files, in the order given.
        rejected: (path, reason) of the others.
        notes: what is worth knowing of usable files: "gray", "upscaled", "duplicate", ... to paths.
    """

    photos: list[Photo]
    rejected: list[tuple[Path, str]]
    notes: dict[str, list[Path]]


def audit(
    paths: Sequence[Path],
    *,
    least_size: int,
    most_bad: float,
    cache: Path | None = None,
    store: Path | None = None,
) -> Audit:
    """Decode every file once, in parallel, and keep what is usable.

    Args:
        paths: files to look at.
        least_size: shortest side that is usable, in pixels.
        most_bad: share of unusable files from which on the set is refused.
        cache: folder that remembers good files by path, size and time of change.
        store: folder of a packed store into which the decoded pixels go too.

    Raises:
        BadDataError: no file is usable, or more than `most_bad` of them are not.
    """
    memory = AuditCache(cache, paths)
    entries = examine(paths, known=memory.entries, store=store, save=memory.save)
    return usable(paths, entries, least_size=least_size, most_bad=most_bad)


def usable(
    paths: Sequence[Path], entries: Mapping[Path, Entry], *, least_size: int, most_bad: float
) -> Audit:
    """Keep what is usable of files that were looked at.

    Args:
        paths: the files, in the order to keep.
        entries: what is known of each.
        least_size: as of `audit`.
        most_bad: as of `audit`.

    Raises:
        BadDataError: no file is usable, or more than `most_bad` of them are not.
    """
    result = _sort_out(paths, entries, least_size)
    _judge(result, len(paths), most_bad)
    return result


def _sort_out(paths: Sequence[Path], entries: Mapping[Path, Entry], least_size: int) -> Audit:
    photos: list[Photo] = []
    rejected: list[tuple[Path, str]] = []
    notes: defaultdict[str, list[Path]] = defaultdict(list)
    seen: set[str] = set()
    for path in paths:
        entry = entries[path]
        if entry.reason:
            rejected.append((path, entry.reason))
        elif min(entry.size) < least_size:
            width, height = entry.size
            rejected.append((path, f"{width}x{height} pixels, smaller than {least_size}"))
        else:
            photos.append(Photo(path, *entry.size, entry.digest, entry.stamp))
            for note in (*entry.notes, *(["duplicate"] if entry.digest in seen else [])):
                notes[note].append(path)
            seen.add(entry.digest)
    return Audit(photos, rejected, dict(notes))


def _judge(result: Audit, count: int, most_bad: float) -> None:
    """Report what is left out; refuse where it is too much."""
    reasons = [f"{show(path)}: {reason}" for path, reason in result.rejected]
    for line in reasons[:SHOWN]:
        log.warning("left out: %s", line)
    if len(reasons) > SHOWN:
        log.warning("left out: %d more", len(reasons) - SHOWN)
    if not result.photos or len(reasons) > most_bad * count:
        shown = "\n".join(f"  {line}" for line in reasons[:SHOWN])
        msg = (
            f"{len(reasons)} of {count} photos cannot be used, "
            f"more than data.most_bad={most_bad:g} of them:\n{shown}"
        )
        raise BadDataError(msg)


class AuditCache:
    """Remembers good files of a list by path, size and time of change; bad ones are tried again.

    Args:
        folder: where it is stored; None remembers nothing.
        paths: the files.
    """

    def __init__(self, folder: Path | None, paths: Sequence[Path]) -> None:
        folders = sorted({os.fsencode(path.parent) for path in paths})
        name = hashlib.sha256(b"\0".join(folders)).hexdigest()[:16]
        self.file = folder / f"{name}.json" if folder else None
        self._all = self._read()
        self.entries = {
            path: Entry.from_json(self._all[str(path)]) for path in paths if str(path) in self._all
        }

    def _read(self) -> dict[str, Any]:
        """What was stored; nothing where that is missing, older or damaged."""
        if self.file is None:
            return {}
        try:
            stored = json.loads(self.file.read_text())
            entries = stored["entries"] if stored["format"] == CACHE_FORMAT else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        return entries if isinstance(entries, dict) else {}

    def save(self, entries: Mapping[Path, Entry]) -> None:
        """Store these too; a folder that cannot be written to is no obstacle."""
        if self.file is None:
            return
        self._all |= {str(path): e.to_json() for path, e in entries.items() if not e.reason}
        try:
            write_json(self.file, {"format": CACHE_FORMAT, "entries": self._all})
        except OSError as error:
            log.warning("could not remember the audit in %s: %s", show(self.file), error)
