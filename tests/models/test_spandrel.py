"""spandrel's networks as generators of srlit's."""

import copy

import pytest
import torch

from srlit.checkpoint import CheckpointError
from srlit.config import load_trained
from srlit.models.edsr import EDSR
from srlit.models.spandrel import Spandrel, architectures
from tests.helpers import compose_config

SWINIR = {
    "img_size": 16, "window_size": 8, "embed_dim": 12, "depths": [2], "num_heads": [2],
    "mlp_ratio": 2, "upscale": 2, "upsampler": "pixelshuffledirect",
}  # fmt: skip
NETWORKS = {
    "SwinIR": (2, SWINIR),
    "SPAN": (2, {"num_in_ch": 3, "num_out_ch": 3, "feature_channels": 8, "upscale": 2}),
    "SAFMN": (3, {"dim": 12, "n_blocks": 1, "upscaling_factor": 3}),
    "RealPLKSR": (4, {"dim": 16, "n_blocks": 1, "upscaling_factor": 4}),
    "NAFNet": (1, {"width": 8, "enc_blk_nums": [1], "dec_blk_nums": [1], "middle_blk_num": 1}),
    "DAT": (2, {"img_size": 16, "embed_dim": 16, "split_size": [2, 4], "depth": [2],
                "num_heads": [2]}),
    "UpCunet2x": (2, {}),
}  # fmt: skip


def network(name):
    torch.manual_seed(0)
    scale, arguments = NETWORKS[name]
    return Spandrel(scale=scale, architecture=name, arguments=arguments).eval()


@torch.no_grad()
@pytest.mark.parametrize("name", NETWORKS)
def test_any_size_gives_what_spandrel_gives(name):
    wrapped = network(name)
    own = wrapped.architecture.load(dict(wrapped.network.state_dict()))
    for size in [(1, 1), (7, 13), (33, 32)]:
        x = torch.rand(1, 3, *size)
        sr = wrapped(x)
        assert sr.shape == (1, 3, size[0] * wrapped.scale, size[1] * wrapped.scale)
        torch.testing.assert_close(sr.clamp(0, 1), own(x).clone(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["SwinIR", "SPAN", "SAFMN"])
def test_it_can_be_trained_and_copied(name):
    wrapped = network(name).train()
    before = copy.deepcopy(wrapped)  # as the moving average does
    optimizer = torch.optim.Adam(wrapped.parameters(), 1e-3)
    x, target = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8 * wrapped.scale, 8 * wrapped.scale)
    losses = []
    for _ in range(8):
        optimizer.zero_grad()
        losses.append((wrapped(x) - target).abs().mean())
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < losses[0]
    before.load_state_dict(wrapped.state_dict())
    torch.testing.assert_close(before.eval()(x), wrapped.eval()(x))


@torch.no_grad()
def test_a_pretrained_file_tells_what_it_is(tmp_path):
    trained = network("SwinIR")
    path = tmp_path / "swinir.pth"
    torch.save({"params": trained.network.state_dict()}, path)
    x = torch.rand(1, 3, 9, 10)
    loaded = Spandrel(scale=2, file=str(path)).eval()
    torch.testing.assert_close(loaded(x), trained(x))
    # For evaluate and upscale, and for init_from where the network is given by its name.
    cfg = compose_config("upscale", "model=spandrel", f"model.file={path}", "scale=2")
    generator, card = load_trained(path, cfg)
    torch.testing.assert_close(generator.eval()(x), trained(x))
    assert card["name"] == "swinir"
    other = Spandrel(scale=2, architecture="SwinIR", arguments=SWINIR).eval()
    other.load_state_dict(other.own_names(torch.load(path)["params"]))
    torch.testing.assert_close(other(x), trained(x))


def test_mistakes_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"model.architecture='SwinIRR': expected one of ATD, "):
        Spandrel(scale=2, architecture="SwinIRR")
    with pytest.raises(ValueError, match=r"no SwinIR can be built of them .*'windw'"):
        Spandrel(scale=2, architecture="SwinIR", arguments={"windw": 3})
    with pytest.raises(ValueError, match=r"model.scale=4, but SwinIR \(.*\) upscales by 2"):
        Spandrel(scale=4, architecture="SwinIR", arguments=SWINIR)
    path = tmp_path / "net.pth"
    torch.save(EDSR(scale=2, width=8, blocks=1).state_dict(), path)
    with pytest.raises(CheckpointError, match=r"expected weights of one of ATD.*came 10 tensors"):
        Spandrel(scale=2, file=str(path))
    # A file cannot ask for more than it holds.
    weights = dict(network("SwinIR").network.state_dict())
    name = "layers.5000.residual_group.blocks.0.attn.relative_position_bias_table"
    weights[name] = torch.ones(225, 2)
    torch.save(weights, path)
    with pytest.raises(CheckpointError, match="its network cannot be built"):
        Spandrel(scale=2, file=str(path))


def test_what_maps_no_image_to_an_image_is_left_out():
    known = architectures()
    assert len(known) > 40
    assert not {"LaMa", "GFPGAN", "RestoreFormer"} & known.keys()
    assert all(issubclass(make, torch.nn.Module) for _, make in known.values())
