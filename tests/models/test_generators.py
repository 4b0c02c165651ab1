import pytest
import torch
from hydra.errors import InstantiationException

from srlit.models.edsr import EDSR
from srlit.models.unet import UNet
from tests.models.networks import GENERATORS, network


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("name", GENERATORS)
def test_any_size_is_scaled_exactly(name, scale):
    try:
        made = network("model", name, scale).eval()
    except InstantiationException as error:
        assert f"'scale': {scale}" in str(error)
        pytest.skip(f"{name} has no x{scale}")
    assert made.scale == scale
    for h, w in [(1, 1), (7, 13), (33, 32)]:
        assert made(torch.rand(1, 3, h, w)).shape == (1, 3, h * scale, w * scale)


def test_the_full_unet_has_the_documented_layout():
    network = UNet(scale=2)
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 2) == 9.75
    widths = [tuple(block[3].weight.shape[:2]) for block in network.encoder]
    assert widths == [(64, 64), (128, 128), (256, 256)]
    assert len(network.bottleneck) == 5
    assert network.bottleneck[0].residual[3].p == 0.05
    assert network.head[0].body[1].num_groups == 32
    assert [b.fuse[4].out_channels for b in network.decoder] == [128, 64, 64]


def test_edsr_starts_as_plain_interpolation():
    from srlit.ops.resize import bilinear

    x = torch.rand(1, 3, 9, 11)
    torch.testing.assert_close(EDSR(scale=3, width=8, blocks=1)(x), bilinear(x, 3))
