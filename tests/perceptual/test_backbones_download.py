"""`srlit.prepare weights`: from a server of this machine to features that a loss reads offline."""

import hashlib
import io
import re
import subprocess

import pytest
import torch
import torchvision
from safetensors.torch import load_file

from srlit.config import ConfigError
from srlit.data.download import RELEASES, DownloadError
from srlit.data.download.backbones import Release
from srlit.perceptual import backbones as weights
from srlit.perceptual.backbones import NETS, MissingWeightsError, load_backbone
from srlit.prepare import prepare_weights
from tests.data.server import serve
from tests.helpers import compose_config, run

NET = "squeezenet1_1"


@pytest.fixture(scope="module")
def classifier():
    """A SqueezeNet of random values and its file."""
    torch.manual_seed(0)
    state = torchvision.models.squeezenet1_1(weights=None).state_dict()
    file = io.BytesIO()
    torch.save(state, file)
    return state, file.getvalue()


@pytest.fixture
def site(classifier, monkeypatch, tmp_path):
    """A server that has it; nothing is looked for elsewhere."""
    _, body = classifier
    monkeypatch.delenv("SRLIT_WEIGHTS", raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(weights, "_from_torchvision", lambda net: (None, "no network"))
    with serve(body) as (site, address):
        release = Release(f"{address}/net.pth", hashlib.sha256(body).hexdigest(), len(body))
        monkeypatch.setitem(RELEASES, NET, release)
        yield site


def fetch(folder, *overrides):
    cfg = compose_config("prepare_weights", f"nets=[{NET}]", f"weights.dir={folder}", *overrides)
    return prepare_weights(cfg)


def test_every_backbone_has_a_release_whose_name_holds_its_digest():
    assert set(RELEASES) == set(NETS)
    for net, release in RELEASES.items():
        assert re.fullmatch("[0-9a-f]{64}", release.sha256)
        assert release.file.endswith(f"-{release.sha256[:8]}.pth")
        known = torchvision.models.get_model_weights(net).IMAGENET1K_V1
        assert release.url == known.url
        assert release.size == pytest.approx(known.meta["_file_size"] * 2**20, rel=1e-4)


def test_a_classifier_becomes_features_that_are_read_offline(site, classifier, tmp_path):
    site.cuts.append(2_000_000)  # the connection breaks once
    [file] = fetch(tmp_path / "folder")
    state = {k: v for k, v in classifier[0].items() if k.startswith("features.")}
    kept = load_file(file)
    assert kept.keys() == state.keys()
    assert all(torch.equal(kept[name], value) for name, value in state.items())
    backbone = load_backbone(NET, str(tmp_path / "folder"))
    assert backbone.pretrained
    assert torch.equal(backbone.features[0].weight, state["features.0.weight"])


def test_only_features_and_their_digest_are_left_as_sha256sum_knows_it(site, tmp_path):
    [file] = fetch(tmp_path)
    left = {path.name for path in tmp_path.glob("[!.]*")}
    assert left == {file.name, f"{file.name}.sha256"}
    subprocess.run(["sha256sum", "--check", f"{file.name}.sha256"], cwd=tmp_path, check=True)


def test_what_torchvision_has_fetched_before_is_taken_and_stays(site, classifier, tmp_path):
    cached = tmp_path / "hub" / "checkpoints" / "net.pth"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(classifier[1])
    fetch(tmp_path / "folder")
    assert not site.requests
    assert cached.exists()
    assert load_backbone(NET, str(tmp_path / "folder")).pretrained


def test_what_is_there_is_verified_and_not_fetched_again(site, tmp_path, caplog):
    [file] = fetch(tmp_path)
    asked = len(site.requests)
    tmp_path.chmod(0o500)  # a folder that several users share may not be writable
    try:
        with caplog.at_level("INFO"):
            fetch(tmp_path)
    finally:
        tmp_path.chmod(0o700)
    assert len(site.requests) == asked
    assert "as it was written" in caplog.text
    file.with_name(f"{file.name}.sha256").unlink()
    with caplog.at_level("INFO"):
        fetch(tmp_path)
    assert "put there by hand" in caplog.text


def test_a_damaged_file_is_found_by_whoever_reads_it(site, tmp_path):
    [file] = fetch(tmp_path)
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    for read in (
        lambda: fetch(tmp_path),
        lambda: load_backbone(NET, str(tmp_path), allow_untrained=True),
    ):
        with pytest.raises(MissingWeightsError, match="its SHA-256 differs from"):
            read()


def test_a_file_that_is_no_safetensors_is_named(tmp_path):
    (tmp_path / f"{NET}_features.safetensors").write_bytes(b"<html>not found</html>")
    with pytest.raises(MissingWeightsError, match="cannot be read as safetensors"):
        load_backbone(NET, str(tmp_path))


def test_another_file_than_the_pinned_one_is_refused_and_nothing_is_left(
    site, classifier, tmp_path, monkeypatch
):
    wrong = classifier[1][:-1] + b"x"
    site.body = wrong
    with pytest.raises(DownloadError, match="sha256"):
        fetch(tmp_path)
    assert not list(tmp_path.glob("[!.]*"))
    (tmp_path / "net.pth").write_bytes(wrong)  # put there by hand, of the right size
    with pytest.raises(DownloadError, match="net.pth: sha256 .*, expected .*; remove the file"):
        fetch(tmp_path)
    assert not list(tmp_path.glob("*.safetensors"))


def test_mistakes_are_named(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match=r"nets=\['vgg11'\]: \['vgg11'\]: expected some of"):
        fetch(tmp_path, "nets=[vgg11]")
    monkeypatch.delenv("SRLIT_WEIGHTS", raising=False)
    with pytest.raises(ConfigError, match="weights.dir=null: name the folder"):
        prepare_weights(compose_config("prepare_weights"))


def test_the_command_says_what_it_verified(shared_weights, tmp_path):
    """The shared folder's files were put there by hand."""
    ended = run(
        "srlit",
        "prepare",
        "weights",
        f"nets=[{NET}]",
        f"weights.dir={shared_weights}",
        f"paths.runs={tmp_path}",
        cwd=tmp_path,
    )
    assert ended.returncode == 0, ended.stderr
    assert "squeezenet1_1_features.safetensors: put there by hand" in ended.stdout + ended.stderr


def test_help_shows_the_keys(tmp_path):
    ended = run("srlit.prepare", "weights", "--help", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "nets: [alexnet, squeezenet1_1, vgg16, vgg19]" in ended.stdout
