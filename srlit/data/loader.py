"""The training loader: worker processes that decode, or a thread that copies packed pixels.

Where all photos are packed a batch is a copy of memory, and handing it from process to process
costs several times as much as making it.
"""

import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from srlit.data.scan import cores
from srlit.types import Photos
from srlit.utils.stop_signals import STOP_SIGNALS

AHEAD = 4
TICKS = 50


@dataclass(eq=False)
class BatchLoader(Iterable[Photos], Sized):
    """Batches in order, prepared a few ahead by a thread, pinned where there is a GPU.

    Args:
        dataset: its items are whole batches.
        sampler: which items, in order.
        ahead: batches prepared before they are asked for.
    """

    dataset: Dataset[Photos]
    sampler: Sequence[int]
    ahead: int = 4

    def __len__(self) -> int:
        """Number of batches."""
        return len(self.sampler)

    def __iter__(self) -> Iterator[Photos]:
        """All batches; the error of a batch is raised in its turn."""
        waiting: deque[Future[Photos]] = deque()
        # One core: a second pool of OpenMP threads would compete with the training's own.
        with ThreadPoolExecutor(1, "batches", torch.set_num_threads, (1,)) as thread:
            try:
                for item in self.sampler:
                    waiting.append(thread.submit(self._prepare, item))
                    if len(waiting) > self.ahead:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                thread.shutdown(wait=False, cancel_futures=True)

    def _prepare(self, item: int) -> Photos:
        photos = self.dataset[item]
        return photos.each(Tensor.pin_memory) if torch.cuda.is_available() else photos


class WorkerLoader(DataLoader[Photos]):
    """A DataLoader that notices workers that do not answer, such as stopped processes.

    Its own `timeout` does not: it may wait for the rest of a batch that a stopped worker began.

    Args:
        timeout_s: how long to wait for a batch.
        options: of DataLoader.

    Raises:
        TimeoutError: no worker answered; all of them are ended.
    """

    def __init__(self, dataset: Dataset[Photos], *, timeout_s: float, **options: Any) -> None:  # noqa: ANN401
        super().__init__(dataset, **options)
        self.timeout_s = timeout_s

    def __iter__(self) -> Iterator[Photos]:  # type: ignore[override]
        """All batches."""
        batches = super().__iter__()
        workers: list[BaseProcess] = batches._workers  # type: ignore[attr-defined] # noqa: SLF001
        silent: list[int] = []

        def give_up() -> None:
            silent.extend(stopped_or_all(workers))
            workers[0].kill()  # which torch notices

        for _ in range(len(self)):
            try:
                with time_limit(self.timeout_s, give_up):
                    batch = next(batches)
            except (RuntimeError, OSError, EOFError) as error:
                if not silent:
                    raise
                _end_processes(workers)
                raise TimeoutError(
                    f"worker process {', '.join(map(str, silent))} (data.workers={len(workers)}) "
                    f"gave no batch in data.worker_timeout_s={self.timeout_s:g}. It is stopped, "
                    "or its disk does not answer; where photos take so long, raise that limit"
                ) from error
            yield batch


@contextmanager
def time_limit(seconds: float, give_up: Callable[[], None]) -> Iterator[None]:
    """Call `give_up` from a thread where the body takes longer.

    It counts ticks, as the clock goes on while all processes are stopped by Ctrl-Z.
    """
    done = threading.Event()

    def watch() -> None:
        if not any(done.wait(seconds / TICKS) for _ in range(TICKS)):
            give_up()

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        done.set()


def stopped_or_all(processes: Sequence[BaseProcess]) -> list[int]:
    """The numbers of the processes that are stopped, where the system tells, or of all."""
    numbers = [process.pid for process in processes if process.pid is not None]
    return [number for number in numbers if _is_stopped(number)] or numbers


def _is_stopped(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2]
    except OSError:  # not on Linux
        return False
    return state.split()[0] in {"T", "t"}


def _end_processes(processes: Sequence[BaseProcess]) -> None:
    """Kill processes, stopped ones too."""
    for process in processes:
        with suppress(RuntimeError):  # torch reports every worker that dies
            process.kill()
            process.join(5)


def default_workers(processes: int = 1) -> int:
    """Worker processes: this process's part of the cores, at most 16; none on a single core.

    No core is kept free: decoding a batch of large photos takes longer than most training steps.
    """
    own = cores() // processes
    return min(own, 16) if own > 1 else 0


def ignore_stop_signals(worker: int) -> None:  # noqa: ARG001 - a DataLoader's signature
    """In a worker: leave stop signals to the training, which finishes its iteration and saves.

    A terminal, SLURM and `kill` of a process group send them to the workers too. A worker ends when
    the training tells it to, and by itself once the training is gone.
    """
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def make_loader(
    dataset: Dataset[Photos],
    sampler: Sequence[int],
    *,
    workers: int | None,
    packed: bool,
    processes: int = 1,
    timeout_s: float = 300.0,
) -> BatchLoader | DataLoader[Photos]:
    """The loader for training.

    Args:
        dataset: its items are whole batches.
        sampler: which items, in order.
        workers: worker processes; None chooses.
        packed: whether every item is a copy of memory.
        processes: training processes that share this machine.
        timeout_s: how long to wait for a batch of a worker process.
    """
    if workers is None and packed:
        return BatchLoader(dataset, sampler)
    number = default_workers(processes) if workers is None else workers
    pin = torch.cuda.is_available()
    if number == 0:
        return DataLoader(dataset, sampler=sampler, batch_size=None, pin_memory=pin)
    return WorkerLoader(
        dataset,
        timeout_s=timeout_s,
        sampler=sampler,
        batch_size=None,
        num_workers=number,
        persistent_workers=True,
        pin_memory=pin,
        worker_init_fn=ignore_stop_signals,
    )
