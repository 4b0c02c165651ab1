"""The audit: every file is decoded once before a run starts, so that none can end it later."""

import hashlib
import logging
import os
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Optional

from pydantic import TypeAdapter
from rich.console import Console
from rich.table import Column, Table

from srlit.data.photo_file import printable
from srlit.data.scan import Entry, Stamp, scan_all, stamp_of
from srlit.data.store import PackedStore
from srlit.utils.atomic import write_json
from srlit.utils.small_files import MAX_LIST_BYTES, read_json

log = logging.getLogger(__name__)

Rejected = Sequence[tuple[Path, str]]

CACHE_FORMAT = 4
SAVE_EVERY = 20.0  # seconds
SHOWN = 10  # files or names in a message
ENTRIES = TypeAdapter(dict[Any, Entry])  # names may hold bytes that are not UTF-8


class BadDataError(ValueError):
    """Too many files of a set cannot be used, or pairs do not match."""


class Photo(NamedTuple):
    """A usable file.

    Attributes:
        path: of the file.
        width: pixels, upright.
        height: pixels, upright.
        digest: of its pixels (`srlit.data.store.digest_of`).
        stamp: size and times of change at the audit; None is not compared.
        lr: its low-resolution partner, where the pair is real.
        group: index of its source (`srlit.data.photo_sets.Group`).
    """

    path: Path
    width: int
    height: int
    digest: str = ""
    stamp: Stamp | None = None
    lr: Optional["Photo"] = None
    group: int = 0

    def of_group(self, group: int) -> "Photo":
        """The photo, and its partner, in a group."""
        return self._replace(group=group, lr=self.lr and self.lr._replace(group=group))

    def described(self) -> str:
        """Path and size, for messages."""
        return f"{printable(self.path)} {self.width}x{self.height}"


class Audit(NamedTuple):
    """What an audit found.

    Attributes:
        photos: usable files, in the order given.
        rejected: (path, reason) of the others.
        notes: "gray", "upscaled", "duplicate", ... to the paths of usable files.
    """

    photos: list[Photo]
    rejected: list[tuple[Path, str]]
    notes: dict[str, list[Path]]


def usable(
    paths: Sequence[Path], entries: Mapping[Path, Entry], min_size: int, max_invalid_fraction: float
) -> Audit:
    """Keep the usable ones of files that were scanned; the others are logged.

    Args:
        paths: the files, in the order to keep.
        entries: what is known of each.
        min_size: shortest side that is usable, in pixels.
        max_invalid_fraction: a set with more unusable files is refused.

    Raises:
        BadDataError: no files, or more than `max_invalid_fraction` of them cannot be used.
    """
    if not paths:
        raise BadDataError("there are no photos to check: expected at least one")
    found = Audit([], [], {})
    seen: set[str] = set()
    for path in paths:
        entry = entries[path]
        width, height = entry.size
        if entry.reason:
            found.rejected.append((path, entry.reason))
        elif min(entry.size) < min_size:
            found.rejected.append((path, f"{width}x{height} pixels, smaller than {min_size}"))
        else:
            found.photos.append(Photo(path, width, height, entry.digest, entry.stamp))
            for note in (*entry.notes, *(["duplicate"] if entry.digest in seen else [])):
                found.notes.setdefault(note, []).append(path)
            seen.add(entry.digest)
    for path, reason in found.rejected[:SHOWN]:
        log.warning("left out: %s: %s", printable(path), reason)
    if len(found.rejected) > SHOWN:
        log.warning("left out: %d more", len(found.rejected) - SHOWN)
    check_rejected(found.rejected, len(paths), max_invalid_fraction, "photos")
    return found


def too_many(rejected: int, total: int, max_fraction: float) -> bool:
    """Whether more than a fraction of so many files cannot be used."""
    return rejected > max_fraction * total


def check_rejected(rejected: Rejected, count: int, max_fraction: float, what: str) -> None:
    """Raise BadDataError where more than a fraction of so many files cannot be used."""
    if too_many(len(rejected), count, max_fraction):
        lines = "\n".join(f"  {printable(path)}: {reason}" for path, reason in rejected[:SHOWN])
        msg = f"{len(rejected)} of {count} {what} cannot be used, more than "
        raise BadDataError(f"{msg}data.max_invalid_fraction={max_fraction:g} of them:\n{lines}")


# -- what is known from earlier audits ------------------------------------------------------------


def scan_changed(
    paths: Sequence[Path], known: "AuditCache", store: Path | None
) -> dict[Path, Entry]:
    """Entries of all files; those are scanned that are new, changed, or missing in the store."""
    packed = PackedStore(store)
    found = {
        path: entry
        for path in dict.fromkeys(paths)
        if (entry := known.get(path))
        and entry.stamp == stamp_of(path)
        and (store is None or entry.digest in packed)
    }
    changed = [path for path in dict.fromkeys(paths) if path not in found]
    saved = time.monotonic()
    try:
        for path, entry in scan_all(changed, store, frozenset(packed)):
            found[path] = entry
            if time.monotonic() - saved > SAVE_EVERY:
                known.save(found)
                saved = time.monotonic()
    finally:  # an interrupt too
        if changed:
            known.save(found)
    return found


class AuditCache:
    """Remembers good files by path, size and times of change, in one file per folder of photos.

    Args:
        folder: where it is stored; None remembers nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._known = cache(self._read)  # of a folder of photos, by name

    def get(self, path: Path) -> Entry | None:
        """What is known of a file."""
        parent, name = _locate(path)
        return self._known(parent).get(name)

    def save(self, entries: Mapping[Path, Entry]) -> None:
        """Store these too, bad files excepted: they are tried again."""
        changed = set()
        for path, entry in entries.items():
            if not entry.reason and self.get(path) != entry:
                parent, name = _locate(path)
                self._known(parent)[name] = entry
                changed.add(parent)
        for parent in changed if self.folder else ():
            content = {"format": CACHE_FORMAT, "folder": parent, "entries": self._known(parent)}
            try:
                write_json(self._file(parent), content)
            except OSError as error:
                log.warning("cannot remember the audit in %s: %s", self.folder, error)

    def _file(self, parent: str) -> Path:
        assert self.folder is not None
        return self.folder / f"{hashlib.sha256(os.fsencode(parent)).hexdigest()[:16]}.json"

    def _read(self, parent: str) -> dict[str, Entry]:
        """What was stored of a folder; nothing where that is missing, older or damaged."""
        if self.folder is None:
            return {}
        try:
            stored = read_json(self._file(parent), MAX_LIST_BYTES)
            known = stored["entries"] if stored["format"] == CACHE_FORMAT else {}
            return ENTRIES.validate_python(known)
        except (OSError, ValueError, KeyError, TypeError):
            return {}


def _locate(path: Path) -> tuple[str, str]:
    """A file's folder, from the root, and its name."""
    return os.path.split(os.path.abspath(path))  # noqa: PTH100 - keeps links


# -- photos and their partners --------------------------------------------------------------------


class Checks(NamedTuple):
    """How the photos of a set are audited: every file is decoded once, in parallel.

    Attributes:
        scale: HR size / LR size of real pairs.
        max_invalid_fraction: a set with more unusable files is refused.
        cache: folder that remembers good files by path, size and time of change; None scans every
            file again.
        store: folder of the packed store to put pixels into; None packs nothing.
    """

    scale: int
    max_invalid_fraction: float
    cache: Path | None
    store: Path | None = None

    def __call__(
        self, paths: Sequence[Path], min_size: int = 1, partners: Mapping[Path, Path] | None = None
    ) -> Audit:
        """Audit photos, and their real partners where they have some.

        Args:
            paths: the photos.
            min_size: shortest side that is usable, in HR pixels.
            partners: HR path to LR path, of photos that are pairs.

        Raises:
            BadDataError: too many cannot be used, or a pair's sizes do not match.
        """
        found = self._audit(paths, min_size)
        if not partners:
            return found
        low = self._audit(list(partners.values()), max(min_size // self.scale, 1))
        joined = join(found, low, partners, self.scale)
        # Counted by pairs: one half may be bad in one pair, the other half in another.
        lost = [item for item in joined.rejected if item[0] in {*paths}]
        check_rejected(lost, len(paths), self.max_invalid_fraction, "pairs")
        return joined

    def _audit(self, paths: Sequence[Path], min_size: int) -> Audit:
        entries = scan_changed(paths, AuditCache(self.cache), self.store)
        return usable(paths, entries, min_size, self.max_invalid_fraction)


def join(high: Audit, low: Audit, partners: Mapping[Path, Path], scale: int) -> Audit:
    """Give audited HR photos their audited LR partners; pairs with a bad half are left out.

    Args:
        high: the audit of the HR photos.
        low: the audit of the LR photos.
        partners: HR path to LR path; photos without a partner stay as they are.
        scale: HR size / LR size.

    Raises:
        BadDataError: a pair whose sizes are not `scale` apart.
    """
    by_path = {photo.path: photo for photo in low.photos}
    photos: list[Photo] = []
    lost: list[tuple[Path, str]] = []
    for photo in high.photos:
        partner = partners.get(photo.path)
        if partner is None or partner in by_path:
            photos.append(photo if partner is None else photo._replace(lr=by_path[partner]))
        else:
            lost.append((photo.path, f"its partner {printable(partner)} cannot be used"))
    wrong = [p for p in photos if p.lr is not None and not _fits(p, p.lr, scale)]
    if wrong:
        lines = "\n".join(f"  {p.described()}, {p.lr and p.lr.described()}" for p in wrong[:SHOWN])
        raise BadDataError(f"{len(wrong)} of {len(photos)} pairs have not scale={scale}:\n{lines}")
    return Audit(photos, [*high.rejected, *lost, *low.rejected], high.notes)


def _fits(hr: Photo, lr: Photo, scale: int) -> bool:
    """Whether LR is HR / scale, rounded either way: both conventions are in use."""
    sides = (hr.width, lr.width), (hr.height, lr.height)
    return all(abs(high - scale * low) < scale for high, low in sides)


# -- the report -----------------------------------------------------------------------------------

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
    counts = [Column(split, justify="right") for split in found]
    table = Table("what", *counts, "meaning", title="files", title_justify="left")
    listed: list[dict[str, Any]] = [
        {"usable": a.photos, "left out": a.rejected} | a.notes for a in found.values()
    ]
    for row in dict.fromkeys(["usable", "left out", *sorted(k for part in listed for k in part)]):
        table.add_row(row, *(str(len(part.get(row, []))) for part in listed), MEANINGS.get(row, ""))
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
    size = [photo.width, photo.height]
    about = {"file": os.fspath(photo.path), "size": size, "digest": photo.digest}
    return about if photo.lr is None else about | {"lr": _described(photo.lr)}
