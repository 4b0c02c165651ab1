"""The training loader: worker processes that decode, or a thread that copies packed pixels.

Where all photos are packed a batch is a copy of memory, and handing it from process to process
costs several times as much as making it.
"""

import signal
from collections import deque
from collections.abc import Iterable, Iterator, Sequence, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from srlit.data.scan import cores
from srlit.types import Photos

# A terminal, SLURM and `kill` of a process group send these to the workers too.
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


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


def default_workers(processes: int = 1) -> int:
    """Worker processes: this process's part of the cores, at most 16; none on a single core.

    No core is kept free: decoding a batch of large photos takes longer than most training steps.
    """
    own = cores() // processes
    return min(own, 16) if own > 1 else 0


def ignore_stop_signals(worker: int) -> None:  # noqa: ARG001 - a DataLoader's signature
    """In a worker: leave stop signals to the training, which finishes its iteration and saves.

    A worker ends when the training tells it to, and by itself once the training is gone.
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
) -> BatchLoader | DataLoader[Photos]:
    """The loader for training.

    Args:
        dataset: its items are whole batches.
        sampler: which items, in order.
        workers: worker processes; None chooses.
        packed: whether every item is a copy of memory.
        processes: training processes that share this machine.
    """
    if workers is None and packed:
        return BatchLoader(dataset, sampler)
    number = default_workers(processes) if workers is None else workers
    return DataLoader(
        dataset,
        sampler=sampler,
        batch_size=None,
        num_workers=number,
        persistent_workers=number > 0,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=ignore_stop_signals,
    )
