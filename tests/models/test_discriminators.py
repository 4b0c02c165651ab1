import pytest
import torch

from srlit.models import PatchGAN


def test_layout_is_experiment_as():
    network = PatchGAN()
    convs = [m for m in network if isinstance(m, torch.nn.Conv2d)]
    assert [(c.in_channels, c.out_channels, c.stride[0]) for c in convs] == [
        (3, 64, 2),
        (64, 128, 2),
        (128, 256, 2),
        (256, 512, 1),
        (512, 1, 1),
    ]
    assert all(c.kernel_size == (4, 4) and c.bias is None for c in convs)
    normalised = ["parametrizations.weight.original" in dict(c.named_parameters()) for c in convs]
    assert normalised == [False, True, True, True, True]
    assert abs(convs[0].weight.std() - 0.02) < 0.002


def test_spectral_norm_bounds_each_layer():
    network = PatchGAN(width=16)
    for _ in range(50):
        network(torch.rand(1, 3, 32, 32))
    weight = network[2].weight.flatten(1)
    assert abs(torch.linalg.matrix_norm(weight, 2) - 1) < 0.02


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_the_least_size_is_the_least(layers):
    network = PatchGAN(width=4, layers=layers).eval()
    side = network.least_size
    assert network(torch.rand(1, 3, side, side)).shape == (1, 1, 1, 1)
    with pytest.raises(
        ValueError, match=f"expected at least {side}x{side}; enlarge data.patch_size"
    ):
        network(torch.rand(1, 3, side - 1, side))
