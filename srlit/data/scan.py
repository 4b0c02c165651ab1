"""Decodes many files once, in parallel: size, digest and notes of each, or why it is unusable.

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
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from rich.progress import track
from torch import Tensor

from srlit.data.decode import decode
from srlit.data.detect_upscaled import looks_upscaled
from srlit.data.photo_file import PhotoError, TemporaryPhotoError
from srlit.data.store import SUFFIX, StoreError, digest_of, write_shard

log = logging.getLogger(__name__)

# Below so many bytes of files, threads are done before processes have started.
SMALL = 16 * 2**20
# A shard takes files of so many bytes (decoded about twice that of PNG, ten times that of JPEG,
# which each process keeps in memory until the shard is written).
SHARD = 16 * 2**20
MIN_CHUNK = 2 * 2**20
SHOW_PROGRESS = 200  # files
SILENCE = 300.0  # seconds

# Size in bytes, and times of change of the content and of the inode. The last one tells two files
# of equal size that changed places, and so kept the first two.
Stamp = tuple[int, int, int]


class Entry(NamedTuple):
    """What is known of a file.

    Attributes:
        stamp: tells whether it changed; None where it cannot be asked.
        reason: why it cannot be used; empty where it can.
        size: width and height, upright.
        digest: of its pixels (`srlit.data.store.digest_of`).
        notes: what its owner should know ("gray", "rotated", ...).
    """

    stamp: Stamp | None
    reason: str = ""
    size: tuple[int, int] = (0, 0)
    digest: str = ""
    notes: tuple[str, ...] = ()


Entries = list[Entry]  # of the files of a chunk
Scan = Callable[[Sequence[Path]], Entries]
Task = Future[Entries]


def stamp_of(path: Path) -> Stamp | None:
    """What tells that a file changed; None where it cannot be asked."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def cores() -> int:
    """Cores that this process may use; only Linux tells, elsewhere all."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


# -- in parallel --------------------------------------------------------------------------------


def scan_all(
    paths: Sequence[Path], store: Path | None = None, packed: frozenset[str] = frozenset()
) -> Iterator[tuple[Path, Entry]]:
    """Scan files in parallel, in any order, with a progress bar where there are many.

    Args:
        paths: the files.
        store: folder of the packed store to put pixels into; None packs nothing.
        packed: digests that the store has already.
    """
    task = "checking and packing photos" if store else "checking photos"
    hidden = len(paths) < SHOW_PROGRESS and not store
    entries = _scan_in_parallel(paths, partial(scan_files, store=store, packed=packed))
    return iter(track(entries, task, total=len(paths), disable=hidden))


def _scan_in_parallel(paths: Sequence[Path], scan: Scan) -> Iterator[tuple[Path, Entry]]:
    sizes = [(stamp_of(path) or (0,))[0] for path in paths]
    left = chunks(paths, sizes, max_bytes=SHARD)
    while left:
        done: set[int] = set()
        for number, entries in _scan_in_pool(left, sum(sizes), scan):
            done.add(number)
            yield from zip(left[number], entries, strict=True)
        # Some are left where a process died: it was working on one of those that began first.
        left = [chunk for number, chunk in enumerate(left) if number not in done]
        for chunk in left[: cores()]:
            yield from zip(chunk, _scan_isolated(chunk, scan), strict=True)
        left = left[cores() :]


def chunks(paths: Sequence[Path], sizes: Sequence[int], *, max_bytes: int) -> list[list[Path]]:
    """Neighbouring files of together about `max_bytes` or less, enough chunks for all cores."""
    limit = min(max_bytes, max(sum(sizes) // (8 * cores()), MIN_CHUNK))
    found: list[list[Path]] = []
    room = 0
    for path, size in zip(paths, sizes, strict=True):
        if room <= 0 or len(found[-1]) >= 1024:
            found.append([])
            room = limit
        found[-1].append(path)
        room -= size
    return found


def _scan_in_pool(parts: list[list[Path]], size: int, scan: Scan) -> Iterator[tuple[int, Entries]]:
    """Scan chunks, of so many bytes, until all are done or a process dies; each by its number."""
    with _pool(size) as pool:
        tasks: dict[Task, int] = {}
        with suppress(BrokenProcessPool):
            tasks.update((pool.submit(scan, part), number) for number, part in enumerate(parts))
        for task in _results(pool, tasks):
            if not isinstance(task.exception(), BrokenProcessPool):
                yield tasks[task], task.result()


def _scan_isolated(paths: Sequence[Path], scan: Scan) -> list[Entry]:
    """Scan files in a process of their own, and each alone where it dies."""
    with _processes(1) as pool:
        [task] = _results(pool, [pool.submit(scan, paths)])
        if not isinstance(task.exception(), BrokenProcessPool):
            return task.result()
    if len(paths) > 1:
        return [entry for path in paths for entry in _scan_isolated([path], scan)]
    reason = "the decoder crashed on it, ran out of memory, or does not end"
    return [Entry(stamp_of(paths[0]), reason=reason)]


def _results(pool: Executor, tasks: Iterable[Task]) -> Iterator[Task]:
    """Tasks that are done, as they are; processes that are silent for too long are killed.

    They may be stopped or hang in a decoder. Their tasks end with BrokenProcessPool.
    """
    left = set(tasks)
    while left:
        done, left = wait(left, SILENCE, FIRST_COMPLETED)
        if not done:
            processes = dict(getattr(pool, "_processes", {}))
            log.warning("no photo checked for %g s: ending processes %s", SILENCE, [*processes])
            for process in processes.values():
                process.kill()
        yield from done


@contextmanager
def _pool(size: int) -> Iterator[ProcessPoolExecutor | ThreadPoolExecutor]:
    """Processes, as some decoders hold Python's lock; threads for few bytes.

    An interrupt drops what has not begun and waits for the rest.
    """
    threads = size < SMALL or cores() == 1
    pool = ThreadPoolExecutor(cores()) if threads else _processes(cores())
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _processes(count: int) -> ProcessPoolExecutor:
    # Forked like the DataLoader's workers: a fresh start would import torch in each of them.
    forks = sys.platform.startswith("linux") and hasattr(os, "fork")
    start = "fork" if forks else "spawn"
    context = multiprocessing.get_context(start)
    return ProcessPoolExecutor(count, context, _start_worker, (os.getpid(),))


def _start_worker(parent: int) -> None:
    """In a new process: one thread, Ctrl-C is left to the parent, and it ends with the parent."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """Without this a killed parent's pool would wait for ever and hold its lock."""
    started_by = multiprocessing.parent_process()  # Windows keeps the number of a dead one
    while os.getppid() == parent and (started_by is None or started_by.is_alive()):
        time.sleep(0.2)
    os._exit(1)


# -- file by file -------------------------------------------------------------------------------


def scan_files(
    paths: Sequence[Path], store: Path | None, packed: frozenset[str] = frozenset()
) -> list[Entry]:
    """Scan files one after the other, packing their pixels into a shard where a store is named.

    Args:
        paths: the files.
        store: the folder to make a shard in; None packs nothing.
        packed: digests of pixels that need not be written again.

    Raises:
        StoreError: the shard cannot be written.
    """
    images: dict[str, Tensor] = {}
    entries = [scan_file(path, images if store else None) for path in paths]
    try:
        if store and (new := {k: v for k, v in images.items() if k not in packed}):
            write_shard(store / f"{secrets.token_hex(8)}{SUFFIX}", new)
    except OSError as error:
        msg = f"packing into {store}: {error.strerror}; choose another folder by paths.store=FOLDER"
        raise StoreError(msg) from None
    return entries


def scan_file(path: Path, images: dict[str, Tensor] | None = None) -> Entry:
    """Decode one file: what it holds, or why it cannot be used; its pixels go into `images`."""
    stamp = stamp_of(path)
    try:
        pixels, notes = decode(path)
    except TemporaryPhotoError as error:
        return Entry(None, reason=error.reason)  # without a stamp: scanned again next time
    except PhotoError as error:
        return Entry(stamp, reason=error.reason)
    digest = digest_of(pixels)
    if images is not None:
        images[digest] = pixels
    if looks_upscaled(pixels):
        notes = (*notes, "upscaled")
    return Entry(stamp, "", (pixels.shape[2], pixels.shape[1]), digest, notes)
