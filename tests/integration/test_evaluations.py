"""Evaluate beyond one table: maps of robustness, networks between networks, experiment A's."""

import json
import math
import re
import shutil

import pytest
import torch
from PIL import Image

from srlit.checkpoint import load_weights, resolve_checkpoint
from srlit.config import check_config, load_generator
from srlit.evaluate import evaluate
from srlit.evaluation.draws_file import RecordedDraws
from srlit.evaluation.figures import read_figures
from srlit.evaluation.weight_interpolation import interpolate_weights
from srlit.train import train
from tests.helpers import TINY, compose_config

SMALL = ("model=edsr_small", "model.width=8", "model.blocks=1", *TINY)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs, the second from the first."""
    folder = tmp_path_factory.mktemp("runs")
    usual = (*SMALL, "phase.optimizer.lr=1e-2", f"paths.runs={folder}")
    train(compose_config("train", *usual, "name=first"))
    train(compose_config("train", *usual, "name=second", f"init_from={folder / 'first'}"))
    return folder


def evaluation(folder, *overrides):
    cfg = compose_config(
        "evaluate",
        *overrides,
        f"paths.runs={folder}",
        "data.eval_crop=48",
        "weights.allow_untrained=true",
    )
    check_config(cfg, "evaluate")
    return cfg


# -- between networks ---------------------------------------------------------------------------


def test_a_blend_is_the_mean_and_its_ends_are_exact():
    torch.manual_seed(0)
    one, other = ({"w": torch.randn(5, 3), "n": torch.tensor(k)} for k in (3, 4))
    for share in (0.0, 0.25, 1.0):
        found = interpolate_weights([one, other], [1 - share, share])
        expected = (1 - share) * one["w"].double() + share * other["w"].double()
        assert torch.equal(found["w"], expected.float())
        assert found["n"] == 3  # a count has no mean
    assert torch.equal(interpolate_weights([one, other], [0.0, 1.0])["w"], other["w"])
    with pytest.raises(ValueError, match="expected 2 numbers whose sum is 1"):
        interpolate_weights([one, other], [0.5, 0.6])
    with pytest.raises(ValueError, match=r"expected 1 tensors: w \(5, 3\).*came 1 tensors: v"):
        interpolate_weights([one, {"v": one["w"], "n": one["n"]}], [0.5, 0.5])


@pytest.fixture
def path_between(runs):
    return (f"interpolate=[{runs / 'first'},{runs / 'second'}]", "alphas=[0,0.5,1]")


def test_the_way_from_one_network_to_another(runs, tmp_path, path_between):
    both = f"checkpoints=[{runs / 'first'},{runs / 'second'}]"
    usual = ("baselines=[]", "metrics.names=[psnr_rgb_b0,lpips_alex]", "images=0")
    rows = evaluate(evaluation(tmp_path, both, *path_between, *usual))
    first, second, *between = [{k: v for k, v in row.items() if k != "name"} for row in rows]
    assert [row["name"] for row in rows[2:]] == [f"first..second {s}" for s in ("0", "0.5", "1")]
    assert between[0] == first
    assert between[2] == second
    assert between[1] != first
    assert between[1] != second
    folder = tmp_path / "evaluation"
    points = json.loads((folder / "interpolation.json").read_text())
    assert [point["weight"] for point in points] == [0, 0.5, 1]
    assert points[1]["metrics"]["psnr_rgb_b0"] == between[1]["psnr_rgb_b0"]
    assert Image.open(folder / "interpolation.png").width > 500


def test_the_best_between_them_is_saved_and_used_like_any_other(runs, tmp_path, path_between):
    target = tmp_path / "best.ckpt"
    usual = ("baselines=[]", "metrics.names=[psnr_rgb_b0]", "metric=psnr_rgb_b0", "images=0")
    chosen = (*usual, "split=val", f"save_best={target}")
    rows = evaluate(evaluation(tmp_path, *path_between, *chosen))
    best = max(rows, key=lambda row: row["psnr_rgb_b0"])
    again = evaluate(
        evaluation(tmp_path, *usual, "split=val", f"checkpoints=[{target}]", "name=again")
    )
    assert again[0]["psnr_rgb_b0"] == best["psnr_rgb_b0"]
    _, card = load_generator(target)
    assert card["name"] == "best"


def test_a_soup_is_the_mean_of_what_a_run_kept(runs, tmp_path):
    rows = evaluate(
        evaluation(
            tmp_path, f"soup={runs / 'first'}", "metrics.names=[mae]", "baselines=[]", "images=0"
        )
    )
    assert [row["name"] for row in rows] == ["first soup of 2"]
    kept = json.loads((runs / "first" / "best.json").read_text())["kept"]
    states = [load_weights(runs / "first" / row["checkpoint"])[0] for row in kept]
    generator, _ = load_generator(resolve_checkpoint(str(runs / "first")))
    generator.load_state_dict(interpolate_weights(states, [0.5, 0.5]))
    assert math.isfinite(rows[0]["mae"])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["alphas=[0,2]"], r"alphas\[1\]=2"),
        (["alphas=[0.5,0.5]"], "expected rising numbers"),
        (["save_best=x.ckpt"], "save_best=x.ckpt: expected .*split=val"),
        (["interpolate=[a]"], r"interpolate="),
        (["save_best=x.ckpt", "split=val", "metric=mae"], "metric or tolerance needs"),
    ],
)
def test_mistakes_about_blends_are_named(runs, tmp_path, path_between, overrides, message):
    with pytest.raises(ValueError, match=message):
        evaluate(evaluation(tmp_path, *path_between, "metrics.names=[psnr_rgb_b0]", *overrides))


def test_networks_of_different_kinds_are_not_interpolate_weights(runs, tmp_path):
    other = ("model.width=16", "name=wide", f"paths.runs={tmp_path}", "iterations=1")
    train(compose_config("train", *SMALL, *other))
    pair = f"interpolate=[{runs / 'first'},{tmp_path / 'wide'}]"
    with pytest.raises(ValueError, match="networks of different configurations"):
        evaluate(evaluation(tmp_path, pair))


# -- robustness -----------------------------------------------------------------------------------


def test_a_map_over_two_parameters(runs, tmp_path):
    cfg = evaluation(
        tmp_path,
        "+experiment=robustness",
        f"checkpoints=[{runs / 'first'}]",
        "metrics.names=[psnr_rgb_b0]",
        "metric=psnr_rgb_b0",
        "name=map",
    )
    cfg.grid = {"shrink.sigma": [0.3, 2], "noise.sigma": [0, 30]}
    evaluate(cfg)
    [found] = json.loads((tmp_path / "map" / "robustness.json").read_text())
    assert [axis["name"] for axis in found["axes"]] == ["shrink.sigma", "noise.sigma"]
    assert found["metric"] == "psnr_rgb_b0"
    assert list(found["models"]) == ["bicubic", "first"]
    for matrix in found["models"].values():
        # Whatever the blur, noise hurts; whatever the noise, blur does.
        assert matrix[0][0] > matrix[0][1]
        assert matrix[0][0] > matrix[1][0]
    assert Image.open(tmp_path / "map" / "robustness.png").width > 500


def test_a_cell_is_the_degradation_with_that_setting(runs, tmp_path):
    """Noise and blur of `fixed` itself: its own row."""
    usual = ("metrics.names=[mae]", "images=0", "metric=mae", "baselines=[bicubic]")
    cfg = evaluation(tmp_path, *usual, f"checkpoints=[{runs / 'first'}]")
    cfg.grid = {"noise.sigma": [10], "jpeg.quality": [75, 30]}
    rows = evaluate(cfg)
    [found] = json.loads((tmp_path / "evaluation" / "robustness.json").read_text())
    for row in rows:
        assert found["models"][row["name"]][0][0] == row["mae"]
        assert found["models"][row["name"]][0][1] > row["mae"]


def test_a_third_parameter_makes_a_map_for_each_of_its_values(runs, tmp_path):
    cfg = evaluation(tmp_path, "metrics.names=[mae]", "images=0", "metric=mae")
    cfg.grid = {"noise.sigma": [0, 10], "shrink.sigma": [1], "jpeg.quality": [90, 30]}
    evaluate(cfg)
    folder = tmp_path / "evaluation"
    maps = json.loads((folder / "robustness.json").read_text())
    assert [found["where"] for found in maps] == [{"jpeg.quality": 90}, {"jpeg.quality": 30}]
    assert sorted(p.name for p in folder.glob("*.png")) == ["robustness_0.png", "robustness_1.png"]
    better, worse = (found["models"]["bicubic"][0][0] for found in maps)
    assert better < worse


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"noise.sigma": [1]}, "expected at least two of jpeg.quality, .*noise.sigma"),
        ({"noise.sigma": [1], "fog": [1]}, "grid.fog: degradation 'fixed' draws jpeg.quality"),
        ({"noise.sigma": [1], "jpeg.quality": []}, r"grid.jpeg.quality=\[\]: expected at least"),
    ],
)
def test_mistakes_in_a_grid_are_named(tmp_path, grid, message):
    cfg = evaluation(tmp_path, "metrics.names=[mae]", "metric=mae")
    cfg.grid = grid
    with pytest.raises(ValueError, match=message):
        evaluate(cfg)


def test_a_setting_changes_nothing_else_that_is_drawn():
    from srlit.config import build
    from srlit.ops.rng import make_keys

    degradation = build(compose_config("evaluate", "degradation=blind").degradation)
    keys = make_keys(0, (), torch.arange(5))
    name = "noise_and_jpeg.jpeg.jpeg.quality"
    plain = RecordedDraws(degradation).draw(list("abcde"), (8, 8), keys)
    set_to = RecordedDraws(degradation, setting={name: 61}).draw(list("abcde"), (8, 8), keys)
    assert set_to[name].tolist() == [61] * 5
    assert set_to[name].dtype == plain[name].dtype
    for other in plain.keys() - {name}:
        torch.testing.assert_close(set_to[other], plain[other], equal_nan=True, rtol=0, atol=0)


# -- experiment A ---------------------------------------------------------------------------------


def test_the_reference_table_needs_one_command(runs, tmp_path, photo_folder):
    for number in (1, 2, 3):
        shutil.copytree(runs / "second", tmp_path / f"phase{number}")
    (tmp_path / "data").mkdir()
    photo_folder.rename(tmp_path / "data" / "bsd100")
    rows = evaluate(
        evaluation(tmp_path, "+experiment=reference_table", f"paths.data={tmp_path / 'data'}")
    )
    assert [row["name"] for row in rows] == ["bilinear", "L1", "perceptual", "GAN"]
    assert {"psnr_rgb_b0", "ssim_rgb_b0", "mae"} < set(rows[0])
    assert len(list((tmp_path / "reference_table" / "images").iterdir())) == 12
    figures = tmp_path / "reference_table" / "figures"
    assert {path.name for path in figures.iterdir()} == {"whole", "gan_beside_bilinear"}
    for folder in figures.iterdir():
        assert len(list(folder.iterdir())) == 10


# -- figures --------------------------------------------------------------------------------------


def test_figures_show_whole_photos_in_tiles_and_chosen_methods(runs, tmp_path):
    asked = (
        "figures={tiled:{whole:true,tile:64,photos:1,methods:[net]},one:{methods:[bicubic,net]}}"
    )
    usual = ("metrics.names=[mae]", "images=0", "names=[net]", "baselines=[bicubic]")
    cfg = evaluation(tmp_path, f"checkpoints=[{runs / 'first'}]", asked, *usual)
    evaluate(cfg)
    figures = tmp_path / "evaluation" / "figures"
    [tiled] = (figures / "tiled").iterdir()
    assert Image.open(tiled).width == 3 * 512 + 2 * 4  # LR, net, HR; astronaut is 512 pixels wide
    crops = sorted((figures / "one").iterdir())
    assert [path.name for path in crops] == ["000_astronaut.png", "001_coffee.png"]
    assert Image.open(crops[0]).width == 4 * cfg.data.eval_crop + 3 * 4

    before = tiled.stat().st_mtime_ns
    crops[0].unlink()
    evaluate(cfg)
    assert tiled.stat().st_mtime_ns == before, "what is there stays"
    assert crops[0].is_file(), "what is missing is drawn"


@pytest.mark.parametrize(
    ("figures", "message"),
    [
        ("{a:{method:[net]}}", "figures.a.method=['net']: "),
        ("{a:{methods:[gan]}}", "figures.a.methods=['gan']: expected some of bicubic, net"),
        ("{a:{photos:0}}", "figures.a.photos=0: "),
        ("{a:{tile:8}}", "figures.a.tile=8: "),
        ("{a:whole}", "figures.a=whole: "),
    ],
)
def test_mistakes_in_figures_are_named(runs, tmp_path, figures, message):
    usual = ("metrics.names=[mae]", "names=[net]", "baselines=[bicubic]")
    asked = f"figures={figures}".split(" ")
    with pytest.raises(ValueError, match=re.escape(message)):
        evaluate(evaluation(tmp_path, f"checkpoints=[{runs / 'first'}]", *asked, *usual))
    assert not (tmp_path / "evaluation" / "table.md").exists()


def test_a_figures_folder_lies_in_the_evaluations():
    with pytest.raises(ValueError, match=r"figures.../a: expected a name for a folder"):
        read_figures({"../a": {}}, [])
