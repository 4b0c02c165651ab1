"""srlit.upscale, with a network that is trained once."""

import re

import pytest
import torch
from PIL import Image

from srlit.config import check_config
from srlit.config.entry import SomeFailed
from srlit.upscale import upscale
from tests.helpers import REPOSITORY, compose_config, run
from tests.hungry import Hungry


def run_upscale(run, *overrides):
    cfg = compose_config("upscale", f"checkpoint={run}", "device=cpu", *overrides)
    check_config(cfg, "upscale", overrides)
    return upscale(cfg)


def test_a_folder_is_upscaled_with_its_tree_and_transparency(tiny_run, tmp_path, photo):
    source = tmp_path / "in"
    (source / "sub").mkdir(parents=True)
    pixels = photo[0, :, :61, :83].permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(source / "a.jpg")
    transparent = Image.fromarray(pixels)
    transparent.putalpha(77)
    transparent.save(source / "sub" / "b.png")
    target = tmp_path / "out"
    options = (f"input={source}", f"output={target}", "tile=32", "overlap=8")
    assert run_upscale(tiny_run, *options) == [target / "a.png", target / "sub" / "b.png"]
    assert Image.open(target / "a.png").size == (166, 122)
    result = Image.open(target / "sub" / "b.png")
    assert result.getchannel("A").getextrema() == (77, 77)
    (target / "a.png").write_text("mine")
    run_upscale(tiny_run, *options)
    assert (target / "a.png").read_text() == "mine"
    run_upscale(tiny_run, *options, "overwrite=true")
    assert Image.open(target / "a.png").size == (166, 122)


def test_earlier_results_are_no_inputs(tiny_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    for _ in range(2):
        assert [path.name for path in run_upscale(tiny_run, "input=.")] == ["a.png"]
    assert len(list((tmp_path / "upscaled").rglob("*"))) == 1


def test_a_broken_image_does_not_stop_the_others(tiny_run, tmp_path, photo_folder):
    (photo_folder / "05.png").write_bytes(b"")
    target = tmp_path / "out"
    with pytest.raises(SystemExit, match=r"^1 of 12 .*\n.*05\.png"):
        run_upscale(tiny_run, f"input={photo_folder}", f"output={target}")
    assert len(list(target.iterdir())) == 11


def test_whatever_an_image_does_to_the_network_the_others_are_upscaled(tmp_path):
    """Memory that torch and NumPy do not find, and NaN; the command ends with its own exit code."""
    (tmp_path / "in").mkdir()
    for name, size in (("a", (20, 20)), ("b", (72, 20)), ("c", (90, 20)), ("d", (20, 75))):
        Image.new("RGB", size, "red").save(tmp_path / "in" / f"{name}.png")
    torch.save(Hungry().state_dict(), tmp_path / "hungry.pth")
    Image.new("RGB", (21, 20)).save(tmp_path / "in" / "e.png")
    network = ("checkpoint=hungry.pth", "+model._target_=tests.hungry.Hungry", "tile=null")
    ended = run("srlit.upscale", "input=in", *network, cwd=tmp_path, PYTHONPATH=str(REPOSITORY))
    assert sorted(path.name for path in (tmp_path / "upscaled").iterdir()) == ["a.png", "e.png"]
    assert ended.returncode == SomeFailed.exit_code
    reasons = re.findall(r"^  in/(.)\.png: (.*)$", ended.stderr, re.MULTILINE)
    assert [name for name, _ in reasons] == ["b", "c", "d"]
    assert all("tile" in reason for _, reason in reasons[:2])


def test_a_job_of_a_multirun_with_failed_images_does_not_end_the_others(tiny_run, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / name / f"{name}.png")
    (tmp_path / "a" / "bad.png").write_bytes(b"")
    jobs = ("-m", "input=a,b", f"checkpoint={tiny_run}")
    ended = run("srlit.upscale", *jobs, cwd=tmp_path, PYTHONPATH=str(REPOSITORY))
    assert ended.returncode == 1
    assert "1 jobs failed" in ended.stderr
    assert sorted(path.name for path in tmp_path.rglob("upscaled/*.png")) == ["a.png", "b.png"]


@pytest.mark.parametrize(
    "mistake",
    ["input=/nowhere", "format=.gif", "overlap=99", "checkpoint=/nowhere", "stage=1", "output={}"],
)
def test_mistakes_are_named_and_nothing_is_written(tiny_run, tmp_path, photo_folder, mistake):
    usual = [f"input={photo_folder}", f"output={tmp_path / 'out'}"]
    mistake = mistake.format(photo_folder)
    named = re.escape(mistake.removeprefix("checkpoint="))
    with pytest.raises((ValueError, FileNotFoundError), match=named):
        run_upscale(tiny_run, *usual, mistake)
    assert not (tmp_path / "out").exists()


def test_two_inputs_with_one_result_are_refused(tiny_run, tmp_path):
    for suffix in (".png", ".bmp"):
        Image.new("RGB", (8, 8)).save(tmp_path / f"a{suffix}")
    with pytest.raises(ValueError, match=r"input=.*a\.bmp, .*a\.png .*out/a\.png"):
        run_upscale(tiny_run, f"input={tmp_path}", f"output={tmp_path / 'out'}")
