"""Mistyped values of all kinds end a command with key, value and expectation, and no folder."""

import importlib
import sys

import pytest

from srlit.config import check_config
from tests.helpers import compose_config

REQUIRED = {"upscale": ["input=.", "checkpoint=a"], "select": ["run=a"], "report": ["degradation"]}

# Command, what was typed, the key and value that the error shows, and what it expects.
MISTYPED = [
    ("train", "iterations=10k", "iterations=10k", "whole number >= 1"),
    ("train", "iterations=1.5e3", "iterations=1500.0", "whole number >= 1"),
    ("train", "seed=abc", "seed=abc", "whole number >= 0"),
    ("train", "seed=null", "seed=null", "whole number >= 0"),
    ("train", "scale=two", "scale=two", "whole number >= 1"),
    ("train", "compile=yes_please", "compile=yes_please", "true or false"),
    ("train", "validate_every=-5", "validate_every=-5", "whole number >= 1"),
    ("train", "name=", "name=", "text, not empty"),
    ("train", "weights.dir=nowhere", "weights.dir=nowhere", "existing folder"),
    ("train", "weights.allow_untrained=no", "weights.allow_untrained=no", "true or false"),
    ("train", "data.batch_size=2.5", "data.batch_size=2.5", "whole number"),
    ("train", "data.workers=-3", "data.workers=-3", "whole number >= 0"),
    ("train", "data.augmentation.hue=-1", "data.augmentation.hue=-1", "number >= 0"),
    ("train", "phase.grad_clip_norm=-1", "phase.grad_clip_norm=-1", "number > 0"),
    ("train", "phase.optimizer.lr=nan", "phase.optimizer.lr=nan", "number >= 0"),
    ("train", "phase.optimizer.lr=-1e-3", "phase.optimizer.lr=-0.001", "number >= 0"),
    ("train", "+phase.optimizer.betas=[2,3]", "phase.optimizer.betas=[2, 3]", "a list of 2"),
    ("train", "phase.optimizer.weight_decay=inf", "phase.optimizer.weight_decay=inf", "number"),
    ("train", "loss.weights.l1=-1", "loss.weights.l1=-1", "number >= 0"),
    ("train", "schedule.patience=soon", "schedule.patience=soon", "whole number"),
    ("train", "trainer.precision=bf17", "trainer.precision=bf17", "bf16-mixed"),
    ("train", "trainer.precision=64-true", "trainer.precision=64-true", "32-true"),
    ("train", "trainer.precision=64", "trainer.precision=64", "32-true"),
    ("train", "trainer.precision=16-true", "trainer.precision=16-true", "16-mixed"),
    ("train", "trainer.precision=bf16-true", "trainer.precision=bf16-true", "bf16-mixed"),
    ("train", "trainer.precision=transformer-engine", "transformer-engine", "bf16-mixed"),
    ("train", "trainer.accelerator=gpus", "trainer.accelerator=gpus", "gpu"),
    ("train", "callbacks.ema.decay=high", "callbacks.ema.decay=high", "number"),
    ("train", "callbacks.ema=3", "callbacks.ema=3", "_target_"),
    ("train", "model.width=8.5", "model.width=8.5", "whole number"),
    ("train", "model.norm=grop", "model.norm=grop", "group"),
    ("train", "metrics.names=psnr", "metrics.names=psnr", "a list of text"),
    ("train", "phase=adversarial", "phase.discriminator=null", "_target_"),
    ("evaluate", "scale=2.5", "scale=2.5", "whole number >= 1"),
    ("upscale", "scale=0", "scale=0", "whole number >= 1"),
    ("select", "scale=-1", "scale=-1", "whole number >= 1"),
    ("evaluate", "device=gpu", "device=gpu", "cuda"),
    ("evaluate", "data.eval_crop=-4", "data.eval_crop=-4", "whole number >= 1"),
    ("evaluate", "split=tests", "split=tests", "test or val"),
    ("evaluate", "alphas=[0,3]", "alphas[1]=3", "number >= 0 <= 1"),
    ("evaluate", "interpolate=[a]", "interpolate=['a']", "list"),
    ("evaluate", "tile=0", "tile=0", "whole number >= 1 or null"),
    ("evaluate", "replay=nowhere.json", "replay=nowhere.json", "existing file"),
    ("evaluate", "tolerance.psnr_rgb_b0=x", "tolerance.psnr_rgb_b0=x", "number >= 0"),
    ("upscale", "overwrite=no", "overwrite=no", "true or false"),
    ("upscale", "input=nowhere", "input=nowhere", "existing file or folder"),
    ("upscale", "format=.gif", "format=.gif", ".png or .webp or .jpg"),
    ("upscale", "stage=2", "stage=2", "1 or null"),
    ("select", "minimum=24", "minimum=24", "mapping from text to a number"),
    ("prepare", "pack=yes", "pack=yes", "true or false"),
    ("prepare", "splits=[training]", "splits[0]=training", "train or val or test"),
    ("prepare", "weights nets=[vgg11]", "nets[0]=vgg11", "vgg16"),
    ("train", "callbacks.lpips_checkpoint.tolerance.psnr_rgb_b0=-1", "b0=-1", "number >= 0"),
    ("report", "severities=many", "severities=many", "whole number >= 1"),
    ("report", "photo=nowhere.png", "photo=nowhere.png", "existing file"),
]


@pytest.fixture
def command(tmp_path, monkeypatch):
    """A command line in this process, in an empty folder: the message that it ends with."""
    monkeypatch.chdir(tmp_path)

    def call(name, *arguments):
        module = importlib.import_module(f"srlit.{name}")
        monkeypatch.setattr(sys, "argv", [f"srlit {name}", *arguments])
        monkeypatch.setattr(module, name, lambda cfg: sys.exit("the command was not stopped"))
        with pytest.raises(SystemExit) as stop:
            module.main()
        return str(stop.value.code)

    return call


@pytest.mark.parametrize(("name", "typed", "shown", "expected"), MISTYPED)
def test_a_mistyped_value_stops_before_a_folder(command, tmp_path, name, typed, shown, expected):
    message = command(name, *REQUIRED.get(name, []), *typed.split())
    assert shown in message
    assert expected in message.split("expected", 1)[1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        (["seed=1,2", "compile=no"], "compile=no"),
        (["seed=1,x"], "seed=x"),
        (["model=edsr,unt"], "did you mean unet?"),
        (["+sweep=loss_weights", "loss.weights.l1=1,-2"], "loss.weights.l1=-2"),
    ],
)
def test_no_job_of_a_grid_starts_where_one_is_mistyped(command, tmp_path, typed, shown):
    assert shown in command("train", "-m", *typed)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("model=unt", "unet"),
        ("+experiment=fase1", "phase1"),
        ("itreations=3", "iterations"),
        ("+itreations=3", "iterations"),
        ("phase.grad_clip_nrm=1", "phase.grad_clip_norm"),
        ("model.widht=3", "model.width"),
        ("loss.weights.lpip=1", "loss.weights.lpips"),
        ("weights.dirr=x", "weights.dir"),
    ],
)
def test_an_unknown_name_gets_a_suggestion(command, tmp_path, typed, meant):
    message = command("train", typed)
    assert typed.lstrip("+").split("=")[0] in message
    assert f"did you mean {meant}?" in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("typed", "key", "text"),
    [
        ("name=2024_11_25", "name", "2024_11_25"),
        ("name=1e3", "name", "1e3"),
        ("name=null", "name", "null"),
        ("label=007", "name", "007"),
        ("label=true", "name", "true"),
        ("previous_phase=null", "previous_phase", None),
    ],
)
def test_a_text_stays_as_it_was_typed(typed, key, text):
    cfg = compose_config("train", typed)
    check_config(cfg, "train", [typed])
    assert cfg[key] == text


def test_a_list_of_texts_stays_as_it_was_typed():
    cfg = compose_config("evaluate", typed := "names=[2024_11, x]")
    check_config(cfg, "evaluate", [typed])
    assert list(cfg.names) == ["2024_11", "x"]


def test_a_bug_of_the_check_does_not_let_a_run_start_unchecked(command, tmp_path, monkeypatch):
    monkeypatch.setattr("srlit.config.entry.check_config", lambda *_: {}["bug"])
    assert "KeyError('bug')" in command("train")
    assert list(tmp_path.iterdir()) == []
