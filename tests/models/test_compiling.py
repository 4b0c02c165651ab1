"""Every network, smaller than anyone would train it, through the compiler, export and autocast."""

import pytest
import torch

from srlit.models.patchgan import PatchGAN
from srlit.models.patchgan_multiscale import MultiScalePatchGAN
from srlit.models.spandrel import Spandrel
from srlit.models.unet_sn import UNetSN
from srlit.models.vgg import VGGStyle
from tests.models.test_generators import SMALL

GENERATORS = {
    **SMALL,
    "spandrel": lambda scale: Spandrel(
        scale=scale,
        architecture="SAFMN",
        arguments={"dim": 12, "n_blocks": 1, "upscaling_factor": scale},
    ),
}
DISCRIMINATORS = {
    "patchgan": lambda: PatchGAN(width=4, layers=1),
    "multiscale": lambda: MultiScalePatchGAN(scales=2, width=4, layers=1),
    "unet_sn": lambda: UNetSN(width=4),
    "vgg": lambda: VGGStyle(width=4, hidden=8),
}
NETWORKS = {name: lambda make=make: make(2) for name, make in GENERATORS.items()} | DISCRIMINATORS


def network(name):
    torch.manual_seed(0)
    made = NETWORKS[name]().eval()
    for parameter in made.parameters():  # what starts at zero shall count too
        parameter.data.add_(0.01 * torch.randn_like(parameter))
    return made


@torch.no_grad()
@pytest.mark.parametrize("name", NETWORKS)
def test_bfloat16_stays_within_a_hundredth(name):
    made, x = network(name), torch.rand(1, 3, 24, 20)
    with torch.autocast("cpu", torch.bfloat16):
        half = made(x).float()
    full = made(x)
    # Random weights leave the range of images: a U-Net's GroupNorm gives values to 3 and more.
    assert (half - full).abs().mean() < 1e-2
    assert (half - full).abs().max() < 2e-2 * max(1.0, full.abs().max())


@torch.no_grad()
@pytest.mark.parametrize("name", NETWORKS)
def test_it_can_be_exported(name):
    made, x = network(name), torch.rand(1, 3, 24, 20)
    exported = torch.export.export(made, (x,)).module()
    torch.testing.assert_close(exported(x), made(x), rtol=1e-5, atol=1e-5)


# The compiler for CPUs takes a minute a network; every network goes through all that comes before.
DEEP = ("rrdbnet", "two_stage", "compact")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "backend"),
    [(name, "aot_eager") for name in NETWORKS] + [(name, "inductor") for name in DEEP],
)
def test_it_compiles_with_its_gradient(name, backend):
    made, x = network(name), torch.rand(1, 3, 24, 20)
    expected = made(x)
    expected.square().mean().backward()
    gradients = [None if p.grad is None else p.grad.clone() for p in made.parameters()]
    made.zero_grad()
    made.compile(backend=backend)
    found = made(x)
    found.square().mean().backward()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    for parameter, gradient in zip(made.parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-3, atol=1e-4)
