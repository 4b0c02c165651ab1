"""DISTS against torchmetrics' network, with the same VGG16 of random values."""

import pytest
import torch
from safetensors.torch import load_file
from torchmetrics.functional.image import dists as theirs
from torchvision.models import vgg16

from srlit.losses.dists_loss import DISTSLoss
from srlit.perceptual.backbones import MissingWeightsError, forget_loaded
from srlit.perceptual.dists import dists_weights, dists_weights_file, l2_pool


@pytest.fixture
def oracle(vgg16_folder, monkeypatch):
    model = vgg16(weights=None)
    state = load_file(f"{vgg16_folder}/vgg16_features.safetensors")
    model.load_state_dict(state, strict=False)
    for module in model.features:
        if isinstance(module, torch.nn.ReLU):
            module.inplace = False
    monkeypatch.setattr(theirs, "vgg16", lambda weights: model)
    return theirs.DISTSNetwork()


@pytest.fixture
def pair(photo):
    hr = torch.cat([photo[..., :64, :48], photo[..., 100:164, 90:138]]) / 255
    noise = torch.randn(hr.shape, generator=torch.Generator().manual_seed(0))
    return hr + 0.1 * noise, hr


def test_it_is_torchmetrics_dists_and_so_is_its_gradient(oracle, pair, vgg16_folder):
    def theirs(sr, hr):
        return oracle(sr, hr, require_grad=True).mean()

    results = []
    for loss in (DISTSLoss(weights_dir=vgg16_folder), theirs):
        sr = pair[0].clone().requires_grad_()
        value = loss(sr, pair[1])
        results += [value.detach(), *torch.autograd.grad(value, sr)]
    found, ours, expected, gradient = results
    assert expected > 0.02
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(ours, gradient, rtol=1e-2, atol=1e-3 * float(gradient.abs().max()))


def test_l2_pooling_is_torchmetrics():
    x = torch.rand(2, 4, 9, 6)
    torch.testing.assert_close(l2_pool(x), theirs.L2pooling(channels=4)(x))


def test_a_flat_image_is_no_trouble(vgg16_folder):
    sr = torch.full((1, 3, 32, 32), 0.0, requires_grad=True)
    value = DISTSLoss(weights_dir=vgg16_folder)(sr, torch.full((1, 3, 32, 32), 0.5))
    value.backward()
    assert value > 0
    assert sr.grad.isfinite().all()


def test_the_learned_weights_sum_to_one_over_all_channels():
    alpha, beta = dists_weights(dists_weights_file())
    assert len(alpha) == len(beta) == 3 + 64 + 128 + 256 + 512 + 512
    assert float(alpha.sum() + beta.sum()) == pytest.approx(1, abs=1e-5)
    assert min(alpha.min(), beta.min()) >= 0


def test_without_the_learned_weights_it_does_not_pass_as_dists(tmp_path, monkeypatch, vgg16_folder):
    forget_loaded()
    missing = tmp_path / "weights.pt"
    monkeypatch.setattr("srlit.perceptual.dists.dists_weights_file", lambda: missing)
    with pytest.raises(MissingWeightsError, match=r"weights\.pt"):
        DISTSLoss(weights_dir=vgg16_folder, allow_untrained=True)
