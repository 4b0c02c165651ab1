"""Trainings in several processes: started by Lightning, torchrun and per node; dead and frozen."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from lightning import Callback

from srlit.checkpoint import load_checkpoint
from srlit.train import train
from tests.helpers import REPOSITORY, TINY_TRAINING, compose_config
from tests.integration.survival import flattened

PHASE3 = (
    *("+experiment=phase3", "init_from=null"),
    *("discriminator=patchgan_small", "discriminator.width=8"),
    *(choice for choice in TINY_TRAINING if not choice.startswith("trainer.devices")),
    *("iterations=3", "validate_every=3", "data.eval_batch_size=1"),
)
# Adam would amplify the last bit of a gradient near zero.
SGD = [
    choice
    for network, rate in {"generator": 0.01, "discriminator": 0.05}.items()
    for choice in (
        f"~phase.{network}_optimizer.betas",
        f"phase.{network}_optimizer._target_=torch.optim.SGD",
        f"phase.{network}_optimizer.lr={rate}",
    )
]
ENDLESS = ("iterations=1000000", "validate_every=1000000")
TIMEOUT = 30.0  # long enough for the processes to find each other on a busy machine
SHORT = (*ENDLESS, f"trainer.timeout_s={TIMEOUT:g}")
LIMIT = 30.0  # seconds from a death to the end of all
ENDED = "another process has ended|Child process with PID"
SILENT = rf"did not answer within trainer\.timeout_s={TIMEOUT:g}"


class Digests(Callback):
    """Writes hashes of a process's networks, optimizers and callbacks at the end."""

    def __init__(self, folder):
        self.folder = Path(folder)

    def on_train_end(self, trainer, pl_module):
        held = {
            "networks": pl_module.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in trainer.optimizers],
            "callbacks": {c.state_key: c.state_dict() for c in trainer.callbacks},
        }
        found = {name: digest(part) for name, part in held.items()}
        (self.folder / f"rank_{trainer.global_rank}.json").write_text(json.dumps(found))


def digest(part):
    """SHA-256 of nested tensors and numbers."""
    return sha256(repr(sorted(flattened(part).items())).encode()).hexdigest()


def digests_in(folder):
    return [json.loads(path.read_text()) for path in sorted(Path(folder).glob("rank_*.json"))]


# -- starting -----------------------------------------------------------------------------------


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def arguments(folder, *more):
    folder.mkdir(exist_ok=True)
    target = "tests.integration.test_ranks.Digests"
    hashing = f"+callbacks.digests={{_target_:{target},folder:'{folder}'}}"
    return ["srlit.train", *PHASE3, hashing, f"paths.runs={folder}/the runs", *more]


MARK = "SRLIT_TEST_GROUP"


def processes_of(group):
    """Pid to command line of the living processes that descend from a start."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"{MARK}={group}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found[int(folder.name)] = (folder / "cmdline").read_text()
    return found


@pytest.fixture
def start(tmp_path):
    """Starts `python -m ...`, its stderr in a file; what is left of it ends with the test."""
    started = []

    def call(*command, prefix=(), **environment):
        log = (tmp_path / f"stderr_{len(started)}").open("w")
        mark = {MARK: log.name, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
        process = subprocess.Popen(
            [*prefix, sys.executable, "-m", *command],
            cwd=tmp_path,
            env=os.environ | mark | environment,
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
        )
        process.log, process.group = Path(log.name), log.name
        started.append(process)
        return process

    yield call
    for process in started:
        for pid in processes_of(process.group):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def finish(process):
    assert process.wait(240) == 0, process.log.read_text()


TORCHRUN = ("torch.distributed.run", "--nproc-per-node=2", "--master-addr=127.0.0.1")


def node(number, port):
    return {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": str(number)}


# -- the same training --------------------------------------------------------------------------


@pytest.mark.slow
def test_two_processes_train_as_one_with_twice_the_batch(tmp_path, start):
    """Started by Lightning, from `srlit train` and arguments with spaces."""
    _, *command = arguments(tmp_path / "two", *SGD, "trainer.devices=2", "name=a b")
    finish(start("srlit", "train", *command))
    assert len(digests_in(tmp_path / "two")) == 2
    one, other = digests_in(tmp_path / "two")
    assert one == other
    batch = ("data.batch_size=4", "trainer.devices=1", f"paths.runs={tmp_path}", "name=one")
    train(compose_config("train", *PHASE3, *SGD, *batch))
    train(compose_config("train", *PHASE3, *SGD, *batch[:-1], "name=1", "iterations=1"))

    weights = [
        load_checkpoint(path / "checkpoints" / "last.safetensors")["state_dict"]
        for path in (tmp_path / "two" / "the runs" / "a b", tmp_path / "one", tmp_path / "1")
    ]
    for name, expected in weights[1].items():
        torch.testing.assert_close(weights[0][name], expected, rtol=1e-5, atol=2e-6, msg=name)
    changed = [n for n, w in weights[2].items() if not torch.allclose(w, weights[1][n], atol=1e-4)]
    assert any(name.startswith("generator") for name in changed)
    assert any(name.startswith("discriminator") for name in changed)


@pytest.mark.slow
def test_torchrun_and_two_nodes_train_the_same_bits(tmp_path, start):
    """Networks, Adam's moments and EMA, by two ways of starting the processes."""
    training = arguments(tmp_path / "torchrun", "trainer.devices=2")
    finish(start(*TORCHRUN, f"--master-port={free_port()}", "-m", *training))
    port = free_port()
    both = arguments(tmp_path / "nodes", "trainer.devices=1", "trainer.num_nodes=2")
    nodes = [start(*both, **node(number, port)) for number in range(2)]
    for process in nodes:
        finish(process)
    found = digests_in(tmp_path / "torchrun") + digests_in(tmp_path / "nodes")
    assert len(found) == 4
    assert all(rank == found[0] for rank in found)


@pytest.mark.slow
def test_one_process_goes_on_as_two_with_the_same_batch_in_all(tmp_path, start):
    same = (*PHASE3, *SGD, "schedule=constant", f"paths.runs={tmp_path}")
    alone = ("data.batch_size=4", "trainer.devices=1")
    train(compose_config("train", *same, *alone, "name=whole", "iterations=6"))
    train(compose_config("train", *same, *alone, "name=halves"))
    go_on = ("iterations=6", "resume=auto", "resume_changes=[iterations]", "trainer.devices=2")
    finish(start("srlit", "train", *same, *go_on, "data.batch_size=2", "name=halves"))
    whole, halves = (
        load_checkpoint(tmp_path / name / "checkpoints" / "iteration_0000006.safetensors")
        for name in ("whole", "halves")
    )
    for name, expected in whole["state_dict"].items():
        found = halves["state_dict"][name]
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=2e-6, msg=name)


# -- deaths -------------------------------------------------------------------------------------


def until_training(log_folder, iterations=3):
    """Wait until some rows have been logged."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        for path in log_folder.rglob("metrics.csv"):
            if len(path.read_text().splitlines()) > iterations:
                return
        time.sleep(0.2)
    raise AssertionError("no training within 240 s")


def ranks_by_number(group):
    """Rank to pid of what Lightning started in a group."""
    found = {
        int(match[1]) if (match := re.search(r"train_ddp_process_(\d)", line)) else 0: pid
        for pid, line in processes_of(group).items()
        if "srlit.train" in line
    }
    assert sorted(found) == [0, 1]
    return found


def check_end(process, says, limit=LIMIT):
    """Within the limit no process of a start is left; it has failed and has said why."""
    began = time.monotonic()
    while left := processes_of(process.group):
        assert time.monotonic() - began < limit, f"still there: {left}"
        time.sleep(0.1)
    assert process.wait(5) != 0
    assert re.search(says, process.log.read_text()), process.log.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("rank", [1, 0])
def test_a_killed_process_ends_all(tmp_path, start, rank):
    process = start(*arguments(tmp_path / "run", *ENDLESS, "trainer.devices=2"))
    until_training(tmp_path / "run")
    os.kill(ranks_by_number(process.group)[rank], signal.SIGKILL)
    check_end(process, ENDED)


@pytest.mark.slow
def test_a_frozen_process_ends_all_after_the_timeout(tmp_path, start):
    process = start(*arguments(tmp_path / "run", *SHORT, "trainer.devices=2"))
    until_training(tmp_path / "run")
    os.kill(ranks_by_number(process.group)[1], signal.SIGSTOP)
    check_end(process, f"error: .*{SILENT}", TIMEOUT + LIMIT)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("way", "says", "limit"),
    [(signal.SIGKILL, ENDED, LIMIT), (signal.SIGSTOP, SILENT, TIMEOUT + LIMIT)],
    ids=["killed", "frozen"],
)
@pytest.mark.parametrize("rank", [1, 0])
def test_a_lost_node_ends_the_other(tmp_path, start, rank, way, says, limit):
    port = free_port()
    both = arguments(tmp_path / "run", *SHORT, "trainer.devices=1", "trainer.num_nodes=2")
    nodes = [start(*both, **node(number, port)) for number in range(2)]
    until_training(tmp_path / "run")
    os.kill(nodes[rank].pid, way)
    check_end(nodes[1 - rank], says, limit)


@pytest.mark.slow
def test_a_killed_worker_of_torchrun_ends_all_and_is_named(tmp_path, start):
    command = [*TORCHRUN, f"--master-port={free_port()}", "-m"]
    process = start(*command, *arguments(tmp_path / "run", *ENDLESS, "trainer.devices=2"))
    until_training(tmp_path / "run")
    second = max(
        pid
        for pid in processes_of(process.group)
        if b"LOCAL_RANK=1" in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    )
    os.kill(second, signal.SIGKILL)
    check_end(process, r"rank\s*: 1 ")


# -- machines -----------------------------------------------------------------------------------


@pytest.fixture
def namespaces():
    """Two network namespaces with addresses of their own, joined by a cable."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and `ip` (iproute2): two machines not tried")
    names = [f"srlit{os.getpid()}{side}" for side in "ab"]
    cables = [f"v{os.getpid()}{side}" for side in "ab"]
    setup = [f"netns add {name}" for name in names]
    setup.append(f"link add {cables[0]} type veth peer name {cables[1]}")
    for number, (name, cable) in enumerate(zip(names, cables, strict=True), 1):
        setup += [
            f"link set {cable} netns {name}",
            f"-n {name} addr add 10.77.0.{number}/24 dev {cable}",
            f"-n {name} link set {cable} up",
            f"-n {name} link set lo up",
        ]
    try:
        for command in setup:
            done = subprocess.run(
                ["ip", *command.split()], capture_output=True, text=True, check=False
            )
            if done.returncode:
                pytest.skip(f"ip {command}: {done.stderr.strip()}: two machines not tried")
        yield names, cables
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


@pytest.fixture
def machines(start, namespaces):
    """Starts a command on both machines; `{number}` in it is the machine's."""

    def call(*command, **environment):
        return [
            start(
                *(part.format(number=number) for part in command),
                prefix=("ip", "netns", "exec", name),
                GLOO_SOCKET_IFNAME=cable,
                NODE_RANK=str(number),
                **environment,
            )
            for number, (name, cable) in enumerate(zip(*namespaces, strict=True))
        ]

    return call


def as_it_is(argument):
    """An argument that `machines` leaves alone."""
    return argument.replace("{", "{{").replace("}", "}}")


@pytest.mark.slow
def test_two_machines_by_torchrun(tmp_path, machines):
    """They share nothing but a cable and a file system."""
    torchrun = ("--nnodes=2", "--node-rank={number}", "--nproc-per-node=1")
    address = ("--master-addr=10.77.0.1", "--master-port=29511")
    training = arguments(tmp_path, "trainer.devices=1", "trainer.num_nodes=2")
    command = ("torch.distributed.run", *torchrun, *address, "-m", *map(as_it_is, training))
    for process in machines(*command):
        finish(process)
    one, other = digests_in(tmp_path)
    assert one == other


@pytest.mark.slow
def test_a_pulled_cable_ends_both_machines(tmp_path, machines, namespaces):
    """No connection is closed: packets vanish, as when a machine loses its power."""
    training = arguments(tmp_path / "run", *SHORT, "trainer.devices=1", "trainer.num_nodes=2")
    both = machines(*map(as_it_is, training), MASTER_ADDR="10.77.0.1", MASTER_PORT="29512")
    until_training(tmp_path / "run")
    names, cables = namespaces
    cut = ["ip", "-n", names[0], "link", "set", cables[0], "down"]
    subprocess.run(cut, check=True)
    for process in both:
        check_end(process, SILENT, TIMEOUT + LIMIT)
