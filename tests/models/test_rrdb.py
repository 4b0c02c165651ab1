"""ESRGAN's network against spandrel's, weights going both ways."""

import pytest
import torch

from srlit.checkpoint import CheckpointError
from srlit.models.load import load_generator, load_into
from srlit.models.rrdb import RRDBNet, basicsr_names

# (scale, unshuffle): Real-ESRGAN's x1, x2, x4, older x1, x2 and x8, and both kinds of x2 again.
LAYOUTS = [(1, 4), (2, 2), (4, 1), (1, 1), (2, 1), (8, 1), (1, 2), (4, 2), (4, 1), (2, 2)]


def oldest_name(name, blocks, steps):
    """BasicSR's name as the first ESRGAN counted its layers."""
    layer, _, kind = name.rpartition(".")
    if layer.startswith("body."):
        _, block, dense, conv = layer.split(".")
        return f"model.1.sub.{block}.{dense.upper()}.{conv}.0.{kind}"
    places = {
        "conv_first": "0",
        "conv_body": f"1.sub.{blocks}",
        **{f"conv_up{n}": str(3 * n) for n in range(1, steps + 1)},
        "conv_hr": str(3 * steps + 2),
        "conv_last": str(3 * steps + 4),
    }
    return f"model.{places[layer]}.{kind}"


def middle_name(name, blocks, steps):
    """BasicSR's name as BSRGAN has it."""
    for newer, older in (
        ("conv_body", "trunk_conv"), ("body.", "RRDB_trunk."), ("rdb", "RDB"),
        ("conv_up", "upconv"), ("conv_hr", "HRconv"),
    ):  # fmt: skip
        name = name.replace(newer, older)
    return name


STYLES = {"new": lambda name, *_: name, "middle": middle_name, "old": oldest_name}


def random_network(seed):
    """A narrow network, of a layout that the seed chooses, with weights that matter."""
    torch.manual_seed(seed)
    scale, unshuffle = LAYOUTS[seed]
    size = {"num_feat": 8 + 4 * (seed % 3), "num_block": 2 + seed % 2}
    network = RRDBNet(scale=scale, unshuffle=unshuffle, **size)
    for parameter in network.parameters():
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    return network.eval()


def in_style(network, style):
    return {
        STYLES[style](name, len(network.body), len(network.steps)): weight
        for name, weight in network.state_dict().items()
    }


@torch.no_grad()
def assert_same(network, descriptor, size):
    x = torch.rand(1, 3, *size)
    assert descriptor.scale == network.scale
    torch.testing.assert_close(descriptor.model(x), network(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("seed", range(10))
def test_what_srlit_writes_loads_in_spandrel(seed, tmp_path):
    from spandrel import ModelLoader

    network = random_network(seed)
    for style in STYLES:
        torch.save({"params_ema": in_style(network, style)}, tmp_path / "net.pth")
        loaded = ModelLoader().load_from_file(tmp_path / "net.pth")
        assert loaded.architecture.id == "ESRGAN"
        assert_same(network, loaded, (9, 7))
        assert list(basicsr_names(in_style(network, style))) == list(network.state_dict())


@pytest.mark.parametrize("seed", range(10))
def test_what_spandrel_holds_loads_in_srlit(seed):
    from spandrel import ModelLoader

    network = random_network(seed)
    theirs = ModelLoader().load_from_state_dict(in_style(network, "new"))  # under the oldest names
    copy = random_network(seed).requires_grad_(requires_grad=False)
    for parameter in copy.parameters():
        parameter.zero_()
    load_into(copy, theirs.model.state_dict(), "theirs")
    assert_same(copy, theirs, (8, 12))


def test_other_weights_keep_their_names():
    others = {"model.5.weight": torch.ones(1), "other": torch.ones(1)}
    assert basicsr_names(others) == others


def test_safetensors_and_parallel_names_load(tmp_path):
    from safetensors.torch import save_file

    network = random_network(2)
    weights = {f"module.{name}": value for name, value in network.state_dict().items()}
    save_file(weights, tmp_path / "a.safetensors")
    loaded, _ = load_generator(tmp_path / "a.safetensors")
    x = torch.rand(1, 3, 5, 6)
    assert torch.equal(loaded.eval()(x), network(x))
    (tmp_path / "b.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}      rest")
    with pytest.raises(CheckpointError, match=r"b.safetensors: (damaged|not an srlit)"):
        load_generator(tmp_path / "b.safetensors")


def test_unknown_weights_are_told_with_what_was_expected_and_what_came(tmp_path):
    weights = {"stem.weight": torch.ones(2, 3), "x\x1b[2J": torch.ones(1)}
    torch.save({"params": weights}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError) as caught:
        load_generator(tmp_path / "a.pth")
    came = "stem.weight (2, 3), x\\x1b[2J (1,)"
    assert all(part in str(caught.value) for part in ("ESRGAN", "Compact", came, "model="))
    torch.save([torch.ones(2)], tmp_path / "b.pth")
    with pytest.raises(CheckpointError, match="no table of tensors.*came no table"):
        load_generator(tmp_path / "b.pth")


def test_the_published_layout():
    network = RRDBNet(scale=4)
    assert sum(p.numel() for p in network.parameters()) == 16_697_987
    assert len(network.state_dict()) == 702
    assert RRDBNet(scale=2, num_block=1).conv_first.in_channels == 12
    assert RRDBNet(scale=1, num_block=1).conv_first.in_channels == 48
    # Section 3.1: residuals start small.
    conv = network.body[0].rdb1.conv1
    assert float(conv.weight.detach().std()) == pytest.approx(0.1 * (2 / (64 * 9)) ** 0.5, rel=0.05)


def test_no_such_scale_is_named():
    with pytest.raises(ValueError, match="scale=5: expected one of 1, 2, 3, 4, 8, 16"):
        RRDBNet(scale=5)
