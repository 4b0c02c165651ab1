"""DISTS against torchmetrics' network, with the same VGG16 of random values."""

import pytest
import torch
from safetensors.torch import load_file
from torchmetrics.functional.image import dists as theirs
from torchvision.models import vgg16

from srlit.losses.dists_loss import DISTSLoss
from srlit.perceptual.backbones import MissingWeightsError, forget_loaded, load_backbone
from srlit.perceptual.dists import dists_weights, dists_weights_file, l2_pool
from tests.helpers import no_network


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
    gradients = []
    for loss in (
        DISTSLoss(weights_dir=vgg16_folder),
        lambda sr, hr: oracle(sr, hr, require_grad=True).mean(),
    ):
        sr = pair[0].clone().requires_grad_()
        value = loss(sr, pair[1])
        value.backward()
        gradients.append((value.detach(), sr.grad))
    (found, ours), (expected, gradient) = gradients
    assert expected > 0.02
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(ours, gradient, rtol=1e-2, atol=1e-3 * float(gradient.abs().max()))


def test_l2_pooling_is_torchmetrics():
    x = torch.rand(2, 4, 9, 6)
    torch.testing.assert_close(l2_pool(x), theirs.L2pooling(channels=4)(x))


def test_the_target_has_no_loss_and_a_finite_gradient(pair, vgg16_folder):
    sr = pair[1].clone().requires_grad_()
    value = DISTSLoss(weights_dir=vgg16_folder)(sr, pair[1])
    value.backward()
    assert float(value.detach()) == pytest.approx(0, abs=1e-5)
    assert sr.grad.isfinite().all()


def test_a_batch_is_the_mean_of_its_images(pair, vgg16_folder):
    loss = DISTSLoss(weights_dir=vgg16_folder)
    alone = [loss(a[None], b[None]) for a, b in zip(*pair, strict=True)]
    torch.testing.assert_close(loss(*pair), torch.stack(alone).mean())


def test_a_flat_image_is_no_trouble(vgg16_folder):
    sr = torch.full((1, 3, 32, 32), 0.0, requires_grad=True)
    value = DISTSLoss(weights_dir=vgg16_folder)(sr, torch.full((1, 3, 32, 32), 0.5))
    value.backward()
    assert value > 0
    assert sr.grad.isfinite().all()


def test_it_shares_the_backbone_and_no_checkpoint_holds_anything_of_it(vgg16_folder):
    loss = DISTSLoss(weights_dir=vgg16_folder)
    assert loss._shared[0].backbone is load_backbone("vgg16", vgg16_folder)
    assert not loss.state_dict()
    assert not list(loss.parameters())


def test_the_learned_weights_sum_to_one_over_all_channels():
    alpha, beta = dists_weights(dists_weights_file())
    assert len(alpha) == len(beta) == 3 + 64 + 128 + 256 + 512 + 512
    assert float(alpha.sum() + beta.sum()) == pytest.approx(1, abs=1e-5)
    assert min(alpha.min(), beta.min()) >= 0


def test_without_the_learned_weights_it_does_not_pass_as_dists(tmp_path, monkeypatch, vgg16_folder):
    forget_loaded()
    monkeypatch.setattr(
        "srlit.perceptual.dists.dists_weights_file", lambda: tmp_path / "weights.pt"
    )
    with pytest.raises(MissingWeightsError, match=r"weights\.pt"):
        DISTSLoss(weights_dir=vgg16_folder, allow_untrained=True)


def test_without_a_vgg16_it_says_where_to_get_one(tmp_path, monkeypatch):
    monkeypatch.delenv("SRLIT_WEIGHTS", raising=False)
    monkeypatch.setattr("srlit.perceptual.backbones.torchvision_state", no_network)
    with pytest.raises(MissingWeightsError, match="vgg16_features.safetensors"):
        DISTSLoss(weights_dir=str(tmp_path))
