"""Every option of conf/ composes and runs a step on the CPU; a new one is found by itself."""

import csv
import json
import math

import numpy as np
import pytest
from PIL import Image

from srlit.config import CONF_DIR, check_config
from srlit.config.root import options
from srlit.config.schema import ROOTS
from srlit.data.shards import write_shards
from srlit.evaluate import evaluate
from srlit.train import build_loss, train
from tests.data.photos import audited, write_pairs
from tests.helpers import TINY, compose_config

FILES = sorted(path.relative_to(CONF_DIR) for path in CONF_DIR.glob("*/*.yaml"))
EDSR = "model=edsr_small"
ADVERSARIAL = ["+experiment=phase3", "init_from=null", EDSR]
CROPS = ["data.patch_size=128", "data.eval_crop=128"]

# What to add to a training so that GROUP=NAME is used, where that is not all; data, experiments,
# sweeps and terms have tests of their own.
USES = {
    "criterion": ADVERSARIAL,
    "degradation": ["degradation@eval_degradation={name}", *CROPS, EDSR],
    "discriminator": ADVERSARIAL,
    "metrics": ["data.eval_crop=200", EDSR],
    "model": [],
    "penalty": ADVERSARIAL,
}
APART = {"data", "experiment", "sweep", "term"}
GROUPS = sorted({path.parent.name for path in FILES} - APART)

# 23 blocks take minutes on a CPU; that they are as many is seen in tests/models.
FEWER_BLOCKS = ["model.num_block=2"]


def run_training(tmp_path, *overrides):
    cfg = compose_config("train", *TINY, *overrides, f"paths.runs={tmp_path}")
    check_config(cfg, "train")
    train(cfg)
    best = json.loads(next(tmp_path.rglob("best.json")).read_text())
    assert len(best["history"]) == 2
    return cfg


def test_every_root_file_has_typed_keys():
    assert sorted(ROOTS) == sorted(path.stem for path in CONF_DIR.glob("*.yaml"))


@pytest.mark.parametrize(("group", "name"), [(g, name) for g in GROUPS for name in options(g)])
def test_every_option_runs(group, name, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    overrides = [text.format(name=name) for text in USES.get(group, [EDSR])]
    if name == "adversarial" or name.endswith("_gan"):
        overrides = ADVERSARIAL
    if name in {"two_stage", "rrdbnet"}:
        overrides += FEWER_BLOCKS
    cfg = run_training(tmp_path, *overrides, f"{group}={name}")
    assert cfg.iterations == 2


def test_all_terms_run_in_one_table(tmp_path):
    """On patches that five scales of SSIM fit into, with a network that has a stage 1."""
    names = [name for name in options("term") if name != "l1"]
    weights = [f"loss.weights.{name}=0.1" for name in names]
    patches = ("data.patch_size=176", "data.eval_crop=176", "data.batch_size=1")
    run_training(tmp_path, "model=two_stage_small", *weights, *patches)
    with next(tmp_path.rglob("metrics.csv")).open() as file:
        [row] = [row for row in csv.DictReader(file) if row["step"] == "2" and row["train/loss"]]
    for name in ["l1", *names]:
        assert math.isfinite(float(row[f"train/weighted/{name}"])), name


def test_a_term_is_added_to_a_table_on_the_command_line():
    """As docs/losses.md says."""
    cfg = compose_config("train", "loss=l1_vgg", "loss.weights.ldl=0.2", "loss.terms.ldl.window=9")
    check_config(cfg, "train")
    loss = build_loss(cfg.loss)
    assert loss.weights == {"l1": 1.0, "ldl": 0.2, "perceptual": 1.0e-3}
    assert list(loss.terms) == ["l1", "ldl", "perceptual"]
    assert loss.terms["ldl"].window == 9


# Of srlit.evaluate; tests/test_evaluate.py runs them.
EVALUATIONS = {"benchmarks", "reference_table", "robustness"}


@pytest.mark.parametrize("name", sorted({*options("experiment")} - EVALUATIONS))
def test_every_experiment_runs(name, tmp_path):
    fewer = FEWER_BLOCKS if name.startswith("two_stage") else []
    cfg = run_training(tmp_path, f"+experiment={name}", "init_from=null", *fewer)
    assert cfg.label == name


BENCHMARKS = ("set5", "set14", "bsd100", "urban100", "manga109", "div2k_valid")
DATA_SETS = ("bsds400", "DIV2K_train_HR", "DIV2K_valid_HR", "Flickr2K_HR", "mine", *BENCHMARKS[:5])


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


@pytest.mark.parametrize("name", options("data"))
def test_every_data_set_runs(name, tmp_path, data_sets):
    overrides = [f"data={name}", f"paths.data={data_sets}", "data.cache_mb=1"]
    if name in BENCHMARKS:  # only for the test
        small = ("metrics.names=[mae]", "images=0", f"paths.runs={tmp_path}")
        rows = evaluate(compose_config("evaluate", *overrides, *small))
        assert {(row["images"], row["crop"]) for row in rows} == {(12, "whole")}
        return
    if name == "litdata":
        pytest.importorskip("litdata")
        for split in ("mine", "bsd100"):
            write_shards(audited(data_sets / split), data_sets / "shards" / split)
    overrides += [text.format(root=data_sets) for text in NAMED.get(name, [])]
    run_training(tmp_path / "runs", *overrides, EDSR)


def test_files_are_short_and_documented():
    for path in FILES:
        lines = (CONF_DIR / path).read_text().splitlines()
        limit = 85 if path.parent.name == "degradation" else 60
        assert len(lines) <= limit, f"{path} has {len(lines)} lines"
        assert path.stem == "_base" or lines[0].startswith("# "), f"{path} has no header"
