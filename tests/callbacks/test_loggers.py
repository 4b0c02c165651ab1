import pytest

from srlit.callbacks.loggers import logged_in, wandb_logger
from srlit.phases.restoration import RestorationPhase
from srlit.train import train
from tests.helpers import TINY, compose_config


def test_wandb_is_offline_unless_logged_in(tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NETRC", raising=False)
    assert not logged_in()
    logger = wandb_logger(folder=str(tmp_path), project="srlit", name="x")
    assert logger._offline
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    assert logged_in()


@pytest.fixture
def wandb_offline(tmp_path, monkeypatch):
    """Trainings with Weights & Biases; gives the runs that they left."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    chosen = ("logger=wandb", "model=edsr_small", f"paths.runs={tmp_path}", "resume=auto")

    def call(*overrides):
        train(compose_config("train", *TINY, *chosen, *overrides))

    return call, lambda: sorted(path.name[-8:] for path in tmp_path.glob("*/wandb/offline-run-*"))


def test_a_resumed_training_continues_its_wandb_run(wandb_offline):
    call, runs = wandb_offline
    call("name=a")
    first = runs()
    call("name=a")
    assert {*runs()} == {*first}
    assert len(first) == 1
    call("name=b")
    assert len({*runs()}) == 2


def test_the_next_training_does_not_log_into_a_failed_ones_wandb_run(wandb_offline, monkeypatch):
    call, runs = wandb_offline
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr(RestorationPhase, "finish_iteration", lambda self: 1 / 0)
        call("name=a")
    call("name=b")
    assert len({*runs()}) == 2
