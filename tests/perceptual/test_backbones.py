import pytest
import torch
from safetensors.torch import save_file

from srlit.perceptual.backbones import MissingWeightsError, forget_loaded, load_backbone, load_lpips


@pytest.fixture
def offline(monkeypatch):
    """No cache, no network; every call looks anew."""
    monkeypatch.setattr(
        "srlit.perceptual.backbones._from_torchvision", lambda net: (None, "no network")
    )
    monkeypatch.delenv("SRLIT_WEIGHTS", raising=False)
    forget_loaded()
    yield
    forget_loaded()


def test_one_instance_serves_all(shared_weights):
    folder = str(shared_weights)
    first = load_backbone("alexnet", folder)
    assert load_backbone("alexnet", folder) is first
    assert not any(p.requires_grad for p in first.parameters())
    assert not first.train().features.training


def test_the_instance_is_the_same_however_it_is_asked_for(shared_weights, monkeypatch):
    folder = str(shared_weights)
    monkeypatch.setenv("SRLIT_WEIGHTS", str(shared_weights / "nothing"))
    first = load_backbone("alexnet", folder)
    assert load_backbone("alexnet", folder, allow_untrained=False) is first
    assert load_backbone("alexnet", directory=folder, allow_untrained=True) is first
    assert load_lpips("alex", folder, allow_untrained=True).backbone is first
    assert load_lpips("alex", folder) is load_lpips("alex", folder, allow_untrained=True)


def test_random_features_never_pass_as_trained_ones_later(offline, tmp_path):
    assert not load_backbone("alexnet", str(tmp_path), allow_untrained=True).pretrained
    with pytest.raises(MissingWeightsError):
        load_backbone("alexnet", str(tmp_path))


def test_missing_weights_name_all_three_places(offline, tmp_path):
    with pytest.raises(MissingWeightsError) as caught:
        load_backbone("alexnet", str(tmp_path))
    message = str(caught.value)
    assert "alexnet_features.safetensors does not exist" in message
    for place in ("weights.dir", "SRLIT_WEIGHTS", "torchvision"):
        assert place in message


def test_the_environment_is_looked_at(offline, shared_weights, monkeypatch):
    monkeypatch.setenv("SRLIT_WEIGHTS", str(shared_weights))
    assert load_backbone("squeezenet1_1").pretrained


def test_another_networks_file_is_refused(offline, tmp_path):
    save_file({"features.0.weight": torch.zeros(1)}, tmp_path / "alexnet_features.safetensors")
    for allow in (False, True):
        with pytest.raises(MissingWeightsError, match="is not torchvision's alexnet.features"):
            load_backbone("alexnet", str(tmp_path), allow_untrained=allow)


def test_untrained_features_are_repeatable_and_leave_the_global_state_alone(offline):
    state = torch.get_rng_state()
    first = load_backbone("squeezenet1_1", allow_untrained=True)
    assert torch.equal(torch.get_rng_state(), state)
    assert not first.pretrained
    forget_loaded()
    again = load_backbone("squeezenet1_1", allow_untrained=True)
    assert torch.equal(first.features[0].weight, again.features[0].weight)


@pytest.mark.parametrize("net", ["alexnet", "squeezenet1_1", "vgg16", "vgg19"])
def test_layers_are_where_their_names_say(offline, net):
    backbone = load_backbone(net, allow_untrained=True)
    x = torch.rand(1, 3, 64, 64)
    found = backbone(x, backbone.layers)
    assert list(found) == list(backbone.layers)
    y = (x - backbone.mean) / backbone.std
    for index, module in enumerate(backbone.features):
        y = module(y)
        name = {i: n for n, i in backbone.layers.items()}.get(index)
        if name is not None:
            torch.testing.assert_close(found[name], y)


def test_unknown_networks_are_named():
    with pytest.raises(ValueError, match="'resnet50'.*alexnet"):
        load_backbone("resnet50")
    with pytest.raises(ValueError, match="'resnet'.*alex"):
        load_lpips("resnet")
