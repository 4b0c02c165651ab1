"""srlit.select, on a run that is made once."""

import json
import re
import shutil

import pytest
from PIL import Image

from srlit.inference.upscalers import NetworkUpscaler
from srlit.select import select
from srlit.train import train
from tests.helpers import TINY_TRAINING, compose_config

ALIASES = b"a0: &a0 [x]\n" + b"".join(
    b"a%d: &a%d [%s]\n" % (i, i, b",".join([b"*a%d" % (i - 1)] * 10)) for i in range(1, 30)
)
DAMAGED = [
    b"", b"\x00\xff", b"- a", b"a: ", b"data: 3\nscale: 2\n", b"a: " + b"[" * 10**5, ALIASES
]  # fmt: skip


def run_selection(run, *overrides):
    usual = (f"run={run}", "weights.allow_untrained=true")
    return select(compose_config("select", *usual, *overrides))


def train_other(folder, *overrides):
    usual = (*TINY_TRAINING, "name=other", f"paths.runs={folder}")
    train(compose_config("train", *usual, *overrides))
    return folder / "other"


def test_checkpoints_are_ranked_as_during_training(tiny_run):
    ranked = run_selection(tiny_run)
    best = json.loads((tiny_run / "best.json").read_text())
    for row, kept in zip(ranked, best["kept"], strict=True):
        assert f"checkpoints/{row['name']}" == kept["checkpoint"]
        measured = {name: row[name] for name in row.keys() - {"name", "run", "iteration"}}
        assert measured == pytest.approx({n: kept["metrics"][n] for n in measured}, abs=1e-5)
    recorded = json.loads((tiny_run / "selection.json").read_text())
    assert (recorded["ranked"], recorded["rule"]) == (ranked, best["rule"])
    stated = {"split": "val", "images": 2, "degradation": "fixed", "scale": 2, "crop": 64}
    assert recorded | stated == recorded
    assert Image.open(tiny_run / "selection.png").width > 500


def test_checkpoints_are_measured_in_the_tiles_of_the_training(tmp_path):
    run = train_other(tmp_path / "runs", "phase.val_tile=20")
    best = json.loads((run / "best.json").read_text())
    measured = {row["name"]: row["psnr_rgb_b0"] for row in run_selection(run)}
    for kept in best["kept"]:
        expected = kept["metrics"]["psnr_rgb_b0"]
        assert measured[kept["checkpoint"].rpartition("/")[2]] == pytest.approx(expected, abs=1e-5)


def test_the_rule_can_be_changed(tiny_run):
    by_psnr = run_selection(tiny_run, "metric=psnr_rgb_b0")
    values = [row["psnr_rgb_b0"] for row in by_psnr]
    assert values == sorted(values, reverse=True)
    for rule in (f"minimum={{psnr_rgb_b0: {values[0] - 1e-6}}}", "tolerance={psnr_rgb_b0: 1e-6}"):
        assert run_selection(tiny_run, rule)[0]["name"] == by_psnr[0]["name"]


def test_checkpoints_of_several_runs_are_ranked_and_measured_once(tiny_run, tmp_path, monkeypatch):
    other = train_other(tmp_path / "runs", "seed=1")
    both = (f"run=[{tiny_run},{other}]", f"paths.runs={tmp_path}")
    ranked = run_selection(tiny_run, *both)
    assert sorted(row["run"] for row in ranked) == sorted([str(tiny_run)] * 3 + [str(other)] * 2)
    folder = tmp_path / "selection"
    assert json.loads((folder / "selection.json").read_text())["ranked"] == ranked
    assert (folder / "selection.png").is_file()
    alone = [row["psnr_rgb_b0"] for row in run_selection(tiny_run)]
    assert alone == [row["psnr_rgb_b0"] for row in ranked if row["run"] == str(tiny_run)]

    monkeypatch.setattr(NetworkUpscaler, "__call__", lambda *_: pytest.fail("measured again"))
    assert run_selection(tiny_run, *both) == ranked


def test_runs_with_different_validation_data_are_not_ranked_together(tiny_run, tmp_path):
    other = train_other(tmp_path, "data.eval_crop=48", "iterations=1")
    with pytest.raises(ValueError, match=f"run: {other}"):
        run_selection(f"[{tiny_run},{other}]")


def test_mistakes_are_named(tiny_run, tmp_path):
    with pytest.raises(ValueError, match=r"run=.*config\.yaml"):
        run_selection(tmp_path)
    shutil.copy(tiny_run / "config.yaml", tmp_path)
    with pytest.raises(ValueError, match="run=.*checkpoints"):
        run_selection(tmp_path)


@pytest.mark.parametrize("content", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_configuration_is_named(tiny_run, tmp_path, content):
    shutil.copytree(tiny_run / "checkpoints", tmp_path / "checkpoints")
    (tmp_path / "config.yaml").write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path / 'config.yaml'}: ")):
        run_selection(tmp_path)


def test_a_damaged_history_is_named_and_left_out(tiny_run, tmp_path, caplog):
    shutil.copytree(tiny_run, tmp_path / "run")
    (tmp_path / "run" / "best.json").write_bytes(b"[" * 100_000)
    run_selection(tmp_path / "run")
    assert str(tmp_path / "run" / "best.json") in caplog.text
    with pytest.raises(ValueError, match="metric.*psnr_y_b4"):
        run_selection(tiny_run, "metric=psnr_y_b4")
