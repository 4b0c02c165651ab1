"""What holds for every loss term: 0 at the target, finite gradients, float32, no batch mates."""

import pytest
import torch

from srlit.losses import (
    L1,
    L2,
    LDL,
    SSIM,
    Charbonnier,
    ColourConsistency,
    CompositeLoss,
    Edge,
    FocalFrequency,
    FourierL1,
    Gradient,
    LRConsistency,
    MultiScaleSSIM,
    TotalVariation,
)
from srlit.losses.composite import needs
from srlit.ops.resize import shrink

TERMS = [
    L1(),
    L2(),
    Charbonnier(),
    SSIM(),
    MultiScaleSSIM(weights=(0.3, 0.7)),
    FocalFrequency(),
    FourierL1(),
    Gradient(),
    Edge(),
    TotalVariation(),
    ColourConsistency(),
    LRConsistency(),
    LDL(),
]
# Their value for equal images, where it is not 0.
AT_THE_TARGET = {Charbonnier: 1e-3, Edge: 1e-3}

every_term = pytest.mark.parametrize("term", TERMS, ids=lambda term: type(term).__name__)


@pytest.fixture
def hr(photo):
    return torch.cat([photo[..., i : i + 48, 3 * i : 3 * i + 40] for i in (60, 90, 120)]) / 255


@pytest.fixture
def sr(hr):
    noise = torch.randn(hr.shape, generator=torch.Generator().manual_seed(0))
    return hr + 0.1 * noise  # a little outside of [0, 1] too


def value_of(term, sr, hr):
    """As a phase calls it: lr without noise, and an average that is nearer to the target."""
    beside = {"lr": shrink(hr, (24, 20)), "averaged": (sr + hr).detach() / 2}
    return term(sr, hr, **{name: beside[name] for name in needs(term)})


@every_term
def test_the_target_has_no_loss_and_a_finite_gradient(term, hr):
    sr = hr.clone().requires_grad_()
    value = value_of(term, sr, hr)
    value.backward()
    if not isinstance(term, TotalVariation):  # it does not look at the target
        assert float(value.detach()) == pytest.approx(AT_THE_TARGET.get(type(term), 0), abs=1e-6)
    assert sr.grad.isfinite().all()


@every_term
def test_what_differs_has_a_loss_and_every_image_a_gradient(term, sr, hr):
    sr = sr.requires_grad_()
    value = value_of(term, sr, hr)
    value.backward()
    assert value.shape == ()
    assert value > AT_THE_TARGET.get(type(term), 0) + 1e-6
    assert sr.grad.isfinite().all()
    assert (sr.grad.flatten(1).abs().sum(1) > 0).all()


@every_term
def test_a_step_down_the_gradient_lowers_the_loss(term, sr, hr):
    sr = sr.requires_grad_()
    before = value_of(term, sr, hr)
    before.backward()
    step = 1e-2 * before.detach() / sr.grad.square().sum()
    assert value_of(term, (sr - step * sr.grad).detach(), hr) < before


@every_term
def test_a_batch_is_the_mean_of_its_images(term, sr, hr):
    alone = [value_of(term, a[None], b[None]) for a, b in zip(sr, hr, strict=True)]
    torch.testing.assert_close(value_of(term, sr, hr), torch.stack(alone).mean())


@every_term
def test_a_training_in_half_precision_computes_it_in_full(term, sr, hr):
    table = CompositeLoss(weights={"it": 1.0}, terms={"it": term})
    beside = {"lr": shrink(hr, (24, 20)), "averaged": hr}
    plain = table(sr, hr, beside=beside)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(table(sr, hr, beside=beside).total, plain.total)
    assert plain.total.dtype == torch.float32


@every_term
def test_no_term_changes_what_it_is_given(term, sr, hr):
    before = sr.clone(), hr.clone()
    value_of(term, sr, hr)
    assert torch.equal(sr, before[0])
    assert torch.equal(hr, before[1])
