"""srlit.demo as a process; the whole one takes minutes: `make test-slow`."""

import json
import time

import pytest
from PIL import Image

from tests.helpers import run

TINY_DEMO = ("iterations=4", "validate_every=2", "trainer.precision=32-true")


def run_demo(folder, *arguments, **environment):
    """The demo's folder, and its log."""
    ended = run("srlit.demo", *arguments, cwd=folder, **environment)
    assert ended.returncode == 0, ended.stderr
    return folder / "runs" / "demo", ended.stderr


def rows_of(folder):
    return {row["name"]: row for row in json.loads((folder / "table.json").read_text())}


@pytest.mark.slow
def test_the_demo_beats_bicubic_and_phase_3_beats_phase_1(tmp_path, shared_weights):
    started = time.monotonic()  # printed, not asserted: machines differ
    folder, _ = run_demo(tmp_path, SRLIT_WEIGHTS=str(shared_weights))
    print((folder / "table.md").read_text(), f"{(time.monotonic() - started) / 60:.1f} minutes")
    rows = rows_of(folder)
    assert list(rows) == ["bilinear", "bicubic", "phase 1", "phase 2", "phase 3"]
    bicubic, first, third = rows["bicubic"], rows["phase 1"], rows["phase 3"]
    assert first["psnr_rgb_b0"] >= bicubic["psnr_rgb_b0"] + 0.5
    assert first["lpips_alex"] <= 0.8 * bicubic["lpips_alex"]
    assert third["lpips_alex"] < first["lpips_alex"]
    assert Image.open(folder / "comparison.png").width > 1000
    for phase in (1, 2, 3):  # no update was skipped, no divergence
        header = (folder / f"demo_phase{phase}" / "metrics.csv").read_text().split("\n")[0]
        assert not any(event in header for event in ("alarm", "skipped"))


def test_a_short_demo_writes_everything_and_replaces_an_earlier_one(tmp_path, shared_weights):
    folder = tmp_path / "runs" / "demo"
    folder.mkdir(parents=True)
    (folder / "table.json").write_text("old")
    (folder / "mine").write_text("precious")
    run_demo(tmp_path, *TINY_DEMO, SRLIT_WEIGHTS=str(shared_weights))
    assert (folder / "mine").read_text() == "precious"
    assert "lpips_alex" in rows_of(folder)["phase 3"]
    assert (folder / "comparison.png").is_file()
    assert "demo_phase3" in (folder / "report.html").read_text()
    images = {p.name for p in (folder / "images").iterdir()}
    assert images == {"000_astronaut.png", "001_coffee.png"}


@pytest.mark.slow
def test_without_pretrained_backbones_the_demo_finishes_and_warns(tmp_path):
    """No network, an empty cache, no folder."""
    nowhere = {"SRLIT_WEIGHTS": "", "TORCH_HOME": str(tmp_path / "torch"), "no_proxy": ""}
    nowhere["https_proxy"] = "http://127.0.0.1:9"
    folder, log = run_demo(tmp_path, *TINY_DEMO, **nowhere)
    assert {n for n in rows_of(folder)["phase 3"] if "lpips" in n} == {"lpips_alex_untrained"}
    assert "UNTRAINED" in log


def test_a_mistake_in_the_overrides_removes_nothing(tmp_path):
    (tmp_path / "mine" / "images").mkdir(parents=True)
    ended = run("srlit.demo", "--folder", "mine", "iterationz=5", cwd=tmp_path)
    assert ended.returncode == 1
    assert "iterationz" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert (tmp_path / "mine" / "images").exists()
