"""What holds for every loss term of conf/term, found there.

A term that differs says so itself, by class attributes: `needs`, `min_size` and
`zero_at_equality`.
"""

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from srlit.config import CONF_DIR
from srlit.losses.composite import CompositeLoss, needs
from srlit.ops.resize import shrink
from srlit.perceptual import backbones
from tests.helpers import no_network


@pytest.fixture(params=sorted((CONF_DIR / "term").glob("*.yaml")), ids=lambda path: path.stem)
def term(request, vgg16_folder, monkeypatch):
    monkeypatch.setattr(backbones, "torchvision_state", no_network)  # random features
    weights = {"dir": vgg16_folder, "allow_untrained": True}
    node = {"weights": weights, "term": OmegaConf.load(request.param)}
    return instantiate(OmegaConf.create(node).term)


@pytest.fixture
def hr(term, photo):
    side = max(40, getattr(term, "min_size", 1))
    crops = [photo[..., i : i + side + 8, 3 * i : 3 * i + side] for i in (30, 50, 70)]
    return torch.cat(crops) / 255


@pytest.fixture
def sr(hr):
    noise = torch.randn(hr.shape, generator=torch.Generator().manual_seed(0))
    return hr + 0.1 * noise  # a little outside of [0, 1] too


def inputs_of(sr, hr):
    """What a phase passes: lr without noise, an EMA closer to the target, a stage 1 like sr."""
    size = (hr.shape[-2] // 2, hr.shape[-1] // 2)
    lr, stage1_output = shrink(hr, size), shrink(sr, size)
    return {"lr": lr, "ema_sr": (sr + hr).detach() / 2, "stage1_output": stage1_output}


def value_of(term, sr, hr):
    loss_inputs = inputs_of(sr, hr)
    return term(sr, hr, **{name: loss_inputs[name] for name in needs(term)})


def test_equal_images_have_no_loss_and_a_finite_gradient(term, hr):
    sr = hr.clone().requires_grad_()
    value = value_of(term, sr, hr)
    value.backward()
    if getattr(term, "zero_at_equality", True):
        assert float(value.detach()) == pytest.approx(0, abs=1e-6)
    assert sr.grad.isfinite().all()


def test_noise_raises_the_loss_and_every_image_has_a_gradient(term, sr, hr):
    sr = sr.requires_grad_()
    value = value_of(term, sr, hr)
    value.backward()
    assert value.shape == ()
    assert value > value_of(term, hr, hr) + 1e-6
    assert sr.grad.isfinite().all()
    assert (sr.grad.flatten(1).abs().sum(1) > 0).all()


def test_a_gradient_step_lowers_the_loss(term, sr, hr):
    sr = sr.requires_grad_()
    before = value_of(term, sr, hr)
    before.backward()
    step = 1e-2 * before.detach() / sr.grad.square().sum()
    assert value_of(term, (sr - step * sr.grad).detach(), hr) < before


def test_the_loss_of_a_batch_is_the_mean_over_its_images(term, sr, hr):
    kept = sr.clone(), hr.clone()
    single = [value_of(term, a[None], b[None]) for a, b in zip(sr, hr, strict=True)]
    torch.testing.assert_close(value_of(term, sr, hr), torch.stack(single).mean())
    assert torch.equal(torch.stack([sr, hr]), torch.stack(kept))  # inputs stay as they are


def test_it_is_computed_in_float32_under_autocast(term, sr, hr):
    table = CompositeLoss(weights={"it": 1.0}, terms={"it": term})
    loss_inputs = inputs_of(sr, hr)
    plain = table(sr, hr, loss_inputs=loss_inputs)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(table(sr, hr, loss_inputs=loss_inputs).total, plain.total)
    assert plain.total.dtype == torch.float32


def test_its_state_holds_no_backbone(term):
    assert not term.state_dict()
    assert not list(term.parameters())
