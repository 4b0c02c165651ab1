"""Every network of conf/ through the compiler, export, autocast and backward."""

import pytest
import torch

from tests.models.networks import NETWORKS, network

every_network = pytest.mark.parametrize(("group", "name"), NETWORKS)


@pytest.fixture
def x():
    torch.manual_seed(0)
    return torch.rand(1, 3, 48, 50)


@torch.no_grad()
@every_network
def test_bfloat16_stays_within_a_hundredth(group, name, x):
    made = network(group, name).eval()
    with torch.autocast("cpu", torch.bfloat16):
        half = made(x).float()
    full = made(x)
    # Random weights leave the range of images.
    assert (half - full).abs().mean() < 1e-2 * max(1.0, full.abs().mean())
    assert (half - full).abs().max() < 2e-2 * max(1.0, full.abs().max())


@torch.no_grad()
@every_network
def test_it_can_be_exported(group, name, x):
    made = network(group, name).eval()
    exported = torch.export.export(made, (x,)).module()
    torch.testing.assert_close(exported(x), made(x), rtol=1e-5, atol=1e-5)


@every_network
def test_gradients_reach_every_parameter_and_the_image(group, name):
    made, image = network(group, name), torch.rand(2, 3, 48, 50, requires_grad=True)
    made(image).square().mean().backward()
    assert not [n for n, p in made.named_parameters() if p.grad is None or not p.grad.any()]
    assert image.grad.any()


# The compiler for CPUs takes a minute per network; all go through what comes before it.
DEEP = ("rrdbnet_small", "two_stage_small", "compact_small")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("group", "name", "backend"),
    [(*each, "aot_eager") for each in NETWORKS] + [("model", name, "inductor") for name in DEEP],
)
def test_it_compiles_with_its_gradient(group, name, backend, x):
    made = network(group, name).eval()
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
