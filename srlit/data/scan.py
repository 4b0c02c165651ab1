"""Decoding many files once, in parallel: size, digest, what is odd about them; or why not.

Where a store is given, the decoded pixels are packed on the way, as decoding is what takes time.
"""

import logging
import multiprocessing
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import (
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    as_completed,
)
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from srlit.data.detect_upscaled import looks_upscaled
from srlit.data.photo import PassingError, PhotoError, decode
from srlit.data.store import SUFFIX, PackedStore, ShardWriter, StoreError, digest_of, new_shard

log = logging.getLogger(__name__)

# Below so many bytes of files, threads are done before processes have started.
SMALL = 16 * 2**20
# A shard takes files of so many bytes (decoded about twice that of PNG, ten times that of JPEG).
SHARD = 64 * 2**20
LEAST = 2 * 2**20
MANY = 200
SAVE_EVERY = 20.0  # seconds


# What tells that a file changed: size in bytes and times of change, of its content and of its place
# or rights (two files that change places have sizes and the first of these times as before).
Stamp = tuple[int, int, int]


class Entry(NamedTuple):
    """What is known of a file.

    Attributes:
        stamp: tells whether it changed; None where it cannot be asked.
        reason: why it cannot be used; empty where it can.
        size: width and height, upright.
        digest: names its pixels.
        notes: what its owner should know ("gray", "rotated", ...).
    """

    stamp: Stamp | None
    reason: str = ""
    size: tuple[int, int] = (0, 0)
    digest: str = ""
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return self._asdict()

    @classmethod
    def from_json(cls, stored: object) -> "Entry":
        """The reverse; lists become tuples again.

        Raises:
            ValueError: this is no entry.
        """
        match stored:
            case {
                "stamp": [int(size), int(written), int(changed)],
                "reason": str(reason),
                "size": [int(width), int(height)],
                "digest": str(digest),
                "notes": [*notes],
            } if all(isinstance(note, str) for note in notes):
                stamp = size, written, changed
                return cls(stamp, reason, (width, height), digest, tuple(notes))
        msg = f"no entry of an audit: {stored!r}"
        raise ValueError(msg)


def stamp_of(path: Path) -> Stamp | None:
    """What tells that a file changed; None where it cannot be asked."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def scan_photos(
    paths: Sequence[Path],
    *,
    known: Mapping[Path, Entry],
    store: Path | None,
    save: Callable[[Mapping[Path, Entry]], None],
) -> dict[Path, Entry]:
    """Look at every file that is not known, or has changed, or whose pixels the store lacks.

    Args:
        paths: the files.
        known: what an earlier look found.
        store: folder of a packed store to put pixels into; None packs nothing.
        save: called now and then, and in the end even if interrupted, with what was found.
    """
    packed = PackedStore(store)
    found = {
        path: entry
        for path in dict.fromkeys(paths)
        if (entry := known.get(path))
        and entry.stamp == stamp_of(path)
        and (store is None or entry.digest in packed)
    }
    fresh = [path for path in dict.fromkeys(paths) if path not in found]
    looks = look_at_all(fresh, store, frozenset(packed))
    saved = time.monotonic()
    try:
        for path, entry in _progress(looks, len(fresh), packing=bool(store)):
            found[path] = entry
            if time.monotonic() - saved > SAVE_EVERY:
                save(found)
                saved = time.monotonic()
    finally:
        if fresh:
            save(found)
    return found


def _progress(
    looks: Iterable[tuple[Path, Entry]], count: int, *, packing: bool
) -> Iterator[tuple[Path, Entry]]:
    """Pass looks on and show how far they are, where there are many."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    what = "checking and packing photos" if packing else "checking photos"
    with Progress(*columns, TimeRemainingColumn(), disable=count < MANY and not packing) as bar:
        yield from bar.track(looks, total=count, description=what)


# -- in parallel --------------------------------------------------------------------------------


def look_at_all(
    paths: Sequence[Path], store: Path | None, had: frozenset[str] = frozenset()
) -> Iterator[tuple[Path, Entry]]:
    """Look at files in parallel, in any order; `had` are digests that the store has already."""
    sizes = [(stamp_of(path) or (0,))[0] for path in paths]
    left = chunks(paths, sizes, largest=SHARD if store else SHARD // 8)
    while left:
        done: set[int] = set()
        for number, entries in _in_pool(left, sum(sizes), store, had):
            done.add(number)
            yield from zip(left[number], entries, strict=True)
        # Some are left where a process died: those that began first were being looked at.
        left = [part for number, part in enumerate(left) if number not in done]
        for part in left[: cores()]:
            yield from zip(part, look_again(part, store, had), strict=True)
        left = left[cores() :]


def _in_pool(
    parts: Sequence[Sequence[Path]], size: int, store: Path | None, had: frozenset[str]
) -> Iterator[tuple[int, list[Entry]]]:
    """Look at parts, of so many bytes, until all are done or a process dies; each by its number."""
    with make_pool(size) as pool:
        tasks: dict[Future[list[Entry]], int] = {}
        with suppress(BrokenProcessPool):
            for number, part in enumerate(parts):
                tasks[pool.submit(scan_files, part, _new_name(store), had)] = number
        for task in as_completed(tasks):
            if not isinstance(task.exception(), BrokenProcessPool):
                yield tasks[task], task.result()


def chunks(paths: Sequence[Path], sizes: Sequence[int], *, largest: int) -> list[list[Path]]:
    """Neighbouring files of together about `largest` bytes or less, enough parts for all cores."""
    fair = max(sum(sizes) // (8 * cores()), LEAST)
    parts: list[list[Path]] = []
    room = 0
    for path, size in zip(paths, sizes, strict=True):
        if room <= 0 or len(parts[-1]) >= 1024:
            parts.append([])
            room = min(largest, fair)
        parts[-1].append(path)
        room -= size
    return parts


def cores() -> int:
    """Cores that this process may use; only Linux tells, elsewhere all."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


@contextmanager
def make_pool(size: int) -> Iterator[Executor]:
    """Processes, as some decoders hold Python's lock; threads where little is to be done.

    An interrupt drops what has not begun and waits for the rest.
    """
    if size < SMALL or cores() == 1:
        pool: Executor = ThreadPoolExecutor(cores())
    else:
        pool = _processes(cores())
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _processes(count: int) -> ProcessPoolExecutor:
    # Forked like the DataLoader's workers: a fresh start would import torch in each of them.
    start = "fork" if sys.platform.startswith("linux") else "spawn"
    context = multiprocessing.get_context(start)
    return ProcessPoolExecutor(
        count, mp_context=context, initializer=_settle, initargs=(os.getpid(),)
    )


def _settle(parent: int) -> None:
    """In a new process: one thread, Ctrl-C is the parent's to handle, and it ends with it."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """A killed parent would leave its pool waiting for ever, and its lock held."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)


def look_again(paths: Sequence[Path], store: Path | None, had: frozenset[str]) -> list[Entry]:
    """Look at files whose process died of one of them, or of another's; each alone if need be."""
    with _processes(1) as pool:
        try:
            return pool.submit(scan_files, paths, _new_name(store), had).result()
        except BrokenProcessPool:
            if len(paths) > 1:
                return [entry for path in paths for entry in look_again([path], store, had)]
    return [Entry(stamp_of(paths[0]), reason="the decoder crashed on it, or ran out of memory")]


# -- file by file -------------------------------------------------------------------------------


def _new_name(store: Path | None) -> Path | None:
    return store / f"{secrets.token_hex(8)}{SUFFIX}" if store else None


def scan_files(
    paths: Sequence[Path], shard: Path | None, had: frozenset[str] = frozenset()
) -> list[Entry]:
    """Look at files one after the other, packing their pixels into a shard where one is named.

    Args:
        paths: the files.
        shard: what is made; None packs nothing.
        had: digests of pixels that need not be written again.

    Raises:
        StoreError: the shard cannot be written.
    """
    try:
        with new_shard(shard, len(paths), had) if shard else nullcontext() as writer:
            return [look(path, writer) for path in paths]
    except OSError as error:  # of the shard: those of photos are PhotoErrors
        msg = f"packing into {shard}: {error.strerror}; choose another folder by paths.store=FOLDER"
        raise StoreError(msg) from None


def look(path: Path, writer: ShardWriter | None = None) -> Entry:
    """Decode one file: what it is, or why it cannot be used."""
    stamp = stamp_of(path)
    try:
        pixels, notes = decode(path)
    except PassingError as error:
        return Entry(None, reason=error.reason)  # without a stamp: looked at again next time
    except PhotoError as error:
        return Entry(stamp, reason=error.reason)
    digest = digest_of(pixels)
    if writer is not None:
        writer.append(digest, pixels)
    height, width = pixels.shape[1:]
    if looks_upscaled(pixels):
        notes = (*notes, "upscaled")
    return Entry(stamp, "", (width, height), digest, notes)
