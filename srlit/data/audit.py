"""The audit: every file is decoded once before a run starts, so that none can end it later."""

import hashlib
import json
import logging
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional

from srlit.data.photo import show
from srlit.data.scan import Entry, Stamp, scan_photos
from srlit.utils.atomic import write_json

log = logging.getLogger(__name__)

CACHE_FORMAT = 3
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
        stamp: size in bytes and times of change when it was checked; None is not compared.
        lr: its low-resolution partner, where the pair is real.
        group: which of the sources it comes from; one file may be in several.
    """

    path: Path
    width: int
    height: int
    digest: str = ""
    stamp: Stamp | None = None
    lr: Optional["Photo"] = None
    group: int = 0

    def of_group(self, group: int) -> "Photo":
        """The photo, and its partner, as one of a group."""
        lr = None if self.lr is None else self.lr._replace(group=group)
        return self._replace(group=group, lr=lr)


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
    min_size: int,
    max_invalid_fraction: float,
    cache: Path | None = None,
    store: Path | None = None,
) -> Audit:
    """Decode every file once, in parallel, and keep what is usable.

    Args:
        paths: files to look at.
        min_size: shortest side that is usable, in pixels.
        max_invalid_fraction: share of unusable files from which on the set is refused.
        cache: folder that remembers good files by path, size and time of change.
        store: folder of a packed store into which the decoded pixels go too.

    Raises:
        BadDataError: no files, or more than `max_invalid_fraction` of them cannot be used.
    """
    memory = AuditCache(cache, paths)
    entries = scan_photos(paths, known=memory.entries, store=store, save=memory.save)
    return usable(paths, entries, min_size=min_size, max_invalid_fraction=max_invalid_fraction)


def usable(
    paths: Sequence[Path],
    entries: Mapping[Path, Entry],
    *,
    min_size: int,
    max_invalid_fraction: float,
) -> Audit:
    """Keep what is usable of files that were looked at.

    Args:
        paths: the files, in the order to keep.
        entries: what is known of each.
        min_size: as of `audit`.
        max_invalid_fraction: as of `audit`.

    Raises:
        BadDataError: no files, or more than `max_invalid_fraction` of them cannot be used.
    """
    result = _sort_out(paths, entries, min_size)
    _judge(result, len(paths), max_invalid_fraction)
    return result


def _sort_out(paths: Sequence[Path], entries: Mapping[Path, Entry], min_size: int) -> Audit:
    photos: list[Photo] = []
    rejected: list[tuple[Path, str]] = []
    notes: defaultdict[str, list[Path]] = defaultdict(list)
    seen: set[str] = set()
    for path in paths:
        entry = entries[path]
        if entry.reason:
            rejected.append((path, entry.reason))
        elif min(entry.size) < min_size:
            width, height = entry.size
            rejected.append((path, f"{width}x{height} pixels, smaller than {min_size}"))
        else:
            photos.append(Photo(path, *entry.size, entry.digest, entry.stamp))
            for note in (*entry.notes, *(["duplicate"] if entry.digest in seen else [])):
                notes[note].append(path)
            seen.add(entry.digest)
    return Audit(photos, rejected, dict(notes))


def _judge(result: Audit, count: int, max_invalid_fraction: float) -> None:
    """Report what is left out; refuse where it is too much, or nothing was there."""
    reasons = [f"{show(path)}: {reason}" for path, reason in result.rejected]
    for line in reasons[:SHOWN]:
        log.warning("left out: %s", line)
    if len(reasons) > SHOWN:
        log.warning("left out: %d more", len(reasons) - SHOWN)
    if not count:
        msg = "there are no photos to look at: expected at least one"
        raise BadDataError(msg)
    if len(reasons) > max_invalid_fraction * count:
        shown = "\n".join(f"  {line}" for line in reasons[:SHOWN])
        msg = (
            f"{len(reasons)} of {count} photos cannot be used, "
            f"more than data.max_invalid_fraction={max_invalid_fraction:g} of them:\n{shown}"
        )
        raise BadDataError(msg)


class AuditCache:
    """Remembers good files by path, size and times of change; bad ones are tried again.

    Each folder of photos has a file of its own there: whatever else is in a set, what is known of
    a folder stays known.

    Args:
        folder: where it is stored; None remembers nothing.
        paths: the files.
    """

    def __init__(self, folder: Path | None, paths: Sequence[Path]) -> None:
        self.folder = folder
        # By folder of photos, then by name: what was stored, and what is to be.
        self._stored: dict[str, dict[str, Any]] = {}
        self.entries = {path: entry for path in paths if (entry := self._known(path)) is not None}

    def _known(self, path: Path) -> Entry | None:
        """What is known of a file."""
        parent, name = _located(path)
        if parent not in self._stored:
            self._stored[parent] = self._read(parent)
        try:
            return Entry.from_json(self._stored[parent][name])
        except (KeyError, ValueError):
            return None

    def _file(self, parent: str) -> Path | None:
        """Where it is stored what is known of a folder of photos."""
        key = hashlib.sha256(os.fsencode(parent)).hexdigest()[:16]
        return self.folder / f"{key}.json" if self.folder else None

    def _read(self, parent: str) -> dict[str, Any]:
        """What was stored of a folder; nothing where that is missing, older or damaged."""
        file = self._file(parent)
        if file is None:
            return {}
        try:
            stored = json.loads(file.read_text())
            entries = stored["entries"] if stored["format"] == CACHE_FORMAT else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        return entries if isinstance(entries, dict) else {}

    def save(self, entries: Mapping[Path, Entry]) -> None:
        """Store these too; a folder that cannot be written to is no obstacle."""
        changed: dict[str, None] = {}
        for path, entry in entries.items():
            parent, name = _located(path)
            if not entry.reason and self.entries.get(path) != entry:
                self._stored.setdefault(parent, {})[name] = entry.to_json()
                self.entries[path] = entry
                changed[parent] = None
        for parent in changed:
            self._write(parent)

    def _write(self, parent: str) -> None:
        file = self._file(parent)
        if file is None:
            return
        content = {"format": CACHE_FORMAT, "folder": parent, "entries": self._stored[parent]}
        try:
            write_json(file, content)
        except OSError as error:
            log.warning("could not remember the audit in %s: %s", show(file), error)


def _located(path: Path) -> tuple[str, str]:
    """A file's folder, from the root, and its name."""
    return os.path.split(os.path.abspath(path))  # noqa: PTH100 - keeps links
