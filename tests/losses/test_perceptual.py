import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import vgg16

from srlit.losses import LPIPSLoss, PerceptualLoss
from srlit.weights import load_backbone


@pytest.fixture(scope="module")
def vgg16_folder(tmp_path_factory):
    """No VGG16 weights are at hand: a file of the same layout with random values."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    save_file(
        {f"features.{k}": v for k, v in vgg16(weights=None).features.state_dict().items()},
        folder / "vgg16_features.safetensors",
    )
    return str(folder)


@pytest.mark.parametrize("distance", ["l1", "l2"])
def test_the_sum_over_layers_by_hand(vgg16_folder, photo, distance):
    hr = photo[..., :64, :64].float() / 255
    sr = (hr * 0.8 + 0.1).requires_grad_()
    layers = {"relu2_2": 0.5, "conv3_3": 2.0}
    loss = PerceptualLoss(net="vgg16", layers=layers, distance=distance, weights_dir=vgg16_folder)
    backbone = load_backbone("vgg16", vgg16_folder)
    found, target = backbone(sr, layers), backbone(hr, layers)
    power = 1 if distance == "l1" else 2
    expected = sum(
        weight
        * (found[name] - target[name]).abs().pow(power).mean()
        / target[name].abs().pow(power).mean()
        for name, weight in layers.items()
    )
    value = loss(sr, hr)
    torch.testing.assert_close(value, expected)
    value.backward()
    assert sr.grad.abs().sum() > 0


def test_scaled_features_give_the_same_loss(vgg16_folder, photo, tmp_path):
    """Releases of a network differ in scale; the weights of the loss shall not."""
    hr = photo[..., :48, :48].float() / 255
    sr = hr.flip(-1)
    state = vgg16(weights=None).features.state_dict()
    for factor, folder in ((1.0, "one"), (50.0, "fifty")):
        (tmp_path / folder).mkdir()
        scaled = {k: v * factor if k.startswith("0.") else v for k, v in state.items()}
        save_file(
            {f"features.{k}": v.contiguous() for k, v in scaled.items()},
            tmp_path / folder / "vgg16_features.safetensors",
        )
    values = [
        PerceptualLoss(net="vgg16", layers={"relu1_1": 1.0}, weights_dir=str(tmp_path / folder))(
            sr, hr
        )
        for folder in ("one", "fifty")
    ]
    torch.testing.assert_close(values[0], values[1], rtol=1e-4, atol=0)


def test_the_backbone_is_no_part_of_the_loss(vgg16_folder):
    loss = PerceptualLoss(net="vgg16", layers={"relu1_1": 1.0}, weights_dir=vgg16_folder)
    assert not loss.state_dict()
    assert not list(loss.parameters())


def test_lpips_as_a_loss(shared_weights, photo):
    hr = photo[..., :64, :64].float() / 255
    loss = LPIPSLoss(net="squeeze", weights_dir=str(shared_weights))
    sr = (hr + 0.1 * torch.randn_like(hr)).requires_grad_()
    value = loss(sr, hr)
    value.backward()
    assert value > 0.01
    assert sr.grad.abs().sum() > 0
    assert loss(hr, hr) == 0


def test_mistakes_are_named(vgg16_folder):
    with pytest.raises(ValueError, match="vgg16 has no layer relu9_9; it has conv1_1"):
        PerceptualLoss(net="vgg16", layers={"relu9_9": 1}, weights_dir=vgg16_folder)
    with pytest.raises(ValueError, match="distance='l3'"):
        PerceptualLoss(net="vgg16", layers={"relu1_1": 1}, distance="l3", weights_dir=vgg16_folder)
