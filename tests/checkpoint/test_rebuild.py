"""What a stored configuration may name."""

import sys

import pytest

from srlit.checkpoint import CheckpointError
from srlit.checkpoint.rebuild import rebuild
from srlit.models.edsr import EDSR

PACKAGES = ("srlit.models", "srlit.data")
EDSR_NODE = {"_target_": "srlit.models.edsr.EDSR", "scale": 2, "width": 8}


def test_containers_and_arguments_are_kept():
    built = rebuild({"a": [EDSR_NODE, 1], "b": None}, "file", PACKAGES)
    assert isinstance(built["a"][0], EDSR)
    assert (built["a"][0].scale, built["a"][1], built["b"]) == (2, 1, None)


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "builtins.eval",
        "antigravity.fly",
        "torch.nn.Linear",
        "srlit.config.build",
        "srlit.data.photo.read_photo",
        "srlit.models.edsr.Tensor",
        "srlit.models.edsr.nn.modules.module.os.system",
        "srlit.models.nothing.Net",
        "srlit.modelsmine.Net",
        "EDSR",
        "",
        None,
        7,
        ["srlit.models.edsr.EDSR"],
    ],
)
def test_no_other_class_is_imported_or_built(target):
    with pytest.raises(CheckpointError, match="some file"):
        rebuild({"_target_": target, "command": "touch x"}, "some file", PACKAGES)
    assert "antigravity" not in sys.modules


def test_arguments_that_do_not_fit_are_named():
    with pytest.raises(CheckpointError, match=r"some file: .*widht"):
        rebuild(EDSR_NODE | {"widht": 3}, "some file", PACKAGES)


def test_a_users_module_is_imported_only_when_it_is_trusted(tmp_path, monkeypatch):
    (tmp_path / "my_networks.py").write_text("class Net:\n    def __init__(self, width): pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    node = {"_target_": "my_networks.Net", "width": 3}
    for trust in ([], ["my"], ["networks", "my_networks.Net"]):
        with pytest.raises(CheckpointError, match=r"trust=\[my_networks\]"):
            rebuild(node, "file", PACKAGES, trust)
    assert "my_networks" not in sys.modules
    assert type(rebuild(node, "file", PACKAGES, ["my_networks"])).__name__ == "Net"
    monkeypatch.delitem(sys.modules, "my_networks")
