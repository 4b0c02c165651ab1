"""Several processes: averaged gradients, agreement, and the watch over each other."""

import os
import subprocess
import sys
import threading
import time
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from srlit.phases.distributed import NetworksDDP, choose_strategy, count_devices
from srlit.phases.gradient_sync import all_reduce_max, average_gradients, buckets, share
from srlit.phases.watchdog import ChildWatch, Ending, Heartbeats, ParentWatch

# -- what two processes compute together --------------------------------------------------------


class Judge(nn.Module):
    """A small discriminator with spectral normalisation and a branch that nothing uses."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 4, 3, bias=False), nn.SiLU(), spectral_norm(nn.Conv2d(4, 1, 3))
        ).to(memory_format=torch.channels_last)
        self.unused = nn.Linear(2, 2)

    def forward(self, image):
        return self.body(image).mean((1, 2, 3))


def penalised(judge, images):
    """A loss with second derivatives, as of an R1 penalty, through the bare network."""
    images = images.clone().requires_grad_()
    logits = judge(images)
    (slope,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return (logits - 1).square().mean() + 10 * slope.square().sum((1, 2, 3)).mean()


def plain(judge, images):
    return (judge(images) + 1).square().mean()


# Losses of the backward passes before each step: of one step, of two in a row, accumulated.
PLANS = {
    "plain": [[plain]],
    "twice in an iteration": [[plain], [plain]],
    "second derivatives": [[penalised], [plain]],
    "accumulated": [[plain, penalised], [plain]],
}


def trained(plan, images, *, average):
    """Weights and buffers after the steps of a plan, by plain descent."""
    torch.manual_seed(0)
    judge = Judge()
    for losses in PLANS[plan]:
        judge.zero_grad()
        for loss in losses:
            loss(judge, images).backward()
        if average:
            average_gradients(judge.parameters())
        with torch.no_grad():
            for parameter in judge.parameters():
                if parameter.grad is not None:
                    parameter.sub_(parameter.grad, alpha=0.1)
    return judge.state_dict()


def images():
    return torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def together(rank, path):
    """What each of two processes does; what it found is written for the test to judge."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{path}/rendezvous",
        rank=rank,
        world_size=2,
        timeout=timedelta(seconds=60),
    )
    found = {plan: trained(plan, images().chunk(2)[rank], average=True) for plan in PLANS}
    found["all_reduce_max"] = [
        all_reduce_max(0),
        all_reduce_max(7 * rank),
        all_reduce_max(3 - rank),
    ]

    lonely = nn.Parameter(torch.ones(2))  # has a gradient in one process only
    lonely.grad = torch.full((2,), 4.0) if rank == 0 else None
    loss = torch.tensor(float("inf") if rank == 1 else 1.0)
    average_gradients([lonely], [loss])
    found["lonely"], found["loss"] = lonely.grad, loss

    norm = nn.BatchNorm2d(3)
    norm(torch.rand(2, 3, 4, 4) + rank)
    flag = torch.tensor([rank == 0, False])
    share([*norm.buffers(), flag])
    found["shared"] = {**norm.state_dict(), "flag": flag}
    torch.save(found, f"{path}/rank_{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    path = tmp_path_factory.mktemp("together")
    mp.spawn(together, (str(path),), nprocs=2)
    return [torch.load(path / f"rank_{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize("plan", PLANS)
def test_two_halves_of_a_batch_train_as_the_whole(found, plan):
    alone = trained(plan, images(), average=False)
    for name, expected in alone.items():
        torch.testing.assert_close(found[0][plan][name], expected, rtol=1e-5, atol=1e-6)
        assert torch.equal(found[0][plan][name], found[1][plan][name]), name


def test_the_steps_compared_are_no_trifle():
    torch.manual_seed(0)
    before, after = Judge().state_dict(), trained("plain", images(), average=False)
    change = after["body.0.weight"] - before["body.0.weight"]
    assert change.abs().max() > 1e-3
    assert torch.equal(after["unused.weight"], before["unused.weight"])


def test_one_flag_is_enough_for_all(found):
    assert [rank["all_reduce_max"] for rank in found] == [[0, 7, 3]] * 2


def test_a_gradient_of_one_process_counts_as_half_in_both(found):
    for rank in found:
        assert rank["lonely"].tolist() == [2.0, 2.0]
        assert rank["loss"].isinf()


def test_buffers_of_every_type_are_the_first_processes(found):
    for name, value in found[0]["shared"].items():
        assert torch.equal(value, found[1]["shared"][name]), name
    assert found[1]["shared"]["flag"].tolist() == [True, False]


def test_one_process_agrees_with_itself():
    assert all_reduce_max(5) == 5
    assert all_reduce_max(0) == 0


def test_buckets_hold_one_type_and_are_limited():
    tensors = [torch.zeros(10), torch.zeros(10).double(), torch.zeros(10), torch.zeros(100)]
    sizes = [[(t.dtype, len(t)) for t in bucket] for bucket in buckets(tensors, limit=80)]
    assert sizes == [
        [(torch.float32, 10), (torch.float32, 10)],
        [(torch.float32, 100)],
        [(torch.float64, 10)],
    ]


# -- the watch over each other ------------------------------------------------------------------


class Told(Ending):
    """Notes why instead of ending the test."""

    reason = ""

    def tell(self, reason):
        self.reason = self.reason or reason
        self.told.set()


class Line:
    """A connection to a store, which can be cut or muted."""

    cut = muted = dead = False

    def __init__(self, store):
        self.store = store

    def set(self, key, value):
        if not self.muted:
            self.store.set(key, value)

    def multi_get(self, keys):
        if self.dead:
            time.sleep(3)
        if self.cut:
            raise dist.DistNetworkError("connection reset by peer")
        return self.store.multi_get(keys)


@pytest.fixture
def ranks():
    """Three watched processes, each a thread here: their endings and their heartbeats."""
    server = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    beats = []
    for rank in range(3):
        store = Line(
            dist.TCPStore("127.0.0.1", server.port, is_master=False, wait_for_workers=False)
        )
        names = [f"rank {number}" for number in range(3)]
        beats.append(
            Heartbeats(
                store, rank=rank, names=names, ending=Told(), key="t", every=0.05, silence=0.6
            )
        )
    for beat in beats:
        beat.start()
    yield beats
    for beat in beats:
        beat.ending.told.set()
    for beat in beats:
        beat.join()


def test_a_silent_process_is_named_by_all_others(ranks):
    time.sleep(0.2)
    ranks[1].store.muted = True
    for rank in (0, 2):
        assert ranks[rank].ending.told.wait(5)
        assert ranks[rank].ending.reason.startswith("rank 1 has died")


def test_processes_at_work_are_left_alone(ranks):
    time.sleep(1.5)  # more than twice the silence that is allowed
    assert not any(beat.ending.told.is_set() for beat in ranks)


def test_an_early_end_is_no_death(ranks):
    early = threading.Thread(target=ranks[1].finish)
    early.start()
    time.sleep(1.5)
    assert not any(beat.ending.told.is_set() for beat in ranks)
    assert early.is_alive()  # it watches until all are done
    others = [threading.Thread(target=ranks[rank].finish) for rank in (0, 2)]
    for thread in others:
        thread.start()
    for thread in (early, *others):
        thread.join(5)
        assert not thread.is_alive()
    assert not any(beat.ending.told.is_set() for beat in ranks)


def test_a_failure_is_passed_on_with_its_message(ranks):
    ranks[2].fail(ValueError("no such photo"))
    for rank in (0, 1):
        assert ranks[rank].ending.told.wait(5)
        assert ranks[rank].ending.reason == "rank 2 failed: ValueError: no such photo"


def test_who_left_is_missed_by_those_who_stay(ranks):
    ranks[2].leave(0.3)
    assert ranks[0].ending.told.wait(5)
    assert ranks[0].ending.reason.startswith("rank 2 left the training")


def test_all_may_leave_together(ranks):
    leaving = [threading.Thread(target=beat.leave, args=(5,)) for beat in ranks]
    for number, thread in enumerate(leaving):
        time.sleep(0.8 * number)  # longer than the silence that is allowed
        thread.start()
    for thread in leaving:
        thread.join(5)
        assert not thread.is_alive()
    assert not any(beat.ending.told.is_set() for beat in ranks)


@pytest.mark.parametrize("how", ["cut", "dead"])
def test_a_lost_store_means_its_keeper(ranks, how):
    time.sleep(0.2)
    setattr(ranks[1].store, how, True)
    assert ranks[1].ending.told.wait(5)
    assert "rank 0 has died" in ranks[1].ending.reason


def test_an_error_of_a_collective_waits_for_who_caused_it(ranks):
    """The echo of a death is not reported as a failure of its own."""
    ranks[0].ending.tell("rank 1 has died")
    ranks[0].fail(RuntimeError("[gloo/transport/tcp/pair.cc] Connection closed by peer"))
    assert ranks[0].ending.reason == "rank 1 has died"
    assert "rank 0 failed" not in ranks[0]._sign.reason


@pytest.mark.parametrize(
    ("script", "how"),
    [("kill -KILL $$", "was killed by SIGKILL"), ("exit 3", "failed with exit code 3")],
)
def test_a_started_process_that_fails_is_named(script, how):
    ending = Told()
    child = subprocess.Popen(["sh", "-c", script])
    other = subprocess.Popen(["sleep", "60"])
    watch = ChildWatch({4: child, 5: other}, ending)
    watch.start()
    assert ending.told.wait(5)
    assert ending.reason.startswith("rank 4 (host ")
    assert ending.reason.endswith(f"pid {child.pid}) {how}")
    watch.kill()
    assert other.wait(5) == -9


def test_an_orphan_names_its_starter():
    ending = Told()
    ParentWatch(os.getppid(), 0, ending).start()
    assert not ending.told.wait(1)
    ending = Told()
    ParentWatch(1 if os.getppid() != 1 else 2, 0, ending).start()
    assert ending.told.wait(5)
    assert "has died" in ending.reason


def test_the_ending_is_told_once_and_forced(tmp_path):
    script = (
        "import time; from srlit.phases.watchdog import Ending; ending = Ending(grace=0.2);"
        "ending.before_exit.append(lambda: print('last words', flush=True));"
        "ending.tell('rank 3 has died'); ending.tell('rank 4 has died'); time.sleep(60)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 70
    assert ended.stderr.count("error: rank 3 has died. Ending ") == 1
    assert "rank 4" not in ended.stderr
    assert ended.stdout == "last words\n"


# -- choosing -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("devices", "count"),
    [(1, 1), (2, 2), ("2", 2), ([0, 1, 3], 3), ("0,1", 2), ("1,", 1), ("auto", 1), (-1, 1)],
)
def test_devices_are_counted_as_lightning_does(devices, count):
    assert count_devices(devices, "cpu") == count


def chosen_strategy(*, multirun=False, **trainer):
    trainer = {"accelerator": "cpu", **trainer}
    return choose_strategy(trainer, command=lambda rank: ([], ""), multirun=multirun)


@pytest.mark.parametrize(
    ("trainer", "ours"),
    [
        ({"devices": 1}, False),
        ({"devices": 2}, True),
        ({"devices": 1, "num_nodes": 2}, True),
        ({"devices": 2, "strategy": "ddp"}, True),
        ({"devices": 2, "strategy": "fsdp"}, False),
        ({"devices": "auto"}, False),
    ],
)
def test_several_processes_take_this_strategy(trainer, ours):
    chosen = chosen_strategy(**trainer)
    assert isinstance(chosen, NetworksDDP) is ours
    assert ours or chosen == trainer.get("strategy", "auto")


def test_torchrun_decides_how_many(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert isinstance(chosen_strategy(devices=1), NetworksDDP)
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert chosen_strategy(devices=1) == "auto"


def test_a_multirun_does_not_start_processes():
    with pytest.raises(ValueError, match="multirun .* need torchrun"):
        chosen_strategy(multirun=True, devices=2)
    assert chosen_strategy(multirun=True, devices=1) == "auto"
