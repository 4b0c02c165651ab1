import pytest
import torch

from srlit.models.compact import Compact
from srlit.models.edsr import EDSR
from srlit.models.rrdb import RRDBNet
from srlit.models.two_stage import TwoStage
from srlit.models.unet import UNet

SMALL = {
    "unet": lambda scale: UNet(
        scale=scale, width=16, head_blocks=1, bottleneck_blocks=1, tail_blocks=1
    ),
    "unet_without_norm": lambda scale: UNet(scale=scale, width=16, norm="none", head_blocks=1),
    "edsr": lambda scale: EDSR(scale=scale, width=8, blocks=2),
    "rrdbnet": lambda scale: RRDBNet(scale=scale, num_feat=8, num_block=1, num_grow_ch=4),
    "compact": lambda scale: Compact(scale=scale, num_feat=8, num_conv=2),
    "two_stage": lambda scale: TwoStage(scale=scale, num_feat=8, num_block=1, num_grow_ch=4),
}


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("name", SMALL)
def test_any_size_is_scaled_exactly(name, scale):
    network = SMALL[name](scale).eval()
    assert network.scale == scale
    for size in [(1, 1), (7, 13), (65, 64)]:
        assert network(torch.rand(1, 3, *size)).shape == (1, 3, size[0] * scale, size[1] * scale)


@pytest.mark.parametrize("name", SMALL)
def test_gradients_reach_every_parameter(name):
    network = SMALL[name](2)
    # EDSR's last convolution starts at zero and hides the others: perturb it.
    for parameter in network.parameters():
        parameter.data.add_(0.01 * torch.randn_like(parameter))
    network(torch.rand(2, 3, 16, 16)).square().mean().backward()
    dead = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not dead


def test_the_full_unet_has_the_documented_layout():
    network = UNet(scale=2)
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 2) == 9.75
    assert [tuple(b[3].weight.shape[:2]) for b in network.encoder] == [
        (64, 64),
        (128, 128),
        (256, 256),
    ]
    assert len(network.bottleneck) == 5
    assert network.bottleneck[0].residual[3].p == 0.05
    assert network.head[0].body[1].num_groups == 32
    assert [b.fuse[4].out_channels for b in network.decoder] == [128, 64, 64]


def test_edsr_starts_as_plain_interpolation():
    from srlit.ops.resize import bilinear

    x = torch.rand(1, 3, 9, 11)
    torch.testing.assert_close(EDSR(scale=3, width=8, blocks=1)(x), bilinear(x, 3))
