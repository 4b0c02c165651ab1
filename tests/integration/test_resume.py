"""Resumed runs: ended early, with changed options, from older checkpoints, refused."""

import json
import math

import pytest

from srlit.callbacks.csv_logger import read_rows
from srlit.callbacks.early_stopping import EarlyStopping
from srlit.checkpoint import CheckpointError, load_checkpoint
from srlit.checkpoint.io import AtomicCheckpointIO
from srlit.checkpoint.loading import network_weights
from srlit.checkpoint.runs import checkpoint_name, checkpoints_of, read_record
from srlit.phases.base import Phase
from srlit.train import train
from tests.helpers import TINY_TRAINING, compose_config
from tests.integration.survival import differences, flattened, outcome

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


@pytest.mark.parametrize(
    "change", [["degradation@eval_degradation=bicubic"], ["phase.val_tile=8", "resume_changes=any"]]
)
def test_another_validation_is_not_compared_with(tmp_path, stuck, monkeypatch, caplog, change):
    """Of validations that always give 1, only those by the new degradation rank and stop."""
    patience = ("callbacks.early_stopping.patience=3", "schedule.patience=2")
    run = stopped_at(tmp_path, monkeypatch, 6, *patience)
    former = json.loads((run / "best.json").read_text())
    go(tmp_path, *patience, *change)
    best = json.loads((run / "best.json").read_text())
    ids = [row["validation"] for row in best["history"]]
    assert ids[0] == ids[1] == ids[2] != ids[3]
    assert {row["validation"] for row in best["kept"]} == {ids[3]}
    assert (run / former["checkpoint"]).is_file()
    assert max(checkpoints_of(run)) == 8
    assert "validation changed" in caplog.text
    [scheduler] = load_checkpoint(run / checkpoint_name(8))["lr_schedulers"]
    assert scheduler["num_bad_epochs"] == 0


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


def test_another_whole_batch_is_refused(tmp_path, monkeypatch):
    run = stopped_at(tmp_path, monkeypatch, 5)
    before = (run / "metrics.csv").read_bytes()
    with pytest.raises(CheckpointError, match=r"data\.batch_size: 2 .*, 4 now"):
        go(tmp_path, "trainer.devices=2")
    assert (run / "metrics.csv").read_bytes() == before


# -- changed on purpose ---------------------------------------------------------------------------


def test_more_iterations_are_as_if_asked_for_at_first(tmp_path):
    constant = ("schedule=constant", "callbacks.lpips_checkpoint.top_k=9")
    whole = outcome(go(tmp_path / "whole", *constant, "iterations=12").parents[1], 12)
    go(tmp_path, *constant)
    run = go(tmp_path, *constant, "iterations=12", "resume_changes=[iterations]")
    longer = outcome(tmp_path, 12)
    changes = {key for key in longer["tensors"] if key.startswith(".card.changes")}
    assert {key: longer["tensors"].pop(key) for key in changes}[".card.changes.0.now"] == 12
    del whole["best"], longer["best"]
    assert differences(whole | {"best": 0}, longer | {"best": 0}) == []
    [change] = read_record(run).changes
    assert change == {"iteration": 8, "key": "iterations", "before": 8, "now": 12}


def test_a_schedule_follows_the_iterations(tmp_path):
    """It is not listed, as it is `${iterations}`, and goes on where the new one would be."""
    go(tmp_path, "schedule=cosine")
    run = go(tmp_path, "schedule=cosine", "iterations=12", "resume_changes=iterations")
    rates = [
        float(row["learning_rate"])
        for row in read_rows(run / "metrics.csv")
        if "learning_rate" in row
    ]
    expected = [0.00025 * (1 + math.cos(math.pi * i / 12)) for i in range(9, 13)]
    assert rates[-4:] == pytest.approx(expected)


def test_rate_batch_and_weights_change_from_there_on(tmp_path, monkeypatch):
    stopped_at(tmp_path, monkeypatch, 4)
    new = ("phase.optimizer.lr=1.0e-4", "data.batch_size=3", "loss.weights.l1=2.0")
    with pytest.raises(CheckpointError, match=r"resume_changes=\[.*loss.weights.l1"):
        go(tmp_path, *new, "resume_changes=[phase.optimizer,data]")
    run = go(tmp_path, *new, "resume_changes=[phase.optimizer,data,loss.weights]")
    rows = read_rows(run / "metrics.csv")
    by_step = {int(row["step"]): row for row in rows if "learning_rate" in row}
    assert (float(by_step[4]["learning_rate"]), float(by_step[5]["learning_rate"])) == (5e-4, 1e-4)
    ratio = float(by_step[5]["train/weighted/l1"]) / float(by_step[5]["train/raw/l1"])
    assert ratio == pytest.approx(2.0)
    assert len(read_record(run).changes) == 3


def test_nothing_allows_another_network(tmp_path, monkeypatch):
    stopped_at(tmp_path, monkeypatch, 4)
    with pytest.raises(CheckpointError, match=r"model\.width"):
        go(tmp_path, "model.width=4", "resume_changes=any")


# -- from elsewhere -------------------------------------------------------------------------------


def test_a_finished_checkpoint_starts_a_folder_of_its_own(tmp_path):
    run = go(tmp_path)
    whole = load_checkpoint(run / checkpoint_name(8))
    copy = go(tmp_path, f"resume={run / checkpoint_name(8)}", "name=b").parent / "b"
    assert json.loads((copy / "best.json").read_text())["checkpoint"] == checkpoint_name(8)
    go(tmp_path, "name=b")
    assert flattened(load_checkpoint(copy / checkpoint_name(8))) == flattened(whole)


def test_parts_of_a_network_and_a_discriminator_start_from_others(tmp_path, caplog):
    phase3 = ("+experiment=phase3", "loss=l1_lpips_gan", "discriminator=patchgan_small")
    source = go(tmp_path, *phase3, "init_from=null", "iterations=2")
    trained = load_checkpoint(source / checkpoint_name(2))
    start = ("iterations=2", "scale=4", "name=c", f"init_from={source}", "resume=null")
    with pytest.raises(CheckpointError, match="model.scale"):
        go(tmp_path, *phase3, *start)
    still = ("phase.generator_optimizer.lr=0", "phase.discriminator_optimizer.lr=0")
    discriminator = f"init_discriminator={source / checkpoint_name(2)}"
    go(tmp_path, *phase3, *start, *still, "init_partial=true", discriminator)
    begun = load_checkpoint(tmp_path / "runs" / "c" / checkpoint_name(2))
    for network in ("generator", "discriminator"):
        then, now = network_weights(trained, network), network_weights(begun, network)
        changed = {k for k in now if then[k].shape != now[k].shape or not then[k].equal(now[k])}
        changed = {name for name in changed if not name.endswith(("_u", "_v"))}
        assert bool(changed) == (network == "generator")
        assert all(name in caplog.text for name in changed)
