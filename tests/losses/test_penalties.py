"""Gradient penalties of a discriminator."""

import shutil

import pytest
import torch

from srlit.losses.penalties import R1, GradientPenalty

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")


@pytest.fixture
def images():
    torch.manual_seed(0)
    return torch.rand(64, 3, 24, 20)


def small_network():
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Tanh(), torch.nn.Conv2d(4, 1, 3))


def test_r1_is_half_gamma_times_the_squared_gradient(images):
    """D(x) = sum of w x^2 / 2 has the gradient w x."""
    w = torch.linspace(0.5, 1.5, 20)
    penalty = R1(weight=3.0, every=1)(lambda x: (w * x.square() / 2).sum((1, 2, 3)), images, images)
    expected = 1.5 * (w * images).square().sum((1, 2, 3)).mean()
    torch.testing.assert_close(penalty, expected)


def test_r1_reaches_the_discriminators_weights_and_not_the_images(images):
    network = small_network()
    R1(weight=1.0)(network, images, images).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network[0].parameters())
    assert images.grad is None


def test_r1_applied_every_4_updates_is_scaled_by_4():
    penalty = R1(weight=2.0, every=4)
    assert [i for i in range(9) if penalty.is_due(i)] == [0, 4, 8]
    one = torch.ones(1, 3, 2, 2)
    lazy, eager = (R1(weight=2.0, every=k)(lambda x: x.sum((1, 2, 3)), one, one) for k in (4, 1))
    assert float(lazy) == pytest.approx(4 * float(eager)) == pytest.approx(4 * 12)


@needs_compiler
def test_r1_of_a_compiled_discriminator_equals_the_uncompiled_one(images):
    """Its second derivative does not exist in compiled code."""
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 1, 3), torch.nn.Softplus())
    found = []
    for _ in range(2):
        network.zero_grad()
        penalty = R1(weight=1.0)(network, images, images)
        penalty.backward()
        found.append((penalty.detach(), network[0].weight.grad.clone()))
        network.compile()
        network(images)  # compiles it
    torch.testing.assert_close(found[1], found[0])


def test_r1_is_computed_in_float32_under_autocast(images):
    network = torch.nn.Conv2d(3, 1, 3)
    exact = R1(weight=1.0)(network, images, images)
    with torch.autocast("cpu", torch.bfloat16):
        assert network(images).dtype == torch.bfloat16
        assert torch.equal(R1(weight=1.0)(network, images, images), exact)


def test_the_gradient_penalty_of_a_linear_critic_by_hand(images):
    """D(x) = sum of w x has the gradient w wherever the images are mixed."""
    w = torch.full((3, 24, 20), 0.05)
    norm = 0.05 * (3 * 24 * 20) ** 0.5
    penalty = GradientPenalty(weight=7.0)(lambda x: (w * x).sum((1, 2, 3)), images, images.flip(0))
    assert float(penalty) == pytest.approx(7 * (norm - 1) ** 2, rel=1e-5)


def test_the_gradient_is_taken_between_real_and_restored(images):
    """D(x) = |x|^2 / 2 has the gradient x, so the critic sees where it is taken."""
    seen = []

    def critic(x):
        seen.append(x.detach())
        return (x.square() / 2).sum((1, 2, 3))

    real, fake = torch.full_like(images, 0.9), torch.full_like(images, 0.1)
    torch.manual_seed(3)
    penalty = GradientPenalty(weight=1.0)(critic, real, fake)
    [points] = seen
    position = (points[:, 0, 0, 0] - 0.1) / 0.8
    assert ((points - points[:, :1, :1, :1]).abs() < 1e-6).all()  # one position for a whole image
    assert 0 <= position.min() < 0.1
    assert 0.9 < position.max() <= 1
    expected = (points.flatten(1).norm(dim=1) - 1).square().mean()
    torch.testing.assert_close(penalty.detach(), expected)


def test_a_critic_without_a_gradient_can_still_learn(images):
    """The root of 0 has no derivative; the penalty of a flat critic is lambda."""
    network = torch.nn.Conv2d(3, 1, 3)
    torch.nn.init.zeros_(network.weight)
    penalty = GradientPenalty(weight=10.0)(network, images, images.flip(0))
    penalty.backward()
    assert float(penalty.detach()) == pytest.approx(10, abs=1e-4)
    assert network.weight.grad.isfinite().all()


def test_the_gradient_penalty_reaches_the_critic_in_float32_and_not_the_images(images):
    network = small_network()
    real, fake = images[:2].requires_grad_(), images[2:4].detach().requires_grad_()
    torch.manual_seed(0)
    exact = GradientPenalty()(network, real, fake)
    assert not torch.equal(GradientPenalty()(network, real, fake), exact)  # another draw
    exact.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network[0].parameters())
    assert real.grad is fake.grad is None
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(GradientPenalty()(network, real, fake), exact)
