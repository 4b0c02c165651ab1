"""srlit.tune, on made-up runs."""

import json
import sys

import pytest
from PIL import Image

from srlit import tune
from srlit.utils.atomic import write_json


def make_sweep(folder, values, lpips="lpips_alex"):
    for i, (quality, distance) in enumerate(values):
        metrics = {"psnr_rgb_b0": quality, lpips: distance, "loss": 0.1 * i}
        best = {"checkpoint": "x", "iteration": 10, "metrics": metrics}
        write_json(folder / f"run_{i}" / "best.json", best)


def test_runs_are_ranked_tabulated_and_plotted(tmp_path, capsys):
    make_sweep(tmp_path, [(25.0, 0.3), (24.0, 0.2), (26.0, 0.4)])
    rows = tune.report_sweep(tmp_path)
    assert [row["name"] for row in rows] == ["run_1", "run_0", "run_2"]
    assert json.loads((tmp_path / "table.json").read_text()) == rows
    assert "| run_1 | 10 | 24.00 | **0.2000** |" in (tmp_path / "table.md").read_text()
    assert Image.open(tmp_path / "psnr_lpips.png").width > 500
    assert "run_2" in capsys.readouterr().out


@pytest.mark.parametrize(("crops", "warned"), [((64, 64), False), ((64, None), True)])
def test_the_table_says_on_what_the_runs_were_validated(tmp_path, capsys, crops, warned):
    make_sweep(tmp_path, [(25.0, 0.3), (24.0, 0.2)])
    for i, crop in enumerate(crops):
        data = {"eval_crop": crop, "photos": {"_target_": "srlit.data.image_folder.FolderPhotos"}}
        stored = {"data": data, "scale": 2, "eval_degradation": {"name": "fixed"}, "phase": {}}
        stored["callbacks"] = {"lpips_checkpoint": {}}
        write_json(tmp_path / f"run_{i}" / "config.yaml", stored)  # JSON is YAML
    tune.report_sweep(tmp_path)
    rows = {row["name"]: row for row in json.loads((tmp_path / "table.json").read_text())}
    assert [rows[f"run_{i}"]["crop"] for i in (0, 1)] == [crop or "whole" for crop in crops]
    assert {(row["degradation"], row["scale"], row["tile"]) for row in rows.values()} == {
        ("fixed", 2, "none")
    }
    for text in (capsys.readouterr().out, (tmp_path / "table.md").read_text()):
        assert "64" in text
        assert "fixed" in text
        assert ("do not compare" in text) == warned


def test_a_run_without_a_number_comes_last(tmp_path):
    make_sweep(tmp_path, [(25.0, 0.3), (24.0, float("nan")), (26.0, 0.2)])
    assert [row["name"] for row in tune.write_report(tmp_path)] == ["run_2", "run_0", "run_1"]


def test_without_lpips_there_is_a_table_but_no_plot(tmp_path):
    make_sweep(tmp_path, [(25.0, 0.3), (24.0, 0.2)], lpips="mae")
    assert [row["name"] for row in tune.write_report(tmp_path)] == ["run_0", "run_1"]
    assert not (tmp_path / "psnr_lpips.png").exists()


def test_a_folder_without_runs_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["srlit tune", str(tmp_path)])
    with pytest.raises(SystemExit, match=f"error: {tmp_path}: "):
        tune.main()
