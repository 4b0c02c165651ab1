import pytest
import torch
from safetensors.torch import load_file, save_file

from srlit.losses import lpips_loss, perceptual_loss
from srlit.losses.lpips_loss import LPIPSLoss
from srlit.losses.perceptual_loss import PerceptualLoss
from srlit.perceptual.backbones import load_backbone
from srlit.perceptual.lpips import load_lpips


@pytest.mark.parametrize("distance", ["l1", "l2"])
def test_the_sum_over_layers_by_hand(vgg16_folder, photo, distance):
    hr = photo[..., :64, :64].float() / 255
    sr = hr * 0.8 + 0.1
    layers = {"relu2_2": 0.5, "conv3_3": 2.0}
    loss = PerceptualLoss(net="vgg16", layers=layers, distance=distance, weights_dir=vgg16_folder)
    backbone = load_backbone("vgg16", vgg16_folder)
    found, target = backbone(sr, layers), backbone(hr, layers)
    power = 1 if distance == "l1" else 2
    expected = sum(
        weight
        * torch.dist(found[name], target[name], power) ** power
        / target[name].norm(power) ** power
        for name, weight in layers.items()
    )
    torch.testing.assert_close(loss(sr, hr), expected, rtol=1e-4, atol=0)


def test_scaled_features_give_the_same_loss(vgg16_folder, photo, tmp_path):
    """Releases of a network differ in scale; the weights of the loss shall not."""
    hr = photo[..., :48, :48].float() / 255
    sr = hr.flip(-1)
    state = load_file(f"{vgg16_folder}/vgg16_features.safetensors")
    scaled = {k: v * (50 if k.startswith("features.0.") else 1) for k, v in state.items()}
    save_file(scaled, tmp_path / "vgg16_features.safetensors")
    values = [
        PerceptualLoss(net="vgg16", layers={"relu1_1": 1.0}, weights_dir=str(folder))(sr, hr)
        for folder in (vgg16_folder, tmp_path)
    ]
    torch.testing.assert_close(*values, rtol=1e-4, atol=0)


def test_mistakes_are_named(vgg16_folder):
    with pytest.raises(ValueError, match=r"relu9_9: vgg16 has conv1_1"):
        PerceptualLoss(net="vgg16", layers={"relu9_9": 1}, weights_dir=vgg16_folder)


@pytest.fixture
def gpu_like(monkeypatch):
    """Features in bfloat16, as on a GPU."""

    def bfloat16(device):
        return torch.autocast(device.type, torch.bfloat16)

    for module in (perceptual_loss, lpips_loss):
        monkeypatch.setattr(module, "feature_precision", bfloat16)


def gradient_of(loss, sr, hr):
    sr = sr.clone().requires_grad_()
    value = loss(sr, hr)
    value.backward()
    return value.detach(), sr.grad


def losses(folder, shared):
    layers = {"relu2_2": 1.0, "relu3_3": 1.0}
    perceptual = PerceptualLoss(net="vgg16", layers=layers, weights_dir=str(folder))
    return perceptual, LPIPSLoss(net="squeeze", weights_dir=str(shared))


def test_features_in_bfloat16_give_nearly_the_same(vgg16_folder, shared_weights, photo, request):
    hr = photo[..., 40:104, 100:164].float() / 255
    sr = hr + 0.05 * torch.randn(hr.shape, generator=torch.Generator().manual_seed(0))
    exact = [gradient_of(loss, sr, hr) for loss in losses(vgg16_folder, shared_weights)]
    request.getfixturevalue("gpu_like")
    rounded = [gradient_of(loss, sr, hr) for loss in losses(vgg16_folder, shared_weights)]
    for (value, gradient), (near, rough) in zip(exact, rounded, strict=True):
        assert value.dtype == near.dtype == torch.float32
        assert 0 < abs(float(near / value) - 1) < 0.02
        assert torch.cosine_similarity(gradient.flatten(), rough.flatten(), 0) > 0.99


def test_only_convolutions_are_in_bfloat16(gpu_like, vgg16_folder, photo, monkeypatch):
    loss = PerceptualLoss(net="vgg16", layers={"relu2_2": 1.0}, weights_dir=vgg16_folder)
    backbone = load_backbone("vgg16", vgg16_folder)
    kinds = []
    hook = backbone.features[5].register_forward_hook(lambda *call: kinds.append(call[2].dtype))
    compare = perceptual_loss.relative_distance

    def compared(sr, hr, distance):
        kinds.extend([sr.dtype, hr.dtype])
        return compare(sr, hr, distance)

    monkeypatch.setattr(perceptual_loss, "relative_distance", compared)
    image = photo[..., :32, :32].float() / 255
    assert loss(image, image) == 0
    hook.remove()
    assert kinds == [torch.bfloat16] * 2 + [torch.float32] * 2
    assert all(p.dtype == torch.float32 for p in backbone.parameters())  # one instance for all


def test_the_metric_stays_in_float32_beside_such_a_loss(gpu_like, shared_weights, photo):
    hr = photo[..., :64, :64].float() / 255
    sr = hr.flip(-1)
    distance = load_lpips("squeeze", str(shared_weights))
    before = distance(sr, hr)
    LPIPSLoss(net="squeeze", weights_dir=str(shared_weights))(sr, hr)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(distance(sr, hr), before)


def test_features_lie_channels_last(vgg16_folder):
    backbone = load_backbone("vgg16", vgg16_folder)
    found = backbone(torch.rand(1, 3, 32, 32), ["relu1_1", "relu3_3"])
    for x in (*found.values(), backbone.features[2].weight):
        assert x.is_contiguous(memory_format=torch.channels_last)


def test_lpips_of_a_photo_with_dead_features_has_a_finite_gradient(shared_weights):
    """Where all features are 0 the lpips package's root has no slope."""
    distance = load_lpips("squeeze", str(shared_weights))
    heads = zip(distance.layers, distance.heads, strict=True)
    dead = {name: torch.zeros(1, head.model[-1].in_channels, 2, 2) for name, head in heads}
    sr = {name: x.requires_grad_() for name, x in dead.items()}
    hr = {layer: torch.rand_like(x) for layer, x in sr.items()}
    distance.between(sr, hr).sum().backward()
    assert all(x.grad.isfinite().all() for x in sr.values())
