"""evaluate, select, upscale and the command `srlit`, on a run made once."""

import csv
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from srlit.checkpoint import CheckpointError, load_checkpoint
from srlit.config import ConfigError, build_known, load_generator
from srlit.evaluate import evaluate
from srlit.inference.upscalers import NetworkUpscaler
from srlit.select import select
from srlit.train import train
from srlit.upscale import upscale
from tests.helpers import TINY, compose_config, run

SMALL = ("model=edsr_small", "model.width=8", "model.blocks=1", *TINY)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run with three checkpoints."""
    runs = tmp_path_factory.mktemp("runs")
    train(compose_config("train", *SMALL, "iterations=3", "name=tiny", f"paths.runs={runs}"))
    return runs / "tiny"


# -- evaluate -----------------------------------------------------------------------------------


def evaluation(trained, tmp_path, *overrides):
    return compose_config(
        "evaluate",
        f"checkpoints=[{trained}]",
        f"paths.runs={tmp_path}",
        "data.eval_crop=64",
        "weights.allow_untrained=true",
        *overrides,
    )


def test_evaluate_writes_tables_and_pictures(trained, tmp_path):
    rows = evaluate(evaluation(trained, tmp_path))
    folder = tmp_path / "evaluation"
    assert json.loads((folder / "table.json").read_text()) == rows
    assert [row["name"] for row in rows] == ["bilinear", "bicubic", "tiny"]
    lpips = next(name for name in rows[0] if name.startswith("lpips_alex"))
    assert {"psnr_rgb_b0", "ssim_rgb_b0", "psnr_y_b4", "ssim_y_b4", "mae", lpips} < set(rows[0])
    assert "| tiny |" in (folder / "table.md").read_text()
    photos = list(csv.DictReader((folder / "photos.csv").open()))
    assert len(photos) == 6
    assert r"\toprule" in (folder / "table.tex").read_text()
    pictures = {p.name for p in (folder / "images").iterdir()}
    assert pictures == {"000_astronaut.png", "001_coffee.png"}
    # LR, two interpolators, the network, HR.
    assert Image.open(folder / "images" / "001_coffee.png").width == 5 * 64 + 4 * 4


def test_evaluating_several_checkpoints_and_repeating_gives_the_same(trained, tmp_path):
    best = trained / json.loads((trained / "best.json").read_text())["checkpoint"]
    both = evaluation(trained, tmp_path / "a", f"checkpoints=[{trained},{best}]", "baselines=[]")
    first = evaluate(both)
    assert [row["name"] for row in first] == ["tiny", f"tiny/{best.stem}"]
    values = [{k: v for k, v in row.items() if k != "name"} for row in first]
    assert values[0] == values[1]
    batched = evaluate(evaluation(trained, tmp_path / "b", "data.eval_batch_size=1"))
    assert batched[-1]["mae"] == pytest.approx(values[0]["mae"], abs=1e-7)


def test_tiles_do_not_change_what_is_measured(trained, tmp_path):
    whole = evaluate(evaluation(trained, tmp_path / "a", "data.eval_crop=128"))
    tiled = evaluate(
        evaluation(trained, tmp_path / "b", "data.eval_crop=128", "tile=32", "overlap=16")
    )
    assert tiled[-1]["psnr_rgb_b0"] == pytest.approx(whole[-1]["psnr_rgb_b0"], abs=1e-3)


@pytest.mark.parametrize(
    ("overrides", "error", "message"),
    [
        (["checkpoints=[/nowhere]"], CheckpointError, "/nowhere: no such checkpoint"),
        (["scale=4"], ValueError, "upscales by 2, but scale=4"),
        (["names=[bicubic]"], ValueError, "bicubic: expected different names"),
        (["data.eval_crop=16"], ValueError, "data.eval_crop=16: the metrics need at least 31"),
        (["names=[a,b]"], ValueError, "expected 1 names"),
        (["baselines=[nearest]"], ValueError, "'nearest': expected bilinear or bicubic"),
        (["data=folder", "data.photos.test_folder=/nowhere"], FileNotFoundError, "/nowhere"),
        (["split=train"], ValueError, "split='train': expected 'val' or 'test'"),
        (["data=bsd100", "paths.data=/nowhere"], FileNotFoundError, "/nowhere/bsd100"),
    ],
)
def test_evaluates_mistakes_are_named(trained, tmp_path, overrides, error, message):
    with pytest.raises(error, match=message):
        evaluate(evaluation(trained, tmp_path, *overrides))


def test_an_unreadable_photo_is_reported_and_the_rest_is_done(trained, tmp_path, photo_folder):
    (photo_folder / "zz.png").write_text("no image")
    cfg = evaluation(
        trained,
        tmp_path,
        "data=folder",
        "data.photos.train_folder=null",
        f"data.photos.test_folder={photo_folder}",
    )
    with pytest.raises(SystemExit, match=r"1 photos could not be used:\n.*zz.png"):
        evaluate(cfg)
    photos = list(csv.DictReader((tmp_path / "evaluation" / "photos.csv").open()))
    assert len(photos) == 3 * 12


@pytest.mark.parametrize("batch", [1, 4])
def test_what_was_drawn_is_kept_and_followed(trained, tmp_path, batch):
    """Another seed, but the draws of the first evaluation: the same pixels."""
    # Sums over pixels do not depend on the batch, LPIPS does in its last digits.
    blind = ("degradation=blind", "images=0", "checkpoints=[]", "metrics.names=[mae]")
    first = evaluate(evaluation(trained, tmp_path, *blind))
    book = tmp_path / "evaluation" / "draws.json"
    told = json.loads(book.read_text())
    assert (told["degradation"], told["scale"]) == ("blind", 2)
    assert [photo["photo"] for photo in told["photos"]] == ["astronaut.png", "coffee.png"]
    assert told["photos"][0]["size"] == [64, 64]
    assert told["photos"][0]["draws"]["shrink.kind"] in {"bilinear", "bicubic", "area"}
    other = (*blind, "data.eval_seed=7", f"data.eval_batch_size={batch}", "name=other")
    assert evaluate(evaluation(trained, tmp_path, *other)) != first
    assert evaluate(evaluation(trained, tmp_path, *other, f"replay={book}")) == first
    assert json.loads((tmp_path / "other" / "draws.json").read_text()) == told


def test_a_degradation_without_draws_is_recorded_and_followed_too(trained, tmp_path):
    bicubic = ("degradation=bicubic", "images=0", "checkpoints=[]", "metrics.names=[mae]")
    first = evaluate(evaluation(trained, tmp_path, *bicubic))
    book = tmp_path / "evaluation" / "draws.json"
    assert [photo["draws"] for photo in json.loads(book.read_text())["photos"]] == [{}, {}]
    again = evaluate(evaluation(trained, tmp_path, *bicubic, "name=again", f"replay={book}"))
    assert again == first


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["degradation=fixed"], "drawn for degradation=blind scale=2, but this is .*fixed"),
        (["split=val"], "photo 1 is astronaut.png of size .*but this evaluation has"),
        (["data.eval_crop=48"], r"photo 1 is astronaut.png of size \[64, 64\], but .*\[48, 48\]"),
    ],
)
def test_draws_of_another_evaluation_are_refused(trained, tmp_path, overrides, message):
    blind = ("degradation=blind", "images=0", "checkpoints=[]")
    evaluate(evaluation(trained, tmp_path, *blind))
    book = tmp_path / "evaluation" / "draws.json"
    with pytest.raises(ValueError, match=message):
        evaluate(evaluation(trained, tmp_path, *blind, f"replay={book}", *overrides))
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(ValueError, match="broken.json: .*expected the draws.json"):
        evaluate(evaluation(trained, tmp_path, *blind, f"replay={tmp_path / 'broken.json'}"))


QUICK = ("metrics.names=[psnr_rgb_b0,mae]", "images=1")


@pytest.fixture
def counted(monkeypatch):
    """Names of the networks that restore, one a batch."""
    calls, whole = [], NetworkUpscaler.__call__

    def counting(self, lr):
        calls.append(self.name)
        return whole(self, lr)

    monkeypatch.setattr(NetworkUpscaler, "__call__", counting)
    return calls


def test_an_evaluation_that_was_stopped_goes_on(trained, tmp_path, photo_folder, counted):
    options = (
        *QUICK,
        "data=folder",
        "data.photos.train_folder=null",
        f"data.photos.test_folder={photo_folder}",
        "data.eval_batch_size=1",
    )
    expected = evaluate(evaluation(trained, tmp_path / "whole", *options))
    counted.clear()
    with pytest.MonkeyPatch.context() as patch:
        restore = NetworkUpscaler.__call__

        def killed(self, lr):
            if len(counted) == 9:
                raise KeyboardInterrupt
            return restore(self, lr)

        patch.setattr(NetworkUpscaler, "__call__", killed)
        with pytest.raises(KeyboardInterrupt):
            evaluate(evaluation(trained, tmp_path / "parts", *options))
    assert not (tmp_path / "parts" / "evaluation" / "table.json").exists()
    counted.clear()
    assert evaluate(evaluation(trained, tmp_path / "parts", *options)) == expected
    assert len(counted) == 12 - 9
    counted.clear()
    assert evaluate(evaluation(trained, tmp_path / "parts", *options)) == expected
    assert counted == []
    folders = [tmp_path / name / "evaluation" for name in ("whole", "parts")]
    for name in ("table.json", "photos.csv", "statistics.json", "draws.json", "table.tex"):
        one, other = ((folder / name).read_text() for folder in folders)
        assert one == other, name


def test_only_what_is_new_is_measured(trained, tmp_path, counted):
    """Another method, metric, degradation or tile: measured; what was known: not again."""
    first = evaluate(evaluation(trained, tmp_path, *QUICK, "names=[one]"))
    assert counted == ["one"]
    counted.clear()
    weights = sorted((trained / "checkpoints").glob("iteration_*.ckpt"))
    best = json.loads((trained / "best.json").read_text())["checkpoint"]
    other = next(path for path in weights if path.name not in best)
    both = (*QUICK, f"checkpoints=[{trained},{other}]", "names=[one,two]", "images=0")
    second = evaluate(evaluation(trained, tmp_path, *both))
    assert counted == ["two"]
    assert second[:3] == first
    for change in ("metrics.names=[psnr_rgb_b2]", "degradation=bicubic", "tile=64", "scale=2"):
        counted.clear()
        changed = (*QUICK, "names=[one]", "images=0", change)
        evaluate(evaluation(trained, tmp_path, *changed))
        assert counted == ([] if change == "scale=2" else ["one"]), change


def test_a_picture_shows_the_methods_that_were_asked_for(trained, tmp_path):
    picture = tmp_path / "evaluation" / "images" / "000_astronaut.png"
    for baselines in (["bicubic"], ["bilinear", "bicubic"], ["bilinear"]):
        evaluate(evaluation(trained, tmp_path, *QUICK, f"baselines=[{','.join(baselines)}]"))
        # LR, the interpolators, the network, HR.
        assert Image.open(picture).width == (len(baselines) + 3) * 64 + (len(baselines) + 2) * 4
    assert len(list(picture.parent.iterdir())) == 1


def test_sets_times_degradations(trained, tmp_path, photo_folder):
    rows = evaluate(
        evaluation(
            trained,
            tmp_path,
            *QUICK,
            "data_sets=[sample,bsd100]",
            "degradations=[fixed,bicubic]",
            f"paths.data={_bsd100(tmp_path, photo_folder)}",
        )
    )
    sets = [(row["data"], row["degradation"]) for row in rows]
    assert sets[::3] == [(d, p) for d in ("sample", "bsd100") for p in ("fixed", "bicubic")]
    alone = evaluate(
        evaluation(trained, tmp_path / "alone", *QUICK, "degradation=bicubic", "baselines=[]")
    )
    assert alone[0]["mae"] == next(
        row["mae"]
        for row in rows
        if (row["data"], row["degradation"], row["name"]) == ("sample", "bicubic", "tiny")
    )
    folder = tmp_path / "evaluation"
    assert json.loads((folder / "tables.json").read_text()) == rows
    assert (folder / "tables.md").read_text().count("| bicubic |") == 4
    assert "bsd100, 12 test photos, under fixed" in (folder / "tables.tex").read_text()
    own = folder / "bsd100_bicubic"
    assert len(list(csv.DictReader((own / "photos.csv").open()))) == 3 * 12
    assert (own / "images" / "000_00.png").is_file()
    statistics = json.loads((own / "statistics.json").read_text())
    assert len(statistics) == 3 * 2
    assert all(row["low"] <= row["mean"] <= row["high"] for row in statistics)


def _bsd100(tmp_path, photo_folder):
    """A folder as SRLIT_DATA names it, with few photos."""
    (tmp_path / "data").mkdir()
    return photo_folder.rename(tmp_path / "data" / "bsd100").parent


def test_real_pairs_are_called_so(trained, tmp_path, photo_folder):
    small = tmp_path / "lr"
    small.mkdir()
    for path in photo_folder.iterdir():
        Image.open(path).resize((60, 48)).save(small / path.name)
    pairs = (
        *QUICK,
        "data=pairs",
        f"data.photos.test_hr={photo_folder}",
        f"data.photos.test_lr={small}",
    )
    evaluate(evaluation(trained, tmp_path, *pairs))
    with pytest.raises(ConfigError, match="replay=x.json: photos holds real pairs"):
        evaluate(evaluation(trained, tmp_path, *pairs, "replay=x.json"))
    folder = tmp_path / "evaluation"
    assert "12 test photos, real pairs" in (folder / "table.md").read_text()
    assert not (folder / "draws.json").exists()


def test_a_photo_that_breaks_meanwhile_is_reported_and_the_rest_is_done(
    trained, tmp_path, photo_folder, monkeypatch
):
    from srlit.data import EvaluationPhotos

    cfg = evaluation(
        trained,
        tmp_path,
        *QUICK,
        "data=folder",
        "data.photos.train_folder=null",
        f"data.photos.test_folder={photo_folder}",
        "data.eval_batch_size=4",
        "paths.store=null",
    )
    group = EvaluationPhotos._group

    def then_breaks(self, batch_size):
        (photo_folder / "05.png").write_bytes(b"no image")
        return group(self, batch_size)

    monkeypatch.setattr(EvaluationPhotos, "_group", then_breaks)
    with pytest.raises(SystemExit, match=r"1 photos could not be used:\n.*05\.png"):
        evaluate(cfg)
    photos = list(csv.DictReader((tmp_path / "evaluation" / "photos.csv").open()))
    assert len(photos) == 3 * 11
    assert "05.png" not in {row["photo"] for row in photos}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["reference=nearest"], "reference=nearest: expected one of bilinear, bicubic, tiny"),
        (["checkpoints=[]", "baselines=[]"], "expected at least one method"),
        (["data_sets=[bsd1000]"], "data=bsd1000.*bsd100"),
        (["degradations=[fxied]"], "degradation=fxied.*fixed"),
    ],
)
def test_mistakes_stop_before_anything_is_measured(trained, tmp_path, overrides, message, counted):
    with pytest.raises(ValueError, match=message):
        evaluate(evaluation(trained, tmp_path, *overrides))
    assert counted == []


def test_photos_that_a_checkpoint_was_trained_on_are_told(trained, tmp_path, caplog):
    evaluate(evaluation(trained, tmp_path, *QUICK))
    assert "was trained on" not in caplog.text
    evaluate(evaluation(trained, tmp_path, *QUICK, "data.photos.test_names=[moon.png,coffee.png]"))
    assert re.search(r"tiny was trained on 1 of the 2 photos .*moon\.png", caplog.text)


# -- select -------------------------------------------------------------------------------------


def selection(trained, *overrides):
    return compose_config("select", f"run={trained}", "weights.allow_untrained=true", *overrides)


def test_select_ranks_as_the_callback_did(trained):
    ranked = select(selection(trained))
    best = json.loads((trained / "best.json").read_text())
    assert [row["name"] for row in ranked] == [
        row["checkpoint"].removeprefix("checkpoints/") for row in best["kept"]
    ]
    for row, kept in zip(ranked, best["kept"], strict=True):
        for name, value in row.items():
            if name not in {"name", "run", "iteration"}:
                assert value == pytest.approx(kept["metrics"][name], abs=1e-5), name
    recorded = json.loads((trained / "selection.json").read_text())
    assert recorded["ranked"] == ranked
    assert recorded["photos"] == "validation"
    assert recorded["rule"] == best["rule"]
    assert "psnr_rgb_b0 at most 1 worse than the best" in best["rule"]
    assert "lowfreq_mae_s8 at most 0.004 worse" in best["rule"]
    assert Image.open(trained / "selection.png").width > 500


def test_select_by_another_metric_and_a_floor(trained):
    by_psnr = select(selection(trained, "metric=psnr_rgb_b0"))
    values = [row["psnr_rgb_b0"] for row in by_psnr]
    assert values == sorted(values, reverse=True)
    floor = values[0] - 1e-6
    floored = select(selection(trained, f"minimum={{psnr_rgb_b0: {floor}}}"))
    assert floored[0]["name"] == by_psnr[0]["name"]
    close = select(selection(trained, "tolerance={psnr_rgb_b0: 1e-6}"))
    assert close[0]["name"] == by_psnr[0]["name"]


def test_select_ranks_the_checkpoints_of_several_runs(trained, tmp_path, counted):
    runs = tmp_path / "runs"
    other = ("iterations=2", "seed=1", "name=other", f"paths.runs={runs}")
    train(compose_config("train", *SMALL, *other))
    both = (f"run=[{trained},{runs / 'other'}]", f"paths.runs={tmp_path}")
    ranked = select(selection(trained, *both))
    assert {row["run"] for row in ranked} == {str(trained), str(runs / "other")}
    assert len(ranked) == 3 + 2
    folder = tmp_path / "selection"
    assert json.loads((folder / "selection.json").read_text())["ranked"] == ranked
    assert (folder / "selection.png").is_file()
    alone = select(selection(trained))
    of_tiny = [row["psnr_rgb_b0"] for row in ranked if row["run"] == str(trained)]
    assert of_tiny == [row["psnr_rgb_b0"] for row in alone]
    counted.clear()
    assert select(selection(trained, *both)) == ranked
    assert counted == []  # all was measured before


def test_runs_that_validated_on_different_photos_are_not_ranked_together(trained, tmp_path):
    other = ("iterations=1", "name=other", f"paths.runs={tmp_path}", "data.eval_crop=48")
    train(compose_config("train", *SMALL, *other))
    with pytest.raises(ConfigError, match=r"other was validated on other photos, crops"):
        select(selection(trained, f"run=[{trained},{tmp_path / 'other'}]"))


def test_selects_mistakes_are_named(trained, tmp_path):
    with pytest.raises(ConfigError, match="no config.yaml: expected the folder of a run"):
        select(selection(tmp_path))
    shutil.copy(trained / "config.yaml", tmp_path)
    with pytest.raises(ConfigError, match="no checkpoint in"):
        select(selection(tmp_path))
    with pytest.raises(ConfigError, match="metric or minimum needs"):
        select(selection(trained, "metric=psnr_y_b4"))


def test_a_stored_configuration_names_no_foreign_class(tmp_path):
    for target in ("os.system", "builtins.eval", "srlit.config.build", "srlit.data.read_photo"):
        with pytest.raises(ConfigError, match="none of srlit's own classes"):
            build_known({"_target_": target, "command": "touch x"}, "file")
    with pytest.raises(ConfigError, match=r"file: .*unexpected keyword argument"):
        build_known({"_target_": "srlit.models.edsr.EDSR", "scale": 2, "widht": 3}, "file")
    built = build_known(
        {"a": [{"_target_": "srlit.models.edsr.EDSR", "scale": 2, "width": 8}]}, "file"
    )
    assert built["a"][0].scale == 2


def test_a_checkpoint_of_a_foreign_network_needs_the_users_word(trained, tmp_path):
    checkpoint = load_checkpoint(trained / "checkpoints" / "last.ckpt")
    stored = checkpoint["card"]["model"]
    checkpoint["card"]["model"] = stored | {"_target_": "torch.nn.Linear"}
    torch.save(checkpoint, tmp_path / "foreign.ckpt")
    with pytest.raises(ConfigError, match=r"give its configuration yourself \(model=...\)"):
        load_generator(tmp_path / "foreign.ckpt")
    generator, _ = load_generator(tmp_path / "foreign.ckpt", OmegaConf.create(stored))
    assert generator.scale == 2
    with pytest.raises(CheckpointError, match="the weights do not fit the network"):
        load_generator(tmp_path / "foreign.ckpt", OmegaConf.create(stored | {"width": 16}))


# -- upscale ------------------------------------------------------------------------------------


def upscaling(trained, *overrides):
    return compose_config("upscale", f"checkpoint={trained}", "device=cpu", *overrides)


def test_a_folder_is_upscaled_with_its_tree_and_transparency(trained, tmp_path, photo):
    source = tmp_path / "in"
    (source / "sub").mkdir(parents=True)
    pixels = photo[0, :, :61, :83].permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(source / "a.jpg")
    alpha = np.full((*pixels.shape[:2], 1), 77, np.uint8)
    Image.fromarray(np.concatenate([pixels, alpha], 2)).save(source / "sub" / "b.png")
    target = tmp_path / "out"
    options = (f"input={source}", f"output={target}", "tile=32", "overlap=8")
    written = upscale(upscaling(trained, *options))
    assert written == [target / "a.png", target / "sub" / "b.png"]
    assert Image.open(target / "a.png").size == (166, 122)
    result = Image.open(target / "sub" / "b.png")
    assert result.mode == "RGBA"
    assert set(np.array(result)[..., 3].flatten()) == {77}
    # Results are kept, unless asked otherwise.
    (target / "a.png").write_text("mine")
    upscale(upscaling(trained, *options))
    assert (target / "a.png").read_text() == "mine"
    upscale(upscaling(trained, *options, "overwrite=true"))
    assert Image.open(target / "a.png").size == (166, 122)


def test_results_of_an_earlier_time_are_no_inputs(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    Image.new("RGB", (8, 8)).save(tmp_path / "._a.png")
    for _ in range(2):
        assert [p.name for p in upscale(upscaling(trained, "input=."))] == ["a.png"]
    assert len(list((tmp_path / "upscaled").rglob("*"))) == 1


def test_a_broken_image_does_not_stop_the_others(trained, tmp_path, photo_folder):
    (photo_folder / "05.png").write_bytes(b"")
    target = tmp_path / "out"
    with pytest.raises(SystemExit, match=r"1 of 12 images failed:\n.*05\.png"):
        upscale(upscaling(trained, f"input={photo_folder}", f"output={target}"))
    assert len(list(target.iterdir())) == 11


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["input=/nowhere"], "input=/nowhere: "),
        (["format=.gif"], "format='.gif': expected one of .png, .webp, .jpg"),
        (["tile=16", "overlap=9"], "tile=16 with overlap=9"),
        (["checkpoint=/nowhere"], "/nowhere: no such checkpoint"),
        (["output={input}"], "would replace an input"),
    ],
)
def test_upscales_mistakes_are_named(trained, tmp_path, photo_folder, overrides, message):
    usual = [f"input={photo_folder}", f"output={tmp_path / 'out'}"]
    changed = [text.format(input=photo_folder) for text in overrides]
    with pytest.raises((ValueError, FileNotFoundError), match=re.escape(message)):
        upscale(upscaling(trained, *usual, *changed))


def test_two_inputs_for_one_result_are_refused(trained, tmp_path):
    for suffix in (".png", ".bmp"):
        Image.new("RGB", (8, 8)).save(tmp_path / f"a{suffix}")
    with pytest.raises(ValueError, match="would both become"):
        upscale(upscaling(trained, f"input={tmp_path}", f"output={tmp_path / 'out'}"))


# -- the command --------------------------------------------------------------------------------


def test_the_command_lists_its_subcommands_quickly(tmp_path):
    ended = run("srlit", cwd=tmp_path)
    assert ended.returncode == 0
    for name in ("train", "evaluate", "select", "upscale", "tune", "demo"):
        assert f"  {name}" in ended.stdout
    unknown = run("srlit", "tarin", cwd=tmp_path)
    assert unknown.returncode == 2
    assert "unknown command 'tarin'" in unknown.stderr


def test_a_failure_on_the_command_line_is_one_line_and_a_code(trained, tmp_path):
    ended = run("srlit", "upscale", "input=/nowhere", f"checkpoint={trained}", cwd=tmp_path)
    assert ended.returncode == 1
    assert (
        ended.stderr.strip().splitlines()[-1]
        == "error: input=/nowhere: expected an existing file or folder"
    )
    assert "Traceback" not in ended.stderr


def test_an_evaluation_needs_no_lightning(trained, tmp_path):
    """It takes seconds to import."""
    code = (
        "import sys; from srlit.evaluate import main;"
        f"sys.argv[1:] = ['checkpoints=[{trained}]', 'paths.runs={tmp_path}', 'data.eval_crop=64',"
        "'metrics.names=[mae]', 'weights.allow_untrained=true']; main();"
        "assert not {'lightning', 'torchvision', 'torchmetrics'} & set(sys.modules), 'imported'"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr


def test_importing_an_entry_point_needs_neither_torch_nor_lightning(tmp_path):
    code = (
        "import sys, srlit.train, srlit.evaluate, srlit.select, srlit.upscale, srlit.tune;"
        "import srlit.demo;"
        "assert not {'torch', 'lightning', 'torchvision'} & set(sys.modules), 'imported early'"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
