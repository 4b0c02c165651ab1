import pytest
from omegaconf import OmegaConf

from srlit.config import ConfigError, build, check_config
from tests.helpers import compose_config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": {"_target_": "srlit.models.UNett"}}, "model._target_=srlit.models.UNett"),
        ({"phase": {"optimizer": {"beta": 1}}}, "unknown key phase.optimizer.beta; did you mean"),
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
