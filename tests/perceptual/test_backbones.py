import hashlib
import io
import subprocess

import pytest
import torch
import torchvision
from safetensors.torch import load_file, save_file

from srlit.perceptual import backbones
from srlit.perceptual.backbones import NETS, MissingWeightsError, forget_loaded, load_backbone
from srlit.perceptual.lpips import load_lpips
from srlit.prepare import prepare_weights
from tests.data.server import serve
from tests.helpers import compose_config, no_network, run

NET = "squeezenet1_1"


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """Every test looks up the weights again."""
    monkeypatch.delenv("SRLIT_WEIGHTS", raising=False)
    forget_loaded()
    yield
    forget_loaded()


@pytest.fixture
def offline(monkeypatch):
    monkeypatch.setattr(backbones, "torchvision_state", no_network)


# -- one instance -------------------------------------------------------------------------------


def test_one_frozen_instance_serves_all(shared_weights, monkeypatch):
    folder = str(shared_weights)
    monkeypatch.setenv("SRLIT_WEIGHTS", str(shared_weights / "nothing"))
    first = load_backbone("alexnet", folder)
    assert load_backbone("alexnet", directory=folder, allow_untrained=True) is first
    assert load_lpips("alex", folder, allow_untrained=True).backbone is first
    assert load_lpips("alex", folder) is load_lpips("alex", folder, allow_untrained=True)
    assert not any(p.requires_grad for p in first.parameters())
    assert not first.train().features.training


def test_random_features_never_pass_as_pretrained_ones_later(offline, tmp_path):
    assert not load_backbone("alexnet", str(tmp_path), allow_untrained=True).pretrained
    with pytest.raises(MissingWeightsError):
        load_backbone("alexnet", str(tmp_path))


def test_random_features_are_repeatable_and_leave_the_global_state_alone(offline):
    state = torch.get_rng_state()
    first = load_backbone(NET, allow_untrained=True)
    assert torch.equal(torch.get_rng_state(), state)
    forget_loaded()
    again = load_backbone(NET, allow_untrained=True)
    assert again is not first
    assert torch.equal(first.features[0].weight, again.features[0].weight)


@pytest.mark.parametrize("net", NETS)
def test_layers_are_where_their_names_say(offline, net):
    backbone = load_backbone(net, allow_untrained=True)
    x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    found = backbone(x, backbone.layers)
    assert list(found) == list(backbone.layers)
    names = {index: name for name, index in backbone.layers.items()}
    y = (x - backbone.mean) / backbone.std
    for index, module in enumerate(backbone.features):
        y = module(y)
        if index in names:
            torch.testing.assert_close(found[names[index]], y)


# -- the places ---------------------------------------------------------------------------------


def test_missing_weights_name_all_three_places(offline, tmp_path):
    with pytest.raises(MissingWeightsError) as caught:
        load_backbone("alexnet", str(tmp_path))
    for place in (str(tmp_path / "alexnet_features.safetensors"), "SRLIT_WEIGHTS", "torchvision"):
        assert place in str(caught.value)


def test_the_folder_in_the_environment(offline, shared_weights, tmp_path, monkeypatch):
    monkeypatch.setenv("SRLIT_WEIGHTS", str(shared_weights))
    assert load_backbone(NET, str(tmp_path)).pretrained


@pytest.mark.parametrize("allow", [False, True])
@pytest.mark.parametrize("kind", ["another network", "no safetensors", "damaged"])
def test_a_wrong_file_is_an_error_even_with_allow_untrained(offline, tmp_path, kind, allow):
    file = tmp_path / "alexnet_features.safetensors"
    save_file({"features.0.weight": torch.zeros(1)}, file)
    if kind == "no safetensors":
        file.write_bytes(b"<html>not found</html>")
    if kind == "damaged":
        backbones.digest_file(file).write_text(f"{'0' * 64}  {file.name}\n")
    with pytest.raises(MissingWeightsError, match=str(file)):
        load_backbone("alexnet", str(tmp_path), allow_untrained=allow)


@pytest.mark.parametrize(("load", "name"), [(load_backbone, "resnet50"), (load_lpips, "resnet")])
def test_unknown_networks_are_named(load, name):
    with pytest.raises(ValueError, match=f"'{name}'.*alex"):
        load(name)


# -- torchvision's downloads, and `srlit prepare weights` ---------------------------------------


@pytest.fixture
def classifier():
    torch.manual_seed(0)
    return torchvision.models.squeezenet1_1(weights=None).state_dict()


@pytest.fixture
def site(classifier, monkeypatch, tmp_path):
    """A server in the place of torchvision's, and an empty cache."""
    file = io.BytesIO()
    torch.save(classifier, file)
    body = file.getvalue()
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    with serve(body) as (site, address):
        digest = hashlib.sha256(body).hexdigest()
        url = f"{address}/net-{digest[:8]}.pth"
        known = torchvision.models.SqueezeNet1_1_Weights.IMAGENET1K_V1
        monkeypatch.setattr(known.value, "url", url)
        yield site


def fetch(folder, *overrides):
    cfg = compose_config("prepare_weights", f"nets=[{NET}]", f"weights.dir={folder}", *overrides)
    return prepare_weights(cfg)


def test_torchvisions_download_is_loaded(site, classifier):
    backbone = load_backbone(NET)
    assert backbone.pretrained
    assert torch.equal(backbone.features[0].weight, classifier["features.0.weight"])


def test_another_file_than_torchvisions_is_refused(site, tmp_path):
    site.body = site.body[:-1] + b"x"
    with pytest.raises(MissingWeightsError, match=r"net-.*\.pth"):
        load_backbone(NET)
    with pytest.raises(OSError, match=r"net-.*\.pth"):
        fetch(tmp_path)
    assert not list(tmp_path.glob("*.safetensors*"))


def test_features_are_kept_with_their_digest_and_read_offline(site, classifier, tmp_path):
    [file] = fetch(tmp_path / "folder")
    state = {k: v for k, v in classifier.items() if k.startswith("features.")}
    kept = load_file(file)
    assert kept.keys() == state.keys()
    assert all(torch.equal(kept[name], value) for name, value in state.items())
    check = ["sha256sum", "--check", f"{file.name}.sha256"]
    subprocess.run(check, cwd=tmp_path / "folder", check=True)
    assert fetch(tmp_path / "folder") == [file]
    assert len(site.requests) == 1
    assert load_backbone(NET, str(tmp_path / "folder")).pretrained


def test_the_command_says_what_it_verified(shared_weights, tmp_path):
    arguments = [f"nets=[{NET}]", f"weights.dir={shared_weights}", f"paths.runs={tmp_path}"]
    ended = run("srlit", "prepare", "weights", *arguments, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert f"{NET}_features.safetensors: verified" in ended.stdout + ended.stderr
