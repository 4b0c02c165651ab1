"""What a signal sets off; whole interrupted trainings are in tests/integration/test_kill.py."""

import logging
import os
import pty
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
from lightning.fabric.plugins.environments import SLURMEnvironment

from srlit.callbacks import preemption
from srlit.callbacks.preemption import Preemption, Stopped, requeue_slurm_job, slurm_environment
from srlit.checkpoint.runs import checkpoints_of, read_record
from srlit.evaluate import main as evaluate_main
from srlit.phases.restoration import RestorationPhase
from srlit.train import build_trainer, train
from tests.helpers import TINY, TINY_TRAINING, compose_config


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A job of SLURM, whose `scontrol` writes down what it was asked."""
    asked = tmp_path / "asked"
    program = tmp_path / "scontrol"
    fail = '[ "$2" != 13 ] || { echo no >&2; exit 1; }'
    program.write_text(f'#!/bin/sh\necho "$@" > {asked}\n{fail}')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_NTASKS", "1")
    monkeypatch.setenv("SLURM_JOB_NAME", "train")
    return lambda: asked.read_text().strip() if asked.exists() else None


@pytest.mark.parametrize(
    ("environment", "asked", "said"),
    [
        ({"JOB_ID": "4711"}, "requeue 4711", "job 4711 is requeued"),
        (
            {"JOB_ID": "4711", "ARRAY_JOB_ID": "4700", "ARRAY_TASK_ID": "3"},
            "requeue 4700_3",
            "4700_3",
        ),
        ({"JOB_ID": "13"}, "requeue 13", "failed: no"),
        ({"JOB_ID": "1; rm"}, None, "cannot requeue SLURM job '1; rm'"),
        ({}, None, "cannot requeue SLURM job ''"),
    ],
)
def test_a_slurm_job_is_requeued(slurm, monkeypatch, caplog, environment, asked, said):
    for name, value in environment.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    with caplog.at_level(logging.INFO):
        requeue_slurm_job()
    assert slurm() == asked
    assert said in caplog.text


def test_elsewhere_nothing_is_requeued(slurm, monkeypatch):
    monkeypatch.delenv("SLURM_NTASKS")
    requeue_slurm_job()
    assert slurm() is None


def test_lightning_does_not_requeue_too(slurm, monkeypatch, tmp_path):
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    monkeypatch.setenv("SLURM_LOCALID", "0")
    cfg = compose_config("train", *TINY, f"paths.runs={tmp_path}")
    environment = build_trainer(cfg)._accelerator_connector.cluster_environment
    assert isinstance(environment, SLURMEnvironment)
    assert not environment.auto_requeue
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")  # torchrun within the job decides
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert slurm_environment() == []


def test_signals_are_noted_and_given_back(tmp_path, caplog):
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    callback = Preemption(folder=str(tmp_path))
    callback.on_train_start(SimpleNamespace(received_sigterm=False), None)
    os.kill(os.getpid(), signal.SIGUSR1)
    assert callback.received == signal.SIGUSR1
    with caplog.at_level(logging.WARNING):
        os.kill(os.getpid(), signal.SIGINT)
    assert callback.received == signal.SIGINT
    assert "Ctrl-C again to stop at once" in caplog.text
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
    callback.teardown(None, None, "fit")
    assert {number: signal.getsignal(number) for number in before} == before


def test_an_ignored_hangup_stays_ignored(tmp_path):
    """`nohup` ignores it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    callback = Preemption(folder=str(tmp_path))
    try:
        callback.on_train_start(SimpleNamespace(received_sigterm=False), None)
        os.kill(os.getpid(), signal.SIGHUP)
        assert callback.received is None
        callback.teardown(None, None, "fit")
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(("presses", "saved"), [(1, [1]), (2, [])])
def test_ctrl_c_ends_a_training_by_130_without_a_trace(tmp_path, presses, saved):
    """The first one saves, the second one does not wait for that."""
    script = f"""if True:
        import os, signal
        from srlit.phases.restoration import RestorationPhase
        original = RestorationPhase.training_step
        def step(self, batch, batch_idx):
            for _ in range({presses}):
                os.kill(os.getpid(), signal.SIGINT)
            original(self, batch, batch_idx)
        RestorationPhase.training_step = step
        from srlit.train import main
        main()
    """
    command = [sys.executable, "-c", script, *TINY_TRAINING, "data.workers=1", "name=a"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert "Traceback" not in done.stdout + done.stderr
    assert read_record(tmp_path / "runs" / "a").status == "stopped"
    assert list(checkpoints_of(tmp_path / "runs" / "a")) == saved


def test_a_terminal_that_is_closed_stops_a_training_which_saves(tmp_path):
    """Its progress bar has nowhere to go."""
    script = """if True:
        import os, time
        from srlit.callbacks.preemption import Preemption
        original = Preemption.on_train_batch_end
        def wait(self, *arguments, **named):
            os.write(1, b"waiting")
            while self.received is None:
                time.sleep(0.01)
            original(self, *arguments, **named)
        Preemption.on_train_batch_end = wait
        from srlit.train import main
        main()
    """
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(tmp_path)
        os.execv(sys.executable, [sys.executable, "-c", script, *TINY_TRAINING, "name=a"])
    shown = b""
    while b"waiting" not in shown:
        shown += os.read(terminal, 4096)
    os.close(terminal)
    os.waitpid(child, 0)
    assert read_record(tmp_path / "runs" / "a").status == "stopped"
    assert list(checkpoints_of(tmp_path / "runs" / "a")) == [1]


@pytest.mark.parametrize("moment", ["srlit.evaluate.build_methods", "srlit.config.entry.quieten"])
def test_ctrl_c_ends_every_command_by_130_without_a_trace(monkeypatch, capfd, tmp_path, moment):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(moment, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    monkeypatch.setattr(sys, "argv", ["evaluate", "data=sample", "baselines=[bicubic]"])
    with pytest.raises(SystemExit) as ended:
        evaluate_main()
    assert ended.value.code == 130
    assert "Traceback" not in "".join(capfd.readouterr())


def test_a_job_is_requeued_though_sigterm_follows(tmp_path, monkeypatch):
    """SLURM sends it when the time is up, perhaps within the same iteration."""
    original = RestorationPhase.training_step

    def step(self, batch, batch_idx):
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGTERM)
        original(self, batch, batch_idx)

    requeued = []
    monkeypatch.setattr(RestorationPhase, "training_step", step)
    monkeypatch.setattr(preemption, "requeue_slurm_job", lambda: requeued.append(1))
    cfg = compose_config("train", *TINY, "model=edsr_small", f"paths.runs={tmp_path}")
    with pytest.raises(Stopped) as stopped:
        train(cfg)
    assert stopped.value.code == 143
    assert requeued == [1]


def test_a_signal_that_lightning_took_before_is_not_lost(tmp_path):
    callback = Preemption(folder=str(tmp_path))
    callback.on_train_start(SimpleNamespace(received_sigterm=True), None)
    callback.teardown(None, None, "fit")
    assert callback.received == signal.SIGTERM
