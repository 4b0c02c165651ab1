"""Every file in conf/ composes and runs a step on the CPU; a new file is found by itself."""

import csv
import json
import math

import numpy as np
import pytest
from PIL import Image

from srlit.config import CONF_DIR, check_config
from srlit.data.shards import write_shards
from srlit.evaluate import evaluate
from srlit.train import train
from tests.data.photos import audited, write_pairs
from tests.helpers import TINY, compose_config

FILES = sorted(path.relative_to(CONF_DIR) for path in CONF_DIR.glob("*/*.yaml"))
ROOTS = sorted(path.stem for path in CONF_DIR.glob("*.yaml"))
EDSR = "model=edsr_small"
ADVERSARIAL = ["+experiment=phase3", "init_from=null", EDSR]

# What to add to a training so that the option of a group is used; data, experiment and sweep are
# treated below.
USES = {
    "callbacks": ["callbacks={name}", EDSR],
    "criterion": [*ADVERSARIAL, "criterion@phase.criterion={name}"],
    "degradation": [
        "degradation={name}",
        "degradation@eval_degradation={name}",
        "data.patch_size=128",
        "data.eval_crop=128",
        EDSR,
    ],
    "discriminator": [*ADVERSARIAL, "discriminator={name}"],
    "divergence": ["divergence@callbacks.divergence={name}", EDSR],
    "logger": ["logger={name}", EDSR],
    "loss": ["loss={name}", EDSR],
    "metrics": ["metrics={name}", "data.eval_crop=200", EDSR],
    "model": ["model={name}"],
    "paths": ["paths={name}", EDSR],
    "penalty": [*ADVERSARIAL, "penalty@phase.penalty={name}"],
    "phase": ["phase={name}", EDSR],
    "schedule": ["schedule={name}", EDSR],
    "trainer": ["trainer={name}", EDSR],
}

# 23 blocks take minutes on a CPU; that they are as many is seen in tests/models.
FEWER_BLOCKS = ["model.num_block=2"]


def run_training(tmp_path, *overrides):
    cfg = compose_config("train", *TINY, *overrides, f"paths.runs={tmp_path}")
    check_config(cfg, "train")
    train(cfg)
    best = json.loads(next(tmp_path.rglob("best.json")).read_text())
    assert len(best["history"]) == 2
    return cfg


def test_nothing_is_left_out():
    groups = {path.parent.name for path in FILES}
    assert groups == {*USES, "data", "experiment", "degradation_stage", "sweep", "term"}
    assert ROOTS == [
        "evaluate",
        "prepare",
        "prepare_weights",
        "report",
        "select",
        "train",
        "upscale",
    ]


@pytest.mark.parametrize(
    "path", [p for p in FILES if p.parent.name in USES and not p.stem.startswith("_")], ids=str
)
def test_every_option_runs(path, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    overrides = [text.format(name=path.stem) for text in USES[path.parent.name]]
    if path.stem.endswith("_gan"):
        overrides = [*ADVERSARIAL, f"loss={path.stem}"]
    if path.stem == "adversarial":
        overrides = ADVERSARIAL
    if path.stem in {"two_stage", "rrdbnet"}:
        overrides += FEWER_BLOCKS
    assert run_training(tmp_path, *overrides).iterations == 2


def test_all_terms_run_in_one_table(tmp_path):
    """On patches that five scales of SSIM fit into, with a network that has a stage 1."""
    names = [path.stem for path in FILES if path.parent.name == "term" and path.stem != "l1"]
    terms = [f"+term@loss.terms.{name}={name}" for name in names]
    weights = [f"+loss.weights.{name}=0.1" for name in names]
    patches = ("data.patch_size=176", "data.eval_crop=176", "data.batch_size=1")
    run_training(tmp_path, "model=two_stage_small", *terms, *weights, *patches)
    with next(tmp_path.rglob("metrics.csv")).open() as file:
        [row] = [row for row in csv.DictReader(file) if row["step"] == "2" and row["train/loss"]]
    for name in ["l1", *names]:
        assert math.isfinite(float(row[f"train/weighted/{name}"])), name


def test_a_term_is_added_to_a_table_on_the_command_line():
    """As docs/losses.md says."""
    added = ["+term@loss.terms.ssim=ssim", "+loss.weights.ssim=0.2"]
    cfg = compose_config("train", "+experiment=phase3", *added)
    check_config(cfg, "train")
    assert cfg.loss.terms.ssim["_target_"] == "srlit.losses.ssim.SSIM"
    assert list(cfg.loss.weights) == ["l1", "perceptual", "adversarial", "ssim"]


EXPERIMENTS = [path for path in FILES if path.parent.name == "experiment"]
# Of srlit.evaluate; tests/integration/test_evaluations.py runs them.
EVALUATIONS = ("reference_table", "robustness")


@pytest.mark.parametrize("path", [p for p in EXPERIMENTS if p.stem not in EVALUATIONS], ids=str)
def test_every_experiment_runs(path, tmp_path):
    if path.stem.startswith("_"):
        others = (CONF_DIR / "experiment").iterdir()
        assert any(f"- {path.stem}\n" in other.read_text() for other in others)
        return
    text = (CONF_DIR / path).read_text()
    assert "python -m srlit" in text or "After" in text, "the header says how it is run"
    fewer = FEWER_BLOCKS if path.stem.startswith("two_stage") else []
    cfg = run_training(tmp_path, f"+experiment={path.stem}", "init_from=null", *fewer)
    assert cfg.label == path.stem


DATA_SETS = ("bsds400", "bsd100", "DIV2K_train_HR", "DIV2K_valid_HR", "Flickr2K_HR", "mine")


@pytest.fixture
def data_sets(tmp_path, photo_folder, photo):
    """Small photos under the names that the data files expect."""
    root = tmp_path / "data"
    for number, name in enumerate(DATA_SETS):
        (root / name).mkdir(parents=True)
        for path in photo_folder.iterdir():
            pixels = np.array(Image.open(path))
            pixels[0, 0] = number  # no photo is in two sets
            Image.fromarray(pixels).save(root / name / f"{number}_{path.name}")
    write_pairs(root / "pairs", photo)
    return root


# What the data files leave to the user to name.
NAMED = {
    "folder": ["data.photos.train_folder={root}/mine", "data.photos.holdout=3"],
    "bsds400": ["data.photos.holdout=3"],
    "flickr2k": ["data.photos.holdout=3"],
    "pairs": [
        "data.photos.train_hr={root}/pairs/hr",
        "data.photos.train_lr={root}/pairs/lr",
        "data.photos.holdout=1",
    ],
    "mixed": [
        "data.photos.sources.real.train_hr={root}/pairs/hr",
        "data.photos.sources.real.train_lr={root}/pairs/lr",
        "data.photos.sources.real.holdout=1",
        "data.photos.sources.synthetic.train_folder={root}/mine",
    ],
    "litdata": ["data.photos.train={root}/shards/mine", "data.photos.val={root}/shards/bsd100"],
}


@pytest.mark.parametrize("path", [p for p in FILES if p.parent.name == "data"], ids=str)
def test_every_data_file_runs(path, tmp_path, data_sets):
    name = path.stem
    if name == "_base":
        assert all(
            "_base" in (CONF_DIR / p).read_text()
            for p in FILES
            if p.parent.name == "data" and p != path
        )
        return
    overrides = [f"data={name}", f"paths.data={data_sets}", "data.cache_mb=1"]
    if name == "bsd100":  # only for the test
        evaluate(
            compose_config(
                "evaluate",
                *overrides,
                "data.eval_crop=48",
                f"paths.runs={tmp_path}",
                "metrics.names=[mae]",
            )
        )
        assert (tmp_path / "evaluation" / "table.json").is_file()
        return
    if name == "litdata":
        pytest.importorskip("litdata")
        for split in ("mine", "bsd100"):
            write_shards(audited(data_sets / split), data_sets / "shards" / split)
    overrides += [text.format(root=data_sets) for text in NAMED.get(name, [])]
    run_training(tmp_path / "runs", *overrides, EDSR)


@pytest.mark.parametrize(
    "path", [p for p in FILES if p.parent.name == "degradation_stage"], ids=str
)
def test_every_stage_is_part_of_a_preset(path):
    presets = [CONF_DIR / p for p in FILES if p.parent.name == "degradation"]
    assert any(f": {path.stem}\n" in preset.read_text() for preset in presets)


def test_files_are_short_and_documented():
    for path in FILES:
        lines = (CONF_DIR / path).read_text().splitlines()
        assert len(lines) <= 30, f"{path} has {len(lines)} lines"
        if path.parent.name in {
            "criterion",
            "penalty",
            "model",
            "discriminator",
            "loss",
            "term",
            "degradation",
            "data",
            "degradation_stage",
        }:
            assert path.stem == "_base" or lines[0].startswith("# "), f"{path} has no header"
