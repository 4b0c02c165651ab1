import json
import time

import pytest
import torch
from PIL import Image
from tests.phases.test_phases import adversarial_phase, fit, sgd, shared

from srlit.callbacks import EMA, ImageLogger, IterationProgress, LPIPSCheckpoint
from srlit.callbacks.loggers import logged_in, wandb_logger
from srlit.checkpoint import CheckpointError, load_checkpoint
from srlit.checkpoint.io import AtomicCheckpointIO
from srlit.phases import RestorationPhase
from srlit.train import train
from tests.helpers import TINY, compose_config


def test_the_average_follows_its_formula(tmp_path):
    phase = RestorationPhase(optimizer=sgd, **shared(iterations=5))
    ema = EMA(decay=0.3)
    history = [phase.generator.stem.weight.detach().clone()]
    original = phase.finish_iteration

    def finish():
        history.append(phase.generator.stem.weight.detach().clone())
        original()

    phase.finish_iteration = finish
    fit(
        phase,
        tmp_path,
        count=5,
        callbacks=[ema, LPIPSCheckpoint(folder=str(tmp_path), metric="loss")],
    )
    expected = history[0]
    for i, weight in enumerate(history[1:], start=1):
        decay = min(0.3, (1 + i) / (10 + i))
        expected = decay * expected + (1 - decay) * weight
    torch.testing.assert_close(phase.judged.stem.weight, expected)
    assert not torch.equal(phase.judged.stem.weight, phase.generator.stem.weight)


def test_only_the_generator_is_averaged_and_validation_judges_the_average(tmp_path):
    phase = adversarial_phase(iterations=2)
    ema = EMA(decay=0.9)
    fit(
        phase,
        tmp_path,
        count=2,
        callbacks=[ema, LPIPSCheckpoint(folder=str(tmp_path), metric="loss")],
    )
    assert ema.state_dict()["averaged"].keys() == phase.generator.state_dict().keys()
    assert phase.judged is not phase.generator
    lr = torch.rand(1, 3, 8, 8)
    torch.testing.assert_close(phase.restore(lr), phase.judged.eval()(lr))


def test_a_decay_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"callbacks\.ema\.decay=1\.0"):
        EMA(decay=1.0)


def selecting(folder, values, **options):
    """A training whose validations give these values of lpips_alex."""
    phase = RestorationPhase(optimizer=sgd, **shared(iterations=len(values)))
    phase.metrics._metrics["lpips_alex"] = None
    found = iter(values)
    original = phase.on_validation_epoch_end

    def measure():
        original()
        phase.validation["lpips_alex"] = next(found)

    phase.metrics.__class__.__call__, saved = _without_lpips, phase.metrics.__class__.__call__
    phase.on_validation_epoch_end = measure
    try:
        fit(
            phase,
            folder,
            count=len(values),
            validate_every=1,
            callbacks=[LPIPSCheckpoint(folder=str(folder), **options), EMA(decay=0.5)],
            plugins=[AtomicCheckpointIO()],
        )
    finally:
        phase.metrics.__class__.__call__ = saved
    return json.loads((folder / "best.json").read_text())


def _without_lpips(self, sr, hr, lr=None):
    return {"psnr_rgb_b0": torch.full((len(sr),), 20.0)}


def test_the_best_k_and_the_last_are_kept(tmp_path):
    best = selecting(tmp_path, [0.5, 0.3, 0.4, 0.2, 0.6], top_k=2)
    assert best["iteration"] == 4
    assert best["rule"] == "lowest lpips_alex"
    assert [row["iteration"] for row in best["kept"]] == [4, 2]
    assert len(best["history"]) == 5
    files = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    kept = [f"iteration_000000{i}.ckpt" for i in (2, 4, 5)]  # the newest too, to go on from
    assert files == [*kept, "last.ckpt", "manifest.json"]
    selected = load_checkpoint(tmp_path / best["checkpoint"])
    assert selected["iteration"] == 4
    assert load_checkpoint(tmp_path / "checkpoints" / "last.ckpt")["iteration"] == 5
    # Saved after the validation that judged these weights, average included.
    assert selected["callbacks"]["EMA"]["seen"] == 4
    assert "loops" not in selected


def test_nan_never_wins_and_floors_hold(tmp_path):
    best = selecting(tmp_path / "a", [float("nan"), 0.5, float("nan")])
    assert best["iteration"] == 2
    best = selecting(tmp_path / "b", [0.3, 0.2], minimum={"psnr_rgb_b0": 30.0})
    assert best["iteration"] == 2
    assert best["reaches_minimum"] is False


def test_a_metric_that_is_not_measured_is_refused_at_the_start(tmp_path):
    phase = RestorationPhase(optimizer=sgd, **shared())
    callback = LPIPSCheckpoint(folder=str(tmp_path), metric="lpips_vgg")
    with pytest.raises(
        ValueError, match="'lpips_vgg', but metrics.names measures loss, psnr_rgb_b0"
    ):
        fit(phase, tmp_path, callbacks=[callback])
    with pytest.raises(ValueError, match="top_k=0"):
        LPIPSCheckpoint(folder=str(tmp_path), top_k=0)


def test_panels_show_lr_sr_hr(tmp_path):
    phase = RestorationPhase(optimizer=sgd, **shared(iterations=2))
    callbacks = [
        ImageLogger(folder=str(tmp_path), count=1, crop=24),
        LPIPSCheckpoint(folder=str(tmp_path), metric="loss"),
    ]
    fit(phase, tmp_path, count=2, callbacks=callbacks)
    (picture,) = (tmp_path / "panels").iterdir()
    assert picture.name == "iteration_0000002.png"
    assert Image.open(picture).size == (3 * 24 + 2 * 4, 24)


def test_progress_tells_iteration_rate_losses_and_time_left(tmp_path, caplog):
    phase = RestorationPhase(optimizer=sgd, **shared(iterations=4))
    callbacks = [
        IterationProgress(every_seconds=0),
        LPIPSCheckpoint(folder=str(tmp_path), metric="loss"),
    ]
    with caplog.at_level("INFO", logger="srlit"):
        fit(phase, tmp_path, callbacks=callbacks)
    lines = [record.getMessage() for record in caplog.records]
    assert any(
        line.startswith("iteration 3 of 4, ")
        and "images/s" in line
        and "left" in line
        and "l1" in line
        for line in lines
    )
    assert any("iteration 4 validated: psnr_rgb_b0" in line for line in lines)


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


def test_a_resumed_training_goes_on_in_its_wandb_run(wandb_offline, monkeypatch):
    call, runs = wandb_offline
    call("name=a")
    time.sleep(1.1)  # wandb names folders by the second
    call("name=a")
    assert len(runs()) == 2
    assert len({*runs()}) == 1
    call("name=b")
    assert len({*runs()}) == 2


def test_a_failed_training_does_not_leave_its_wandb_run_to_the_next(wandb_offline, monkeypatch):
    call, runs = wandb_offline
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr(RestorationPhase, "finish_iteration", lambda self: 1 / 0)
        call("name=a")
    call("name=b")
    assert len({*runs()}) == 2


def test_a_training_shows_what_it_degrades_with_once(tmp_path, caplog):
    overrides = [one for one in TINY if not one.startswith("callbacks.degradation")]
    small = ("model=edsr_small", "model.width=8", "model.blocks=1", "logger.csv=null")
    cfg = compose_config("train", *overrides, *small, f"paths.runs={tmp_path}", "data.batch_size=5")
    train(cfg)
    folder = tmp_path / "custom" / "degradation"
    with Image.open(folder / "pairs.png") as pairs:
        assert pairs.size == (2 * 48 + 4, 4 * 48 + 3 * 4)  # LR enlarged beside HR, four pairs
    draws = (folder / "draws.png").stat().st_mtime_ns
    cfg.iterations, cfg.resume = 3, "auto"
    with pytest.raises(CheckpointError, match="iterations"):
        train(cfg)
    assert (folder / "draws.png").stat().st_mtime_ns == draws
