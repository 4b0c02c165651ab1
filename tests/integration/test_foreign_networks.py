"""Weights of other projects, and single stages, as users name them on the command line."""

import numpy as np
import pytest
import torch
from PIL import Image

from srlit.checkpoint import CheckpointError, file_format, load_weights, resolve_checkpoint
from srlit.evaluate import evaluate
from srlit.models.load import load_generator
from srlit.models.rrdb import RRDBNet
from srlit.models.spandrel import Spandrel
from srlit.models.two_stage import TwoStage
from srlit.train import train
from srlit.upscale import upscale
from tests.helpers import TINY, compose_config

NARROW = ("model=rrdbnet", "model.num_feat=8", "model.num_block=1")


@pytest.fixture
def weights(tmp_path):
    """A file as BasicSR leaves it."""
    torch.manual_seed(0)
    network = RRDBNet(scale=2, num_feat=8, num_block=1)
    path = tmp_path / "net_g_latest.pth"
    torch.save({"params": {}, "params_ema": network.state_dict()}, path)
    return path


def training(folder, weights, *overrides):
    paths = (f"init_from={weights}", f"paths.runs={folder}")
    return compose_config("train", *TINY, *overrides, *paths)


@pytest.mark.parametrize("prefix", ["", "generator_ema.module."])
def test_training_goes_on_from_others_weights_and_spandrel_reads_the_result(
    tmp_path, weights, prefix
):
    from spandrel import ModelLoader

    before, card = load_weights(weights)
    assert card is None
    wrapped = {f"{prefix}{name}": value for name, value in before.items()}
    torch.save({"state_dict": wrapped | {"d.weight": torch.ones(1)}} if prefix else before, weights)
    cfg = training(tmp_path, weights, *NARROW, "phase.optimizer.lr=0", "callbacks.ema=null")
    train(cfg)
    after, card = load_weights(tmp_path / "custom" / "checkpoints" / "last.safetensors")
    assert card["scale"] == 2
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert ModelLoader().load_from_state_dict(dict(after)).architecture.id == "ESRGAN"


def test_weights_of_another_size_are_told(tmp_path, weights):
    cfg = training(tmp_path, weights, *NARROW, "model.num_feat=16")
    with pytest.raises(CheckpointError, match=r"^init_from=.*net_g_latest\.pth: ") as caught:
        train(cfg)
    expected, _, came = str(caught.value).partition("came")
    assert "conv_first.weight (16, 12, 3, 3)" in expected
    assert "conv_first.weight (8, 12, 3, 3)" in came


def test_upscale_takes_them_as_they_are(tmp_path, weights, photo_folder):
    options = (f"input={photo_folder / '00.png'}", f"output={tmp_path / 'out'}", "device=cpu")
    [written] = upscale(compose_config("upscale", f"checkpoint={weights}", *options))
    assert Image.open(written).size == (240, 192)


def test_spandrels_networks_and_runs_of_them_stand_in_one_table(tmp_path, weights, photo_folder):
    """A PLKSR as its authors store it, and a run from it, whose weights tell what it is."""
    torch.manual_seed(0)
    arguments = {"dim": 8, "n_blocks": 1, "kernel_size": 3, "upscaling_factor": 2}
    network = Spandrel(scale=2, architecture="PLKSR", arguments=arguments).eval()
    path, moved = tmp_path / "plksr.pth", tmp_path / "moved.pth"
    torch.save({"params": network.network.state_dict()}, path)
    tuned = (*TINY, "model=spandrel", f"model.file={path}", f"paths.runs={tmp_path}")
    train(compose_config("train", *tuned, "phase.optimizer.lr=0", "name=tuned"))
    path.rename(moved)
    options = (
        *(f"checkpoints=[{weights},{moved},{tmp_path}/tuned]", "metrics.names=[mae]", "device=cpu"),
        *("data=folder", f"data.photos.train_folder={photo_folder}", "data.photos.holdout=2"),
        *("data.eval_crop=48", "paths.store=null", f"paths.runs={tmp_path}"),
    )
    rows = evaluate(compose_config("evaluate", *options))
    assert [row["name"] for row in rows] == [
        "bilinear",
        "bicubic",
        weights.name,
        "moved.pth",
        "tuned",
    ]
    assert rows[3]["mae"] == rows[4]["mae"]
    lr = torch.rand(1, 3, 12, 13)
    for file in (moved, resolve_checkpoint(str(tmp_path / "tuned"))):
        generator, _ = load_generator(file)
        with torch.no_grad():
            assert torch.equal(generator.eval()(lr), network(lr))


def test_stage_1_alone_can_be_looked_at(tmp_path, photo_folder):
    sizes = {"scale": 2, "num_feat": 8, "num_block": 1, "num_grow_ch": 4}
    network = TwoStage(**sizes)
    model = {"_target_": "srlit.models.two_stage.TwoStage", **sizes}
    state = {f"generator.{name}": value for name, value in network.state_dict().items()}
    file = tmp_path / "t.safetensors"
    card = {"name": "t", "model": model}
    file_format.save({"card": card, "state_dict": state, "iteration": 1}, file)
    source = photo_folder / "00.png"

    options = (f"checkpoint={file}", f"input={source}", f"output={tmp_path / 'out'}", "tile=null")
    [path] = upscale(compose_config("upscale", *options, "device=cpu", "stage=1"))
    lr = torch.from_numpy(np.array(Image.open(source))).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        expected = network.restore(lr)[1][0].clamp(0, 1).permute(1, 2, 0).numpy() * 255
    assert np.abs(np.array(Image.open(path)) - expected).max() <= 0.51
