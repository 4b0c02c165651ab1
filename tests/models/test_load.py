"""Networks from files of other projects, however these wrap the weights."""

import functools
import logging
import os
from pathlib import Path

import pytest
import torch

from srlit.checkpoint import CheckpointError, load_weights
from srlit.models.edsr import EDSR
from srlit.models.load import load_generator, misfit
from srlit.models.spandrel import Spandrel

CASES = Path(os.environ.get("SRLIT_DATA", "nowhere")).parent / "cases"
COMPACT = {"num_in_ch": 3, "num_out_ch": 3, "num_feat": 8, "num_conv": 1, "upscale": 2}
OWN = functools.partial(EDSR, scale=2, width=4, blocks=1)


def compact():
    return Spandrel(scale=2, architecture="Compact", arguments=COMPACT).network


def wanted_and_other(build):
    """Weights of a network, those of another one of its kind, and those of no generator."""
    torch.manual_seed(0)
    return build().state_dict(), build().state_dict(), torch.nn.Conv2d(3, 1, 3).state_dict()


def named(prefix, table):
    return {f"{prefix}{name}": weight for name, weight in table.items()}


def counted(table):
    """As `torch.optim.swa_utils.AveragedModel` stores it."""
    return {"n_averaged": torch.tensor(3)} | named("module.", table)


# By what the log says was taken: `w` are the weights to be found, `o` others, `d` no generator's.
WRAPPINGS = {
    "model": lambda w, o, d: {"model": w, "epoch": 3},
    "net": lambda w, o, d: {"net": w},
    "model.state_dict": lambda w, o, d: {"model": {"state_dict": w}, "optimizer": {"state": {}}},
    "netG": lambda w, o, d: named("netG.", w),
    "net_g": lambda w, o, d: named("net_g.", w) | named("net_d.", d),
    "generator": lambda w, o, d: named("generator.", w) | named("discriminator.", d),
    "module": lambda w, o, d: counted(w),
    "params_ema": lambda w, o, d: {"params": o, "params_ema": named("_orig_mod.", w)},
    "state_dict_ema": lambda w, o, d: {"state_dict": o, "state_dict_ema": w},
    "model_ema.module": lambda w, o, d: {"model": o, "model_ema": counted(w)},
    "state_dict.generator_ema.module": lambda w, o, d: {
        "state_dict": named("generator.", o) | named("generator_ema.", counted(w)) | named("d.", d)
    },
    "ema.ema_model": lambda w, o, d: {
        "ema": {"step": torch.tensor(1)} | named("online_model.", o) | named("ema_model.", w)
    },
    "generator.module": lambda w, o, d: {
        "teacher": o, "discriminator": d, "generator": named("module._orig_mod.", w)
    },
    "params": lambda w, o, d: {"params": w, "params_ema": d},
    "myown": lambda w, o, d: {"steps": torch.tensor(7)} | named("myown.", w),
}  # fmt: skip


@pytest.mark.parametrize(("build", "given"), [(compact, None), (OWN, OWN)], ids=["told", "given"])
@pytest.mark.parametrize("taken", WRAPPINGS)
def test_weights_are_found_in_their_wrapping_and_averages_first(
    tmp_path, caplog, taken, build, given
):
    wanted, other, foreign = wanted_and_other(build)
    path = tmp_path / "net.pth"
    torch.save(WRAPPINGS[taken](wanted, other, foreign), path)
    with caplog.at_level(logging.INFO):
        generator, _ = load_generator(path, given)
    network = generator if given else generator.network
    assert all(torch.equal(network.state_dict()[name], wanted[name]) for name in wanted)
    assert [r.args for r in caplog.records if r.name.startswith("srlit")] == [(path, taken)]


def test_compiled_parts_within_a_network(tmp_path, caplog):
    wanted, _, _ = wanted_and_other(compact)
    inside = {name.replace("body.", "body._orig_mod."): w for name, w in wanted.items()}
    torch.save(inside, tmp_path / "net.pth")
    with caplog.at_level(logging.INFO):
        generator, _ = load_generator(tmp_path / "net.pth")
    assert torch.equal(generator.network.state_dict()["body.0.weight"], wanted["body.0.weight"])
    assert not [r for r in caplog.records if r.name.startswith("srlit")]  # it was not wrapped


def test_a_part_of_an_unknown_network_is_not_taken_for_a_network(tmp_path):
    wanted, other, _ = wanted_and_other(compact)
    torch.save(named("stage1.", wanted) | named("stage2.", other), tmp_path / "net.pth")
    with pytest.raises(CheckpointError, match=r"net\.pth.*stage1\.body\.0\.weight"):
        load_generator(tmp_path / "net.pth")


def test_weights_of_another_size_are_told_by_the_table_that_is_nearest(tmp_path):
    _, _, foreign = wanted_and_other(compact)
    wide = EDSR(scale=2, width=8, blocks=1).state_dict()
    torch.save({"params_ema": foreign, "state_dict": named("netG.", wide)}, tmp_path / "net.pth")
    with pytest.raises(CheckpointError, match=r"expected .*\(4, 3, 3, 3\).* came .*\(8, 3, 3, 3\)"):
        load_generator(tmp_path / "net.pth", OWN)


def test_a_discriminator_is_found_in_the_same_way(tmp_path):
    generator, _, weights = wanted_and_other(compact)
    stored = {"state_dict": named("net_g.", generator) | named("module.netD.", weights)}
    torch.save(stored, tmp_path / "net.pth")
    fits = functools.partial(misfit, torch.nn.Conv2d(3, 1, 3))
    found, _ = load_weights(tmp_path / "net.pth", fits, "discriminator")
    assert found.keys() == weights.keys()


def test_files_without_end_are_read_in_time(tmp_path):
    """A dictionary of itself, names of many parts, and many tables."""
    endless = {}
    endless |= {str(number): endless for number in range(100)}
    deep = {f"{'module.' * 5000}{number}": torch.ones(1) for number in range(3)}
    many = {f"{number}": {"x": torch.ones(1)} for number in range(3000)}
    for stored in (endless, deep, many):
        torch.save(stored, tmp_path / "net.pth")
        with pytest.raises(CheckpointError, match=r"net\.pth"):
            load_generator(tmp_path / "net.pth")


@pytest.mark.skipif(not CASES.is_dir(), reason="needs the cases beside SRLIT_DATA")
@pytest.mark.parametrize("name", ["model", "net", "netG_prefix", "orig_mod"])
def test_the_files_that_failed(name):
    generator, _ = load_generator(CASES / f"{name}.pth")
    assert (generator.scale, generator.architecture.name) == (2, "RealESRGAN Compact")
    assert all(weight.any() for weight in generator.state_dict().values())
