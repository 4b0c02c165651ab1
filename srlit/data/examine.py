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
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from srlit.data.photo import PhotoError, decode
from srlit.data.store import SUFFIX, PackedStore, ShardWriter, StoreError, digest_of, new_shard
from srlit.data.upscaled import looks_upscaled

log = logging.getLogger(__name__)

# Below so many bytes of files, threads are done before processes have started.
SMALL = 16 * 2**20
# A shard takes files of so many bytes (decoded about twice that of PNG, ten times that of JPEG).
SHARD = 64 * 2**20
LEAST = 2 * 2**20
MANY = 200
SAVE_EVERY = 20.0  # seconds


class Entry(NamedTuple):
    """What is known of a file.

    Attributes:
        stamp: size in bytes and time of change in nanoseconds; None where it cannot be asked.
        reason: why it cannot be used; empty where it can.
        size: width and height, upright.
        digest: names its pixels.
        notes: what its owner should know ("gray", "rotated", ...).
    """

    stamp: tuple[int, int] | None
    reason: str = ""
    size: tuple[int, int] = (0, 0)
    digest: str = ""
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return self._asdict()

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Entry":
        """The reverse; lists become tuples again."""
        tuples: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in stored.items()
        }
        return cls(**tuples)


def stamp_of(path: Path) -> tuple[int, int] | None:
    """Size in bytes and time of change in nanoseconds; None where the file cannot be asked."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def examine(
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
    saved = time.monotonic()
    try:
        for path, entry in _progress(look_at_all(fresh, store), len(fresh), packing=bool(store)):
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


def look_at_all(paths: Sequence[Path], store: Path | None) -> Iterator[tuple[Path, Entry]]:
    """Look at files in parallel, in any order."""
    if not paths:
        return
    sizes = [(stamp_of(path) or (0, 0))[0] for path in paths]
    parts = chunks(paths, sizes, largest=SHARD if store else SHARD // 8)
    with make_pool(sum(sizes)) as pool:
        tasks = {pool.submit(look_at, part, _new_name(store)): part for part in parts}
        for task in as_completed(tasks):
            try:
                yield from zip(tasks[task], task.result(), strict=True)
            except BrokenProcessPool:
                yield from ((path, look_alone(path)) for path in tasks[task])


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


def look_alone(path: Path) -> Entry:
    """Look at a file in a process of its own, which may die of it."""
    with _processes(1) as pool:
        try:
            return pool.submit(look, path).result()
        except BrokenProcessPool:
            return Entry(stamp_of(path), reason="the decoder crashed on it, or ran out of memory")


# -- file by file -------------------------------------------------------------------------------


def _new_name(store: Path | None) -> Path | None:
    return store / f"{secrets.token_hex(8)}{SUFFIX}" if store else None


def look_at(paths: Sequence[Path], shard: Path | None) -> list[Entry]:
    """Look at files one after the other, packing their pixels into a shard where one is named.

    Raises:
        StoreError: the shard cannot be written.
    """
    try:
        with new_shard(shard, len(paths)) if shard else nullcontext() as writer:
            return [look(path, writer) for path in paths]
    except OSError as error:  # of the shard: those of photos are PhotoErrors
        msg = f"packing into {shard}: {error.strerror}; choose another folder by paths.store=FOLDER"
        raise StoreError(msg) from None


def look(path: Path, writer: ShardWriter | None = None) -> Entry:
    """Decode one file: what it is, or why it cannot be used."""
    stamp = stamp_of(path)
    try:
        pixels, notes = decode(path)
    except PhotoError as error:
        return Entry(stamp, reason=error.reason)
    digest = digest_of(pixels)
    if writer is not None:
        writer.append(digest, pixels)
    height, width = pixels.shape[1:]
    if looks_upscaled(pixels):
        notes = (*notes, "upscaled")
    return Entry(stamp, "", (width, height), digest, notes)
