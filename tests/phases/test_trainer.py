"""Which strategy Lightning takes, and what becomes of errors of collectives."""

from unittest.mock import Mock

import lightning
import pytest
import torch.distributed as dist

from srlit.config import ConfigError
from srlit.phases.trainer import PhaseDDP, Trainer
from srlit.train import build_trainer
from tests.helpers import TINY, compose_config
from tests.phases.tiny_phases import restoration


def make(**options):
    return Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, **options)


@pytest.mark.parametrize(
    ("options", "processes"),
    [
        ({"devices": 1}, 1),
        ({"devices": 2}, 2),
        ({"devices": 1, "num_nodes": 2}, 2),
        ({"devices": 2, "strategy": "ddp"}, 2),
    ],
)
def test_several_processes_train_by_phase_ddp(options, processes):
    trainer = make(timeout_s=7, **options)
    assert trainer.world_size == processes
    assert isinstance(trainer.strategy, PhaseDDP) is trainer.starts_processes is (processes > 1)
    if processes > 1:
        assert trainer.strategy._timeout.total_seconds() == 7


@pytest.fixture
def torchrun(monkeypatch):
    """This process as one of two that torchrun started."""
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(name, "2")
    for name in ("RANK", "LOCAL_RANK", "GROUP_RANK"):
        monkeypatch.setenv(name, "0")


def test_torchrun_and_devices_must_agree(torchrun):
    assert not make(devices=2).starts_processes
    with pytest.raises(ValueError, match=r"trainer\.devices=1 .* 2 processes"):
        make(devices=1)


def multirun(monkeypatch):
    monkeypatch.setattr("srlit.train.in_multirun", lambda: True)
    return build_trainer(compose_config("train", *TINY, "trainer.devices=2"))


def test_a_multirun_does_not_start_processes(monkeypatch):
    with pytest.raises(ConfigError, match=r"trainer\.devices=2.*torchrun"):
        multirun(monkeypatch)


def test_a_multirun_takes_processes_of_torchrun(monkeypatch, torchrun):
    assert multirun(monkeypatch).world_size == 2


@pytest.mark.parametrize(
    ("raised", "expected", "match"),
    [
        (RuntimeError("[gloo/a.cc:81] Timed out waiting"), TimeoutError, r"trainer\.timeout_s=7"),
        (RuntimeError("[gloo/pair.cc:1] Connection closed by peer"), ConnectionError, "ended"),
        (dist.DistStoreError("timed out after 7 seconds"), TimeoutError, r"trainer\.timeout_s=7"),
        (RuntimeError("shapes do not match"), RuntimeError, "shapes"),
    ],
)
def test_errors_of_collectives_are_explained(monkeypatch, raised, expected, match):
    monkeypatch.setattr(lightning.Trainer, "fit", Mock(side_effect=raised))
    with pytest.raises(expected, match=match) as caught:
        make(timeout_s=7).fit(restoration())
    assert caught.type is expected
