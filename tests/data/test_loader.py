import multiprocessing
import os
import queue
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from srlit.data import loader, scan
from srlit.data.loader import BatchLoader, default_workers, make_loader
from srlit.data.reader import PhotoReader
from srlit.data.store import PackedStore
from srlit.types import Photos
from tests.data.photos import audited, batches_of, same


@pytest.fixture
def batches(photo_folder, tmp_path):
    photos = audited(photo_folder, store=tmp_path / "store")
    return batches_of(PhotoReader(photos, store=PackedStore(tmp_path / "store")))


class Items(Dataset):
    """Batches that hold their number only; notes which were asked for, and fails at item 2."""

    def __init__(self):
        self.asked = queue.Queue()

    def __getitem__(self, item):
        self.asked.put(item)
        if item == 2:
            raise ValueError(f"item {item}")
        return Photos(torch.zeros(1, 3, 2, 2, dtype=torch.uint8), torch.tensor([item]))


def test_every_loader_gives_the_same_batches_in_order(batches):
    for workers in (None, 0, 2):
        found = make_loader(batches, range(3, 9), workers=workers, packed=True)
        assert len(found) == 6
        for i, batch in zip(range(3, 9), found, strict=True):
            assert same(batch, batches[i])


def test_packed_photos_need_no_workers(batches):
    assert isinstance(make_loader(batches, range(3), workers=None, packed=True), BatchLoader)
    assert isinstance(make_loader(batches, range(3), workers=2, packed=True), DataLoader)
    assert isinstance(make_loader(batches, range(3), workers=None, packed=False), DataLoader)


def test_a_few_batches_are_prepared_ahead_and_no_more():
    items = Items()
    iterator = iter(BatchLoader(items, range(100), ahead=3))
    assert next(iterator).keys == 0
    assert [items.asked.get(timeout=60) for _ in range(4)] == [0, 1, 2, 3]
    iterator.close()
    assert items.asked.empty()
    assert not any(thread.name.startswith("batches") for thread in threading.enumerate())


def test_an_error_is_raised_with_its_own_batch():
    iterator = iter(BatchLoader(Items(), range(5)))
    assert [int(next(iterator).keys), int(next(iterator).keys)] == [0, 1]
    with pytest.raises(ValueError, match="item 2"):
        next(iterator)


class Stopping(Items):
    """Each item says who makes it; the third never comes."""

    def __init__(self, folder):
        self.folder = folder

    def __getitem__(self, item):
        (self.folder / str(item)).write_text(str(os.getpid()))
        if item == 2:
            os.kill(os.getpid(), signal.SIGSTOP)
        return Photos(torch.zeros(1, 3, 2, 2, dtype=torch.uint8), torch.tensor([item]))


def test_a_stopped_worker_is_named_and_ended(tmp_path):
    found = make_loader(Stopping(tmp_path), range(9), workers=2, packed=False, timeout_s=2)
    keys = r"process \d+ \(data\.workers=2\).*data\.worker_timeout_s=2\b"
    with pytest.raises(TimeoutError, match=keys) as error:
        list(found)
    assert f"process {(tmp_path / '2').read_text()} " in str(error.value)
    assert not multiprocessing.active_children()


def test_while_this_process_is_stopped_no_time_passes():
    """As by Ctrl-Z: it is stopped and continued by another process, and ends soon after."""
    code = """if True:
        import os, signal, sys
        from srlit.data.loader import TICKS, time_limit
        with time_limit(TICKS * 0.02, lambda: print("given up", flush=True)):
            print("stopped", flush=True)
            os.kill(os.getpid(), signal.SIGSTOP)
        print("done", flush=True)
    """
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "stopped\n"
        os.waitid(os.P_PID, child.pid, os.WSTOPPED)
        time.sleep(1.2)  # longer than the limit
        child.send_signal(signal.SIGCONT)
        assert child.stdout.read() == "done\n"


@pytest.mark.parametrize(
    ("cores", "processes", "workers"),
    [(1, 1, 0), (2, 1, 2), (2, 2, 0), (8, 1, 8), (64, 1, 16), (64, 8, 8)],
)
def test_processes_share_the_cores(monkeypatch, cores, processes, workers):
    monkeypatch.setattr(loader, "cores", lambda: cores)
    assert default_workers(processes) == workers


def test_only_the_cores_of_this_process_count(monkeypatch):
    monkeypatch.setattr(scan.os, "sched_getaffinity", lambda _: {0, 5, 7}, raising=False)
    assert scan.cores() == 3
