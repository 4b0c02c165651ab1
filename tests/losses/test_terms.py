"""What holds for every loss term: 0 at the target, finite gradients, float32, no batch mates."""

import pytest
import torch
from omegaconf import OmegaConf

from srlit.config import CONF_DIR
from srlit.losses import (
    L1,
    L2,
    LDL,
    SSIM,
    Charbonnier,
    ColourConsistency,
    CompositeLoss,
    Contextual,
    DISTSLoss,
    Edge,
    FocalFrequency,
    FourierL1,
    Gradient,
    LPIPSLoss,
    LRConsistency,
    MultiScaleSSIM,
    PerceptualLoss,
    TotalVariation,
)
from srlit.losses.composite import needs
from srlit.ops.resize import shrink

# Each gets a folder with a VGG16.
TERMS = {
    "l1": lambda _: L1(),
    "l2": lambda _: L2(),
    "charbonnier": lambda _: Charbonnier(),
    "ssim": lambda _: SSIM(),
    "ms_ssim": lambda _: MultiScaleSSIM(weights=(0.3, 0.7)),
    "focal_frequency": lambda _: FocalFrequency(),
    "fourier_l1": lambda _: FourierL1(),
    "gradient": lambda _: Gradient(),
    "edge": lambda _: Edge(),
    "total_variation": lambda _: TotalVariation(),
    "colour": lambda _: ColourConsistency(),
    "lr_consistency": lambda _: LRConsistency(),
    "ldl": lambda _: LDL(),
    "vgg16": lambda folder: PerceptualLoss(
        net="vgg16", layers={"relu1_2": 1.0, "relu2_2": 1.0}, weights_dir=folder
    ),
    "contextual": lambda folder: Contextual(
        net="vgg16", layers={"relu2_2": 1.0}, weights_dir=folder
    ),
    "dists": lambda folder: DISTSLoss(weights_dir=folder),
    "lpips": lambda folder: LPIPSLoss(net="vgg", weights_dir=folder),
}
# Their value for equal images, where it is not 0; total variation does not look at the target.
AT_THE_TARGET = {"charbonnier": (1e-3, 1e-6), "edge": (1e-3, 1e-6), "contextual": (0.02, 0.02)}


@pytest.fixture(params=TERMS)
def name(request):
    return request.param


@pytest.fixture
def term(name, vgg16_folder):
    return TERMS[name](vgg16_folder)


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


def test_no_term_of_conf_is_left_out(vgg16_folder):
    configured = {OmegaConf.load(p)["_target_"] for p in (CONF_DIR / "term").glob("*.yaml")}
    here = {type(make(vgg16_folder)).__name__ for make in TERMS.values()}
    here.add("Stage1")  # it does not look at sr; tests/phases/test_stage_one.py
    assert {f"srlit.losses.{name}" for name in here} == configured


def test_the_target_has_no_loss_and_a_finite_gradient(name, term, hr):
    sr = hr.clone().requires_grad_()
    value = value_of(term, sr, hr)
    value.backward()
    if name != "total_variation":
        expected, near = AT_THE_TARGET.get(name, (0, 1e-6))
        assert float(value.detach()) == pytest.approx(expected, abs=near)
    assert sr.grad.isfinite().all()


def test_what_differs_has_a_loss_and_every_image_a_gradient(name, term, sr, hr):
    sr = sr.requires_grad_()
    value = value_of(term, sr, hr)
    value.backward()
    assert value.shape == ()
    assert value > value_of(term, hr, hr) + 1e-6 or name == "total_variation"
    assert sr.grad.isfinite().all()
    assert (sr.grad.flatten(1).abs().sum(1) > 0).all()


def test_a_step_down_the_gradient_lowers_the_loss(term, sr, hr):
    sr = sr.requires_grad_()
    before = value_of(term, sr, hr)
    before.backward()
    step = 1e-2 * before.detach() / sr.grad.square().sum()
    assert value_of(term, (sr - step * sr.grad).detach(), hr) < before


def test_a_batch_is_the_mean_of_its_images(term, sr, hr):
    alone = [value_of(term, a[None], b[None]) for a, b in zip(sr, hr, strict=True)]
    torch.testing.assert_close(value_of(term, sr, hr), torch.stack(alone).mean())


def test_a_training_in_half_precision_computes_it_in_full(term, sr, hr):
    table = CompositeLoss(weights={"it": 1.0}, terms={"it": term})
    beside = {"lr": shrink(hr, (24, 20)), "averaged": hr}
    plain = table(sr, hr, beside=beside)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(table(sr, hr, beside=beside).total, plain.total)
    assert plain.total.dtype == torch.float32


def test_no_term_changes_what_it_is_given(term, sr, hr):
    before = sr.clone(), hr.clone()
    value_of(term, sr, hr)
    assert torch.equal(sr, before[0])
    assert torch.equal(hr, before[1])
