import pytest
import torch

from srlit.models.patchgan import PatchGAN
from srlit.models.patchgan_multiscale import MultiScalePatchGAN
from srlit.models.unet_sn import UNetSN
from srlit.models.vgg import VGGStyle
from tests.models.networks import DISCRIMINATORS, network


def test_layout_is_experiment_as():
    network = PatchGAN()
    convs = [m for m in network if isinstance(m, torch.nn.Conv2d)]
    layout = [(c.in_channels, c.out_channels, c.stride[0]) for c in convs]
    assert layout == [(3, 64, 2), (64, 128, 2), (128, 256, 2), (256, 512, 1), (512, 1, 1)]
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
    side = network.min_size
    assert network(torch.rand(1, 3, side, side)).shape == (1, 1, 1, 1)
    with pytest.raises(ValueError, match=rf"data\.patch_size.* {side}x{side}"):
        network(torch.rand(1, 3, side - 1, side))


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_its_gradient_has_a_gradient(name):
    """R1 asks for it."""
    made, image = network("discriminator", name).eval(), torch.rand(2, 3, 48, 50).requires_grad_()
    [gradient] = torch.autograd.grad(made(image).sum(), image, create_graph=True)
    gradient.square().sum().backward()
    assert any(p.grad is not None and p.grad.any() for p in made.parameters())


@pytest.mark.parametrize("size", [(1, 1), (7, 13), (65, 64)])
def test_of_any_size_each_pixel_or_the_image_is_judged(size):
    image = torch.rand(2, 3, *size)
    assert UNetSN(width=4)(image).shape == (2, 1, *size)
    assert VGGStyle(width=4, hidden=8).eval()(image).shape == (2, 1)


def test_the_published_layouts():
    # BasicSR's UNetDiscriminatorSN of 64 features has 4,376,897 parameters.
    assert sum(p.numel() for p in UNetSN().parameters()) == 4_376_897
    convs = [m for m in VGGStyle().body if isinstance(m, torch.nn.Conv2d)]
    assert [(c.out_channels, c.stride[0]) for c in convs] == [
        (64, 1), (64, 2), (128, 1), (128, 2), (256, 1), (256, 2), (512, 1), (512, 2),
    ]  # fmt: skip
    body = VGGStyle(width=4).body[:-1]
    assert body(torch.rand(2, 3, 96, 96)).shape[-2:] == (6, 6)


@torch.no_grad()
def test_every_scale_weighs_the_same():
    network = MultiScalePatchGAN(scales=2, width=4, layers=1).eval()
    image = torch.rand(2, 3, 36, 36)
    coarse = torch.nn.functional.avg_pool2d(image, 3, 2, 1, count_include_pad=False)
    logits = network(image)
    assert torch.equal(logits[:, :1], network.scales[0](image))
    own = network.scales[1](coarse)
    assert set(logits[:, 1].flatten().tolist()) == set(own.flatten().tolist())
    assert abs(logits[:, 1].mean() - own.mean()) < 0.2 * own.std()
    with pytest.raises(ValueError, match=r"data\.patch_size.* 4x4"):
        network(torch.rand(1, 3, 4, 4))
