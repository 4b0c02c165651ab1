"""srlit.evaluate, on runs that are made once."""

import csv
import json
import re
import shutil
import sys
from contextlib import nullcontext

import pytest
import torch
from PIL import Image

from srlit.checkpoint import resolve_checkpoint
from srlit.config import check_config
from srlit.config.entry import SomeFailed
from srlit.evaluate import evaluate, main
from srlit.inference.upscalers import NetworkUpscaler
from srlit.models.load import load_generator
from srlit.train import train
from tests.helpers import TINY_TRAINING, compose_config
from tests.hungry import Hungry

QUICK = ("metrics.names=[psnr_rgb_b0,mae]", "images=0")


def configure(folder, *overrides):
    """A checked configuration whose results go to `folder`/evaluation."""
    usual = ("data.eval_crop=64", "weights.allow_untrained=true", f"paths.runs={folder}")
    cfg = compose_config("evaluate", *usual, *overrides)
    check_config(cfg, "evaluate", overrides)
    return cfg


def run_evaluation(folder, *overrides):
    return evaluate(configure(folder, *overrides))


def read_rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def values_of(row):
    return {key: value for key, value in row.items() if key != "name"}


@pytest.fixture
def own(tiny_run):
    return f"checkpoints=[{tiny_run}]"


class Calls(list):
    """Names of the networks that are called, one per batch; at the limit comes a Ctrl-C."""

    limit = None


@pytest.fixture
def measured_networks(monkeypatch):
    calls, original = Calls(), NetworkUpscaler.__call__

    def counting(self, lr):
        if len(calls) == calls.limit:
            raise KeyboardInterrupt
        calls.append(self.name)
        return original(self, lr)

    monkeypatch.setattr(NetworkUpscaler, "__call__", counting)
    return calls


def folder_of_photos(folder):
    return ("data=folder", "data.photos.train_folder=null", f"data.photos.test_folder={folder}")


# -- tables and images --------------------------------------------------------------------------


def test_tables_and_images_are_written(own, tmp_path):
    rows = run_evaluation(tmp_path, own)
    folder = tmp_path / "evaluation"
    assert json.loads((folder / "table.json").read_text()) == rows
    assert [row["name"] for row in rows] == ["bilinear", "bicubic", "tiny"]
    lpips = next(name for name in rows[0] if name.startswith("lpips_alex"))
    assert {"psnr_rgb_b0", "ssim_rgb_b0", "psnr_y_b4", "ssim_y_b4", "mae", lpips} < set(rows[0])
    assert "| tiny |" in (folder / "table.md").read_text()
    assert len(read_rows(folder / "photos.csv")) == 3 * 2
    assert r"\toprule" in (folder / "table.tex").read_text()
    images = {path.name for path in (folder / "images").iterdir()}
    assert images == {"000_astronaut.png", "001_coffee.png"}
    # LR, two interpolators, the network, HR.
    assert Image.open(folder / "images" / "001_coffee.png").width == 5 * 64 + 4 * 4


def test_a_run_means_its_selected_checkpoint_and_results_can_be_repeated(tiny_run, own, tmp_path):
    best = resolve_checkpoint(str(tiny_run))
    both = (f"checkpoints=[{tiny_run},{best}]", "baselines=[]")
    first = run_evaluation(tmp_path / "a", *both)
    assert [row["name"] for row in first] == ["tiny", f"tiny/{best.stem}"]
    assert values_of(first[0]) == values_of(first[1])
    batched = run_evaluation(tmp_path / "b", own, "data.eval_batch_size=1")
    assert batched[-1]["mae"] == pytest.approx(first[0]["mae"], abs=1e-7)
    tiled = run_evaluation(tmp_path / "c", own, *QUICK, "tile=24", "overlap=12")
    assert tiled[-1]["psnr_rgb_b0"] == pytest.approx(first[0]["psnr_rgb_b0"], abs=1e-3)


def test_images_show_the_methods_that_were_asked_for(own, tmp_path):
    image = tmp_path / "evaluation" / "images" / "000_astronaut.png"
    for baselines in (["bicubic"], ["bilinear", "bicubic"], ["bilinear"]):
        run_evaluation(tmp_path, own, *QUICK, "images=1", f"baselines=[{','.join(baselines)}]")
        # LR, the interpolators, the network, HR.
        assert Image.open(image).width == (len(baselines) + 3) * 64 + (len(baselines) + 2) * 4
    assert len(list(image.parent.iterdir())) == 1


def test_every_data_set_under_every_degradation(own, tmp_path, photo_folder):
    (tmp_path / "data").mkdir()
    photo_folder.rename(tmp_path / "data" / "bsd100")
    sets = ("data_sets=[sample,bsd100]", "degradations=[fixed,bicubic]")
    where = f"paths.data={tmp_path / 'data'}"
    rows = run_evaluation(tmp_path, own, *QUICK, "images=1", *sets, where)
    found = [f"{row['data']} {row['degradation']}" for row in rows[::3]]
    assert found == ["sample fixed", "sample bicubic", "bsd100 fixed", "bsd100 bicubic"]
    [alone] = run_evaluation(tmp_path / "b", own, *QUICK, "degradation=bicubic", "baselines=[]")
    assert alone == rows[5] | {"data": "photos"}
    folder = tmp_path / "evaluation"
    assert json.loads((folder / "tables.json").read_text()) == rows
    assert (folder / "tables.md").read_text().count("| bicubic |") == 4
    title = "bsd100, 12 test images, centre crops of 64, x2 under fixed, tiles of 512"
    assert title in (folder / "tables.tex").read_text()
    own_folder = folder / "bsd100_bicubic"
    assert len(read_rows(own_folder / "photos.csv")) == 3 * 12
    assert (own_folder / "images/000_00.png").is_file()
    statistics = json.loads((own_folder / "statistics.json").read_text())
    assert len(statistics) == 3 * 2
    assert all(row["low"] <= row["mean"] <= row["high"] for row in statistics)


def test_only_the_command_line_overrides_what_a_set_says(tmp_path, photo_folder, monkeypatch):
    """One set is measured whole, the other on crops; typed, its own default crops both."""
    (tmp_path / "data").mkdir()
    photo_folder.rename(tmp_path / "data" / "set5")
    monkeypatch.chdir(tmp_path)
    usual = ("paths.data=data", "data_sets=[set5,sample]", "baselines=[bicubic]", *QUICK)
    crops = {}
    for typed in ("", "data.eval_crop=256", "data.eval_crop=64"):
        arguments = [word for word in (*usual, typed) if word]
        monkeypatch.setattr(sys, "argv", ["srlit.evaluate", *arguments])
        main()
        rows = json.loads((tmp_path / "runs/evaluation/tables.json").read_text())
        crops[typed] = [row["crop"] for row in rows]
    assert list(crops.values()) == [["whole", 256], [256, 256], [64, 64]]


PUBLISHED = {2: 33.66, 3: 30.39, 4: 28.42}  # MATLAB's bicubic on Set5, PSNR of luma


@pytest.mark.parametrize("scale", PUBLISHED)
def test_the_tables_of_papers_need_one_command(shared_data, tmp_path, scale):
    asked = ("+experiment=benchmarks", "data_sets=[set5]", f"scale={scale}", "paths.store=null")
    cfg = compose_config("evaluate", *asked, f"paths.data={shared_data}", f"paths.runs={tmp_path}")
    check_config(cfg, "evaluate", asked)
    [row] = evaluate(cfg)
    assert row[f"psnr_y_b{scale}"] == pytest.approx(PUBLISHED[scale], abs=0.02)
    stated = {"data": "set5", "images": 5, "crop": "whole", "degradation": "bicubic"}
    assert row | stated | {"scale": scale} == row


def test_a_benchmark_that_is_not_there_is_told_with_its_layout(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"set14.*14 HR images.*set14/HR .*set14/x2/HR"):
        run_evaluation(tmp_path, "data=set14", f"paths.data={tmp_path}")


def test_real_pairs_are_not_degraded(own, tmp_path, photo_folder):
    small = tmp_path / "lr"
    small.mkdir()
    for path in photo_folder.iterdir():
        Image.open(path).resize((60, 48)).save(small / path.name)
    folders = (f"data.photos.test_hr={photo_folder}", f"data.photos.test_lr={small}")
    pairs = (own, *QUICK, "data=pairs", *folders)
    run_evaluation(tmp_path, *pairs)
    folder = tmp_path / "evaluation"
    assert "12 test images, centre crops of 64, x2 real pairs" in (folder / "table.md").read_text()
    assert not (folder / "draws.json").exists()
    cfg = configure(tmp_path, *pairs)
    cfg.replay = "draws.json"
    with pytest.raises(ValueError, match=r"replay=draws\.json: photos"):
        evaluate(cfg)


@pytest.mark.parametrize("accepted", [0.05, 0.5])
def test_unreadable_photos_are_reported_and_more_than_accepted_end_it(
    own, tmp_path, photo_folder, caplog, accepted
):
    (photo_folder / "zz.png").write_text("no image")
    expected = pytest.raises(SomeFailed, match=r"^1 .*\n.*zz\.png")
    with expected if accepted == 0.05 else nullcontext():
        run_evaluation(
            *(tmp_path, own, *QUICK, *folder_of_photos(photo_folder)),
            f"data.max_invalid_fraction={accepted}",
        )
    assert "zz.png" in caplog.text
    assert len(read_rows(tmp_path / "evaluation" / "photos.csv")) == 3 * 12


def test_training_photos_in_the_data_set_are_reported(own, tmp_path, caplog):
    run_evaluation(tmp_path, own, *QUICK)
    assert "moon.png" not in caplog.text
    run_evaluation(tmp_path, own, *QUICK, "data.photos.test_names=[moon.png,coffee.png]")
    assert re.search(r"tiny was trained on 1 of the 2 photos .*moon\.png", caplog.text)


@pytest.mark.parametrize("batch_size", [1, 4])
def test_draws_are_recorded_and_replayed(tmp_path, batch_size):
    """Another seed, but the draws of the first evaluation: the same pixels."""
    # Sums over pixels do not depend on the batch, LPIPS does in its last digits.
    blind = ("degradation=blind", "images=0", "metrics.names=[mae]")
    first = run_evaluation(tmp_path, *blind)
    path = tmp_path / "evaluation" / "draws.json"
    other = (*blind, "data.eval_seed=7", f"data.eval_batch_size={batch_size}", "name=other")
    assert run_evaluation(tmp_path, *other) != first
    assert run_evaluation(tmp_path, *other, f"replay={path}") == first
    assert (tmp_path / "other" / "draws.json").read_text() == path.read_text()


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        (["checkpoints=[/nowhere]"], "/nowhere"),
        (["scale=4"], "by 2, .*scale=4"),
        (["data=bsd100", "paths.data=/nowhere"], "/nowhere/bsd100"),
        (["data_sets=[bsd1000]"], "data=bsd1000.*bsd100"),
        (["save_best=x.safetensors", "split=val"], r"save_best=x\.safetensors: .*interpolate"),
        (["save_best=x.pth", "interpolate=[OWN,OWN]"], r"save_best=x\.pth: .*split=val"),
        (["grid={noise.sigma: [1], jpeg.quality: [75]}", "metric=ssim_y_b4"], "metric.*ssim_y_b4"),
    ],
)
def test_mistakes_stop_before_measuring(
    tiny_run, own, tmp_path, overrides, named, measured_networks
):
    overrides = [text.replace("OWN", str(tiny_run)) for text in overrides]
    with pytest.raises((ValueError, FileNotFoundError), match=named):
        run_evaluation(tmp_path, own, *QUICK, *overrides)
    assert measured_networks == []


# -- the cache ----------------------------------------------------------------------------------


def test_an_interrupted_evaluation_continues(own, tmp_path, photo_folder, measured_networks):
    options = (own, *QUICK, *folder_of_photos(photo_folder), "data.eval_batch_size=1")
    expected = run_evaluation(tmp_path / "whole", *options)
    measured_networks.clear()
    measured_networks.limit = 9
    with pytest.raises(KeyboardInterrupt):
        run_evaluation(tmp_path / "parts", *options)
    measured_networks.limit = None
    assert not (tmp_path / "parts" / "evaluation" / "table.json").exists()
    for remaining in (12 - 9, 0):
        measured_networks.clear()
        assert run_evaluation(tmp_path / "parts", *options) == expected
        assert len(measured_networks) == remaining
    for name in ("table.json", "photos.csv", "statistics.json", "draws.json", "table.tex"):
        whole, parts = (tmp_path / part / "evaluation" / name for part in ("whole", "parts"))
        assert whole.read_text() == parts.read_text(), name


def test_only_what_is_new_is_measured(tiny_run, own, tmp_path, measured_networks):
    first = run_evaluation(tmp_path, own, *QUICK, "names=[one]")
    assert measured_networks == ["one"]
    best = resolve_checkpoint(str(tiny_run))
    other = next(path for path in best.parent.glob(f"iteration_*{best.suffix}") if path != best)
    measured_networks.clear()
    both = (f"checkpoints=[{tiny_run},{other}]", "names=[one,two]")
    assert run_evaluation(tmp_path, *QUICK, *both)[:3] == first
    assert measured_networks == ["two"]
    for change in ("metrics.names=[psnr_rgb_b2]", "degradation=bicubic", "tile=64", "scale=2"):
        measured_networks.clear()
        run_evaluation(tmp_path, own, *QUICK, "names=[one]", change)
        assert measured_networks == ([] if change == "scale=2" else ["one"]), change


# -- networks between networks ------------------------------------------------------------------


@pytest.fixture(scope="module")
def pair(tiny_run, tmp_path_factory):
    """A run, and one that started from its weights."""
    folder = tmp_path_factory.mktemp("runs")
    usual = (*TINY_TRAINING, "phase.optimizer.lr=1e-2", f"paths.runs={folder}")
    train(compose_config("train", *usual, "name=second", f"init_from={tiny_run}"))
    return tiny_run, folder / "second"


def between(pair):
    return (f"interpolate=[{pair[0]},{pair[1]}]", "alphas=[0,0.5,1]", "baselines=[]", "images=0")


def test_interpolated_networks_lie_between_two_checkpoints(pair, tmp_path):
    both = f"checkpoints=[{pair[0]},{pair[1]}]"
    rows = run_evaluation(tmp_path, both, *between(pair), "metrics.names=[psnr_rgb_b0,lpips_alex]")
    first, second, *found = map(values_of, rows)
    assert [row["name"] for row in rows[2:]] == [f"tiny..second {a}" for a in ("0", "0.5", "1")]
    assert (found[0], found[2]) == (first, second)
    assert found[1] not in (first, second)
    folder = tmp_path / "evaluation"
    points = json.loads((folder / "interpolation.json").read_text())
    assert [point["weight"] for point in points] == [0, 0.5, 1]
    assert points[1]["metrics"]["psnr_rgb_b0"] == found[1]["psnr_rgb_b0"]
    assert Image.open(folder / "interpolation.png").width > 500


def test_the_best_interpolation_is_saved_as_a_checkpoint(pair, tmp_path):
    target = tmp_path / f"best{resolve_checkpoint(str(pair[0])).suffix}"
    by_psnr = (*QUICK, "metric=psnr_rgb_b0", "split=val")
    rows = run_evaluation(tmp_path, *between(pair), *by_psnr, f"save_best={target}")
    alone = ("baselines=[]", f"checkpoints=[{target}]", "name=again")
    [again] = run_evaluation(tmp_path, *by_psnr, *alone)
    assert again["psnr_rgb_b0"] == max(row["psnr_rgb_b0"] for row in rows)
    assert load_generator(target)[1]["name"] == "best"


def test_a_soup_is_the_mean_of_the_checkpoints_that_a_run_kept(pair, tmp_path):
    kept = json.loads((pair[1] / "best.json").read_text())["kept"]
    [one, other] = [pair[1] / row["checkpoint"] for row in kept]
    half = (f"interpolate=[{one},{other}]", "alphas=[0.5]", f"soup={pair[1]}", "baselines=[]")
    mean, soup = run_evaluation(tmp_path, *half, *QUICK)
    assert soup["name"] == "second soup of 2"
    assert values_of(soup) == values_of(mean)


# -- robustness and figures ---------------------------------------------------------------------


def test_robustness_maps(own, tmp_path):
    cfg = configure(tmp_path, "+experiment=robustness", own, *QUICK, "metric=mae", "name=map")
    cfg.grid = {"shrink.sigma": [1, 3], "noise.sigma": [10, 40], "jpeg.quality": [75, 10]}
    rows = evaluate(cfg)
    folder = tmp_path / "map"
    mild, harsh = json.loads((folder / "robustness.json").read_text())
    assert (mild["where"], harsh["where"]) == ({"jpeg.quality": 75}, {"jpeg.quality": 10})
    assert list(mild["models"]) == ["bicubic", "tiny"]
    for row in rows:
        matrix = mild["models"][row["name"]]
        assert matrix[0][0] == row["mae"]  # the degradation `fixed` itself
        assert matrix[0][0] < min(matrix[0][1], matrix[1][0])
        assert matrix[0][0] < harsh["models"][row["name"]][0][0]
    assert all(Image.open(folder / f"robustness_{i}.png").width > 500 for i in range(2))


def test_figures_show_whole_photos_in_tiles_and_chosen_methods(own, tmp_path):
    figures = "{tiled:{whole:true,tile:64,photos:1,methods:[net]},one:{methods:[bicubic,net]}}"
    names = ("names=[net]", "baselines=[bicubic]")
    cfg = configure(tmp_path, own, *QUICK, *names, f"figures={figures}")
    evaluate(cfg)
    folder = tmp_path / "evaluation" / "figures"
    [tiled] = (folder / "tiled").iterdir()
    assert Image.open(tiled).width == 3 * 512 + 2 * 4  # LR, net, HR; astronaut is 512 pixels wide
    crops = sorted((folder / "one").iterdir())
    assert [path.name for path in crops] == ["000_astronaut.png", "001_coffee.png"]
    assert Image.open(crops[0]).width == 4 * cfg.data.eval_crop + 3 * 4

    before = tiled.stat().st_mtime_ns
    crops[0].unlink()
    evaluate(cfg)
    assert tiled.stat().st_mtime_ns == before, "what exists is kept"
    assert crops[0].is_file(), "what is missing is drawn"


def test_figures_of_images_that_a_network_fails_on_do_not_end_the_others(tmp_path, photo_folder):
    """Crops of 64 are restored, the whole photos of 120 are too wide."""
    torch.save(Hungry().state_dict(), tmp_path / "hungry.pth")
    figures = "{whole:{whole:true,photos:2},crops:{photos:2}}"
    network = ("+model={_target_: tests.hungry.Hungry, width: 50}", f"figures={figures}")
    options = (f"checkpoints=[{tmp_path}/hungry.pth]", *network, *folder_of_photos(photo_folder))
    with pytest.raises(SomeFailed, match=r"^2 .*\n.*00\.png: .*\n.*01\.png: ") as caught:
        run_evaluation(tmp_path, *QUICK, *options)
    assert caught.value.code == 3
    folder = tmp_path / "evaluation"
    assert len(read_rows(folder / "photos.csv")) == 3 * 12
    assert [path.name for path in (folder / "figures").iterdir()] == ["crops"]
    assert len(list((folder / "figures" / "crops").iterdir())) == 2


def test_the_reference_table_needs_one_command(pair, tmp_path, photo_folder):
    for number in (1, 2, 3):
        shutil.copytree(pair[1], tmp_path / f"phase{number}")
    (tmp_path / "data").mkdir()
    photo_folder.rename(tmp_path / "data" / "bsd100")
    table = ("+experiment=reference_table", f"paths.data={tmp_path / 'data'}")
    rows = run_evaluation(tmp_path, *table)
    assert [row["name"] for row in rows] == ["bilinear", "L1", "perceptual", "GAN"]
    folder = tmp_path / "reference_table"
    assert len(list((folder / "images").iterdir())) == 12
    assert {path.name for path in (folder / "figures").iterdir()} == {"whole", "gan_vs_bilinear"}
    assert all(len(list(path.iterdir())) == 10 for path in (folder / "figures").iterdir())
