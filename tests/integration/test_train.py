"""`srlit.train` as users run it: mistakes, phases in a row, resuming, sweeps."""

import json
import re
import shutil
import sys

import pytest
import torch

from srlit import train as train_module
from srlit.callbacks.csv_logger import read_rows
from srlit.checkpoint import CheckpointError, load_checkpoint, resolve_checkpoint
from srlit.checkpoint.loading import network_weights
from srlit.config import ConfigError
from srlit.data.transforms import evaluation_pair
from srlit.ops.resize import imresize
from srlit.perceptual import backbones as weights
from srlit.phases.base import Phase
from srlit.train import resolve_precision, train
from tests.helpers import TINY_TRAINING, compose_config, mounted, no_network, run
from tests.integration.survival import differences, outcome

FAST = (
    *TINY_TRAINING,
    *("logger.tensorboard=null", "callbacks.image_logger=null", "metrics.names=[mae]"),
    *("callbacks.lpips_checkpoint.metric=mae", "loss=l1", "iterations=1"),
)


@pytest.fixture
def command(tmp_path, monkeypatch):
    """The command line, in this process: gives the message it ends with, or None."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["srlit train", *arguments])
        try:
            train_module.main()
        except SystemExit as stop:
            return str(stop.code)
        return None

    return call


# -- mistakes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("+loss.weights.lpip=0.1", "loss.weights.lpip: no such loss term; did you mean"),
        ("data.patch_size=49", "data.patch_size=49: expected a multiple of scale=2"),
        ("data=folder data.photos.train_folder=/nowhere", "data.photos.train_folder=/nowhere: no"),
        ("data=folder data.photos.train_folder=empty", "empty: no image in this folder"),
        ("data=folder", "data.photos.train_folder"),
        ("+model.widht=3", "unknown key model.widht; did you mean model.width?"),
        ("+weights.dirr=x", "unknown key weights.dirr; did you mean weights.dir?"),
        ("callbacks.lpips_checkpoint=null", "without it nothing would be saved"),
        ("loss.weights.l1=0", "expected a term besides 'adversarial' above 0"),
        ("data.eval_crop=16", "data.eval_crop=16: the metrics need 31"),
        ("eval_degradation=fixed", "write degradation@eval_degradation=fixed"),
        ("+itreations=3", "unknown key itreations; did you mean iterations?"),
        ("modle.width=3", "unknown key modle.width; did you mean model?"),
        ("init_from=auto", "init_from=auto needs `previous_phase`"),
        ("weights.allow_untrained=false", "No pretrained weights for alexnet"),
        ("+experiment=phase3", "no finished run labelled 'phase2'"),
        ("init_from=nothing.safetensors", "nothing.safetensors: no such checkpoint"),
        ("resume=nothing.safetensors", "nothing.safetensors: no such checkpoint"),
        ("callbacks.lpips_checkpoint.metric=lpips_vgg", "'lpips_vgg', but metrics.names measures"),
    ],
)
def test_a_mistake_stops_and_names_the_key(command, tmp_path, monkeypatch, arguments, message):
    monkeypatch.delenv("SRLIT_WEIGHTS", raising=False)
    monkeypatch.setattr(weights, "torchvision_state", no_network)
    weights.forget_loaded()
    arguments = arguments.split()
    (tmp_path / "empty").mkdir()
    overridden = {a.lstrip("+").split("=")[0] for a in arguments}
    usual = [a for a in TINY_TRAINING if a.split("=")[0] not in overridden]
    ended = command(*usual, *arguments)
    assert ended is not None
    assert message in ended
    assert not list((tmp_path / "runs").rglob("*.safetensors"))


def test_phase3_before_phase2_names_the_command_to_run(command):
    ended = command("+experiment=phase3", *TINY_TRAINING)
    assert "no finished run labelled 'phase2'" in ended
    assert "+experiment=phase2" in ended


def test_a_disk_that_is_read_only_is_named_without_a_trace(command, tmp_path):
    with mounted(tmp_path / "disk", "size=1m", "ro") as disk:
        ended = command(*FAST, f"paths.runs={disk}/runs")
    assert ended.startswith(f"error: {disk}/runs")
    assert "paths.runs=" in ended


def test_a_misspelt_key_in_a_users_own_file(tmp_path):
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    (tmp_path / "mine" / "experiment" / "my.yaml").write_text("# @package _global_\niteratons: 5\n")
    ended = run("srlit.train", "--config-dir=mine", "+experiment=my", cwd=tmp_path)
    assert ended.returncode == 1
    assert "unknown key iteratons; did you mean iterations?" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not list((tmp_path / "runs").rglob("*.safetensors"))


# -- a training ---------------------------------------------------------------------------------


def train_small(tmp_path, *overrides):
    return train(compose_config("train", *TINY_TRAINING, f"paths.runs={tmp_path}", *overrides))


def test_a_run_leaves_what_people_look_for(tmp_path):
    train_small(tmp_path, "name=first")
    folder = tmp_path / "first"
    assert json.loads((folder / "run.json").read_text())["status"] == "finished"
    assert "model:" in (folder / "config.yaml").read_text()
    assert (folder / "panels" / "iteration_0000002.png").is_file()
    assert list((folder / "tensorboard").glob("events*"))
    rows = read_rows(folder / "metrics.csv")
    assert [row["step"] for row in rows] == ["1", "1", "2", "2"]
    assert {"train/raw/l1", "train/weighted/l1", "learning_rate"} <= set(rows[0])
    assert "val/psnr_rgb_b0" in rows[1]
    checkpoint = load_checkpoint(folder / "checkpoints" / "last.safetensors")
    assert not any("features" in key or "loss." in key for key in checkpoint["state_dict"])
    assert checkpoint["card"]["model"]["width"] == 8


def test_the_first_minute_says_what_runs_and_what_comes_next(command, tmp_path, capsys):
    assert command(*FAST, "trainer.num_sanity_val_steps=-1", "name=a") is None
    lines = capsys.readouterr().out.splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith("device"))
    first = {line.split()[0]: line for line in lines[begin : begin + 5]}
    assert first.keys() == {"device", "network", "photos", "degradation", "folder"}
    assert "cpu, precision 32-true" in first["device"]
    assert "EDSR" in first["network"]
    assert "10 for train, 2 for val" in first["photos"]
    assert first["folder"].split()[-1] == "runs/a"
    assert [line.split()[2] for line in lines if line.startswith("next")] == [
        "report", "evaluate", "upscale",
    ]  # fmt: skip
    before, *_, after = read_rows(tmp_path / "runs" / "a" / "metrics.csv")
    assert (before["step"], after["step"]) == ("0", "1")
    data = train_module.build_data(compose_config("train", *FAST))
    data.check()
    pairs = [evaluation_pair(photos, data.eval_degradation) for photos in data.val_dataloader()]
    errors = [(imresize(b.lr, 2).clamp(0, 1) - b.hr).abs().mean((1, 2, 3)) for b in pairs]
    assert float(before["bicubic/mae"]) == pytest.approx(float(torch.cat(errors).mean()), abs=2e-4)
    shown = f"mae {float(after['val/mae']):.4f} ({float(before['bicubic/mae']):.4f})"
    assert any(line.startswith("iteration 1") and shown in line for line in lines)


def test_a_used_folder_is_never_overwritten_and_a_finished_run_never_changed(tmp_path):
    train_small(tmp_path)
    before = (tmp_path / "custom" / "best.json").read_text()
    with pytest.raises(ConfigError, match="already holds a run: add resume=auto"):
        train_small(tmp_path)
    train_small(tmp_path, "resume=auto")
    assert (tmp_path / "custom" / "best.json").read_text() == before
    assert json.loads((tmp_path / "custom" / "run.json").read_text())["status"] == "finished"


def test_three_phases_in_a_row_by_multirun(tmp_path):
    """The command of the README, on small settings, in a process of its own."""
    phases = ("+experiment=phase1,phase2,phase3", f"paths.runs={tmp_path / 'runs'}")
    ended = run("srlit.train", "-m", *phases, *TINY_TRAINING, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    for phase in ("phase1", "phase2", "phase3"):
        assert (tmp_path / "runs" / phase / "best.json").is_file()
    log = ended.stdout + ended.stderr
    for source in ("phase1", "phase2"):
        folder = tmp_path / "runs" / source
        best = json.loads((folder / "best.json").read_text())["checkpoint"]
        assert f"generator starts from {folder / best}" in log


def test_jobs_of_a_multirun_follow_their_own_parents(command, tmp_path, capsys):
    assert command("-m", "+experiment=phase1,phase2", "seed=1,2", *FAST) is None
    log = capsys.readouterr().out
    for seed in (1, 2):
        parent = f"runs/phase1_seed-{seed}/checkpoints/iteration_0000001.safetensors"
        assert f"generator starts from {parent}" in log
        assert (tmp_path / "runs" / f"phase2_seed-{seed}" / "best.json").is_file()
    ended = command("-m", "+experiment=phase1,phase2", "seed=1,2", *FAST)
    assert "phase1_seed-1 already holds a run" in ended
    assert "resume=auto" in ended


def test_a_failed_job_ends_only_the_phases_after_it(command, tmp_path, monkeypatch):
    original = train_module.train

    def fails(cfg):
        if cfg.seed == 1 and cfg.label == "phase1":
            raise ValueError("out of luck")
        return original(cfg)

    monkeypatch.setattr(train_module, "train", fails)
    ended = command("-m", "seed=1,2", "+experiment=phase1,phase2", *FAST).splitlines()
    assert ended[1:] == [
        "  phase1_seed-1: out of luck",
        "  phase2_seed-1: skipped: phase1_seed-1, the phase before, failed",
    ]
    assert (tmp_path / "runs" / "phase2_seed-2" / "best.json").is_file()
    assert not (tmp_path / "runs" / "phase2_seed-1" / "run.json").exists()


def test_jobs_with_one_name_are_stopped_before_the_first(command, tmp_path):
    ended = command("-m", "seed=1,2", "name=mine", *FAST)
    assert "name=mine" in ended
    assert not (tmp_path / "runs" / "mine").exists()


def test_init_from_takes_the_ema_weights(tmp_path):
    train_small(tmp_path, "name=a", "label=phase1")
    follows = ("name=b", "previous_phase=phase1", "init_from=auto", f"paths.runs={tmp_path}")
    cfg = compose_config("train", *TINY_TRAINING, *follows)
    phase, data = train_module.build_phase(cfg), train_module.build_data(cfg)
    data.check()
    train_module.initialise(cfg, phase, train_module.record_of(cfg, data))
    expected = network_weights(load_checkpoint(resolve_checkpoint(f"{tmp_path}/a")))
    state = phase.generator.state_dict()
    assert all(torch.equal(state[name], value) for name, value in expected.items())


def test_another_model_is_no_start(tmp_path):
    train_small(tmp_path, "name=a")
    with pytest.raises(CheckpointError, match=r"model\.blocks: 1 in the checkpoint, 2 now"):
        train_small(tmp_path, "name=b", "model.blocks=2", f"init_from={tmp_path}/a")


def test_another_training_is_not_resumed(tmp_path):
    train_small(tmp_path)
    for override, difference in (
        ("model.width=16", "model.width: 8 in the checkpoint, 16 now"),
        ("iterations=8", "training: iterations: 2 in the checkpoint, 8 now"),
        ("loss.weights.l1=2.0", "loss.weights.l1: 1.0 in the checkpoint, 2.0 now"),
        ("degradation=bicubic", "degradation.name: blind in the checkpoint, bicubic now"),
        ("phase.optimizer.lr=0.1", "phase.optimizer.lr: 0.0005 in the checkpoint, 0.1 now"),
    ):
        with pytest.raises(CheckpointError, match=re.escape(difference)):
            train_small(tmp_path, "resume=auto", override)


def test_resuming_into_another_folder_selects_what_is_there(tmp_path):
    """The history of the first run comes along, its files do not."""
    train_small(tmp_path, "name=a", "iterations=4", "validate_every=2")
    earlier = tmp_path / "a" / "checkpoints" / "iteration_0000002.safetensors"
    train_small(tmp_path, "name=b", "iterations=4", "validate_every=2", f"resume={earlier}")
    best = json.loads((tmp_path / "b" / "best.json").read_text())
    assert (tmp_path / "b" / best["checkpoint"]).is_file()
    assert [row["iteration"] for row in best["history"]] == [2, 4]


def test_a_kill_between_the_two_names_of_a_checkpoint_is_mended(tmp_path):
    train_small(tmp_path, "iterations=4", "validate_every=2")
    folder = tmp_path / "custom"
    reference = json.loads((folder / "best.json").read_text())
    newest = folder / "checkpoints" / "iteration_0000004.safetensors"
    newest.unlink()
    train_small(tmp_path, "iterations=4", "validate_every=2", "resume=auto")
    assert newest.is_file()
    assert json.loads((folder / "best.json").read_text()) == reference


@pytest.fixture
def at_start_of_iterations(monkeypatch):
    """Calls a function with the phase before each iteration."""
    original = Phase.on_train_batch_start

    def act_first(act):
        def on_train_batch_start(self, batch, batch_idx):
            act(self)
            return original(self, batch, batch_idx)

        monkeypatch.setattr(Phase, "on_train_batch_start", on_train_batch_start)

    return act_first


def test_rows_are_on_the_disk_while_the_run_goes_on(tmp_path, at_start_of_iterations):
    seen = []

    def count_rows(phase):
        files = list(tmp_path.rglob("metrics.csv"))
        seen.append(len(files[0].read_text().splitlines()) if files else 0)

    at_start_of_iterations(count_rows)
    train_small(tmp_path, "iterations=3")
    assert seen == [0, 3, 5]  # head, then a training and a validation row per iteration


def test_what_breaks_a_run_keeps_its_trace(command, at_start_of_iterations, monkeypatch):
    def fail(phase):
        raise ValueError("inside the step")

    at_start_of_iterations(fail)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(ValueError, match="inside the step") as caught:
        command(*TINY_TRAINING)
    assert "resume=auto goes on with it" in caught.value.__notes__[0]


def test_changed_photos_are_noticed_on_resume(tmp_path, photo_folder):
    options = ("data=folder", f"data.photos.train_folder={photo_folder}", "data.photos.holdout=2")
    train_small(tmp_path, *options, "data.cache_mb=0")
    next(iter(sorted(photo_folder.iterdir()))).unlink()
    with pytest.raises(CheckpointError, match="data.photos: 8 training photos.*7 training photos"):
        train_small(tmp_path, *options, "resume=auto")
    train_small(tmp_path, *options, "resume=auto", "resume_changes=data.photos")
    [change] = json.loads((tmp_path / "custom" / "run.json").read_text())["changes"]
    assert (change["iteration"], change["key"]) == (2, "data.photos")


@pytest.mark.parametrize("experiment", ["phase1", "phase3"])
def test_a_resumed_run_ends_as_an_unstopped_one(tmp_path, experiment, at_start_of_iterations):
    options = (f"+experiment={experiment}", "init_from=null", "validate_every=2", "iterations=4")
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    train_small(whole / "runs", *options, "name=a")

    def fail(phase):
        if phase.iteration == 2 and not (halves / "failed").exists():
            (halves / "failed").touch()
            raise KeyError("power cut")

    at_start_of_iterations(fail)
    with pytest.raises(KeyError):
        train_small(halves / "runs", *options, "name=a")
    assert json.loads((halves / "runs/a/run.json").read_text())["status"] == "failed"
    train_small(halves / "runs", *options, "name=a", "resume=auto")
    assert differences(outcome(whole, 4), outcome(halves, 4)) == []


@pytest.mark.slow
def test_a_sweep_ends_with_a_table_and_a_plot(tmp_path):
    """+sweep=loss_weights over 2 x 1 x 1 values, in a process of its own."""
    swept = ("-m", "+experiment=phase3", "+sweep=loss_weights", "init_from=null")
    weights = (f"loss.weights.{name}=0.05" for name in ("perceptual", "adversarial"))
    ended = run(
        "srlit.train", *swept, "loss.weights.l1=10,20", *weights, *TINY_TRAINING, cwd=tmp_path
    )
    assert ended.returncode == 0, ended.stderr
    (sweep,) = (tmp_path / "runs" / "sweeps").iterdir()
    rows = json.loads((sweep / "table.json").read_text())
    assert sorted(row["name"] for row in rows) == ["phase3_10_0.05_0.05", "phase3_20_0.05_0.05"]
    assert (sweep / "psnr_lpips.png").stat().st_size > 5_000


def test_precision_follows_the_hardware(monkeypatch):
    assert resolve_precision("32-true", "auto") == "32-true"
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    assert resolve_precision("auto", "cpu") == "32-true"
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    assert resolve_precision("auto", "cpu") == "bf16-mixed"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_networks_train_as_they_would_without(tmp_path, request):
    weights.forget_loaded()
    request.addfinalizer(weights.forget_loaded)
    # Adam's first steps are as long for a gradient of rounding errors as for any other.
    optimizers = ("phase.generator_optimizer", "phase.discriminator_optimizer")
    plain = [f"{name}._target_=torch.optim.SGD" for name in optimizers]
    plain += [f"~{name}.betas" for name in optimizers]
    ends = []
    for compiled in ("false", "true"):
        folder = tmp_path / compiled
        options = ("+experiment=phase3", "init_from=null", f"compile={compiled}", *plain)
        train_small(folder, *options, "loss=l1_lpips_gan")
        assert {"activations" in vars(b) for b in weights._LOADED} == {compiled == "true"}
        last = folder / "phase3" / "checkpoints" / "last.safetensors"
        ends.append(load_checkpoint(last)["state_dict"])
    assert ends[0].keys() == ends[1].keys()
    for name, value in ends[0].items():
        torch.testing.assert_close(ends[1][name], value, rtol=1e-4, atol=1e-6, msg=name)
