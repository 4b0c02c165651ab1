import pytest
import torch
from omegaconf import OmegaConf

from srlit.checkpoint import CheckpointError
from srlit.config import ConfigError, build, check_config
from srlit.models.load import load_generator
from srlit.models.rrdb import RRDBNet
from tests.helpers import compose_config


@pytest.mark.parametrize("name", ["train", "evaluate"])
def test_the_shipped_configuration_passes_its_own_check(name):
    check_config(compose_config(name), name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": {"_target_": "srlit.models.UNett"}}, "model._target_=srlit.models.UNett"),
        ({"phase": {"optimizer": {"beta": 1}}}, "unknown key phase.optimizer.beta; did you mean"),
        (
            {"degradation": {"stages": {"shrink": {"kernel": 3}}}},
            "unknown key degradation.stages.shrink.kernel; did you mean",
        ),
    ],
)
def test_misspelt_keys_are_found_wherever_they_are(change, message):
    cfg = compose_config("train")
    OmegaConf.set_struct(cfg, value=False)
    with pytest.raises(ConfigError, match=message.replace("?", r"\?")):
        check_config(OmegaConf.merge(cfg, change), "train")


def test_given_arguments_are_neither_copied_nor_instantiated():
    node = OmegaConf.create({"_target_": "builtins.dict"})
    marker = {"_target_": "builtins.list"}
    built = build(node, marker=marker)
    assert built["marker"] is marker


def test_foreign_weights_that_lack_some_are_not_blamed_on_a_card(tmp_path):
    weights = RRDBNet(scale=2, num_feat=8, num_block=1, num_grow_ch=4).state_dict()
    del weights["conv_last.bias"]
    torch.save(weights, tmp_path / "foreign.pth")
    with pytest.raises(CheckpointError, match="came 41 tensors"):
        load_generator(tmp_path / "foreign.pth")
