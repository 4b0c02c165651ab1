"""Resumed runs: ended early, with changed options, from older checkpoints, refused."""

import json

import pytest

from srlit.callbacks.csv_logger import read_rows
from srlit.callbacks.early_stopping import EarlyStopping
from srlit.checkpoint import CheckpointError, load_checkpoint
from srlit.checkpoint.io import AtomicCheckpointIO
from srlit.checkpoint.runs import checkpoint_name, checkpoints_of
from srlit.phases.base import Phase
from srlit.train import train
from tests.helpers import TINY_TRAINING, compose_config
from tests.integration.survival import differences, outcome

LONGER = (
    *TINY_TRAINING,
    *("logger.tensorboard=null", "callbacks.image_logger=null", "metrics.names=[psnr_rgb_b0,mae]"),
    "callbacks.lpips_checkpoint.metric=psnr_rgb_b0",
    *("iterations=8", "validate_every=2", "resume=auto", "name=a"),
)


def go(folder, *overrides):
    paths = (f"paths.runs={folder}/runs", f"paths.cache={folder}/cache")
    train(compose_config("train", *LONGER, *paths, *overrides))
    return folder / "runs" / "a"


def stopped_at(folder, monkeypatch, iteration, *overrides):
    """A run that fails after an iteration and its validation."""
    original = Phase.on_train_batch_start

    def fail(self, batch, batch_idx):
        if self.iteration == iteration:
            raise RuntimeError("power")
        return original(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(Phase, "on_train_batch_start", fail)
        with pytest.raises(RuntimeError, match="power"):
            go(folder, *overrides)
    return folder / "runs" / "a"


# -- early stopping -------------------------------------------------------------------------------


@pytest.fixture
def stuck(monkeypatch):
    """Trainings whose validations never improve."""
    original = Phase.validation_step

    def step(self, batch, batch_idx):
        original(self, batch, batch_idx)
        for mean in self._val_means.values():
            mean.mean_value.fill_(1.0)
            mean.weight.fill_(1.0)

    monkeypatch.setattr(Phase, "validation_step", step)


def test_a_run_that_ended_early_stays_ended(tmp_path, stuck, caplog):
    run = go(tmp_path, "callbacks.early_stopping.patience=1")
    assert max(checkpoints_of(run)) == 4
    assert "iteration 4 of 8: val/loss" in caplog.text
    rows = read_rows(run / "metrics.csv")
    caplog.clear()
    go(tmp_path, "callbacks.early_stopping.patience=1")
    assert max(checkpoints_of(run)) == 4
    assert read_rows(run / "metrics.csv") == rows
    assert "ends early" in caplog.text
    assert json.loads((run / "run.json").read_text())["status"] == "finished"


def test_more_patience_continues_it(tmp_path, stuck):
    run = go(tmp_path, "callbacks.early_stopping.patience=1")
    go(tmp_path, "callbacks.early_stopping.patience=2")
    assert max(checkpoints_of(run)) == 6
    go(tmp_path, "callbacks.early_stopping=null")
    assert max(checkpoints_of(run)) == 8


def test_any_validated_column_can_be_monitored(tmp_path, stuck):
    column = "callbacks.early_stopping.monitor=val/psnr_rgb_b0"
    run = go(tmp_path, "callbacks.early_stopping.patience=1", column)
    assert max(checkpoints_of(run)) == 4
    with pytest.raises(ValueError, match="'beauty'"):
        EarlyStopping(monitor="val/beauty")


# -- something changed ----------------------------------------------------------------------------


def test_an_ema_may_be_switched_on(tmp_path, monkeypatch):
    """It starts from the generator of the checkpoint, not from an untrained one."""
    run = stopped_at(tmp_path, monkeypatch, 4, "callbacks.ema=null")
    begun = load_checkpoint(run / checkpoint_name(4))["state_dict"]
    go(tmp_path, "callbacks.ema.decay=0.0", "phase.optimizer.lr=5.0e-4")
    averaged = load_checkpoint(run / checkpoint_name(8))["callbacks"]["EMA"]
    weights = load_checkpoint(run / checkpoint_name(8))["state_dict"]
    for name, value in averaged["averaged"].items():
        assert value.equal(weights[f"generator.{name}"])

    stopped_at(tmp_path / "kept", monkeypatch, 4, "callbacks.ema=null")
    monkeypatch.setattr("srlit.phases.base.Phase.update_ema", lambda self: None)
    kept = load_checkpoint(go(tmp_path / "kept") / checkpoint_name(8))["callbacks"]["EMA"]
    for name, value in kept["averaged"].items():
        assert value.equal(begun[f"generator.{name}"])


def test_an_ema_may_be_switched_off(tmp_path, monkeypatch):
    stopped_at(tmp_path, monkeypatch, 4)
    run = go(tmp_path, "callbacks.ema=null")
    assert "EMA" not in load_checkpoint(run / checkpoint_name(8))["callbacks"]


def test_another_metric_may_select_after_a_resume(tmp_path, monkeypatch):
    run = stopped_at(tmp_path, monkeypatch, 4, "metrics.names=[psnr_rgb_b0]")
    assert json.loads((run / "best.json").read_text())["rule"] == "highest psnr_rgb_b0"
    go(tmp_path, "callbacks.lpips_checkpoint.metric=mae")
    best = json.loads((run / "best.json").read_text())
    assert best["rule"].startswith("lowest mae")
    assert best["iteration"] in {6, 8}
    assert [row["iteration"] for row in best["history"]] == [2, 4, 6, 8]


def test_resuming_from_an_older_checkpoint_moves_the_newer_ones(tmp_path, caplog):
    keep = "callbacks.lpips_checkpoint.top_k=9"
    whole = outcome(go(tmp_path / "whole", keep).parents[1])
    run = go(tmp_path, keep)
    go(tmp_path, keep, f"resume={run / checkpoint_name(4)}")
    assert "moved" in caplog.text
    aside = run / "checkpoints" / "abandoned"
    assert {load_checkpoint(path)["iteration"] for path in aside.iterdir()} == {6, 8}
    again = outcome(tmp_path)
    again["files"].remove("abandoned")
    assert differences(whole, again) == []


def test_last_ckpt_is_the_checkpoint_that_was_resumed(tmp_path, monkeypatch):
    run = go(tmp_path)
    monkeypatch.setattr(Phase, "on_train_start", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        go(tmp_path, f"resume={run / checkpoint_name(4)}")
    last = run / "checkpoints" / "last.safetensors"
    assert load_checkpoint(last)["iteration"] == 4


# -- refused before anything is touched -----------------------------------------------------------


@pytest.mark.parametrize("lacking", ["validated", "running_means", "optimizer_states"])
def test_a_checkpoint_that_lacks_training_state_is_refused(tmp_path, monkeypatch, lacking):
    run = stopped_at(tmp_path, monkeypatch, 4)
    path = run / checkpoint_name(4)
    checkpoint = load_checkpoint(path)
    del checkpoint[lacking]
    AtomicCheckpointIO().save_checkpoint(checkpoint, path)
    before = (run / "metrics.csv").read_bytes(), (run / "run.json").read_bytes()
    with pytest.raises(CheckpointError, match=f"{lacking}.*init_from"):
        go(tmp_path)
    assert ((run / "metrics.csv").read_bytes(), (run / "run.json").read_bytes()) == before


def test_another_number_of_processes_is_refused(tmp_path, monkeypatch):
    run = stopped_at(tmp_path, monkeypatch, 5)
    before = (run / "metrics.csv").read_bytes()
    with pytest.raises(ValueError, match="1 processes.*2"):
        go(tmp_path, "trainer.devices=2")
    assert (run / "metrics.csv").read_bytes() == before
