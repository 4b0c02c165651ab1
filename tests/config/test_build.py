"""Networks from files, as the configuration asks for them."""

import pytest
from omegaconf import OmegaConf

from srlit.checkpoint import CheckpointError
from srlit.config.build import load_trained, rebuild_stored
from tests.checkpoint.samples import MODEL, save

FOREIGN = {"model": {"_target_": "torch.nn.Linear", "width": 8}, "name": "foreign"}


def test_the_network_may_be_named_in_place_of_the_cards(tmp_path):
    path = save(tmp_path / "foreign.safetensors", card=FOREIGN)
    with pytest.raises(CheckpointError, match=r"foreign\.safetensors: .*torch\.nn\.Linear"):
        load_trained(path, OmegaConf.create({"model": None}))
    generator, card = load_trained(path, OmegaConf.create({"model": MODEL}))
    assert (generator.scale, card["name"]) == (2, "foreign")
    with pytest.raises(CheckpointError, match=r"stem\.weight \(16, 3, 3, 3\)"):
        load_trained(path, OmegaConf.create({"model": MODEL | {"width": 16}}))


@pytest.mark.parametrize("trust", ["torch", ["torch"]])
def test_a_trusted_module_may_be_named_with_and_without_brackets(trust):
    cfg = OmegaConf.create({"trust": trust})
    node = {"_target_": "torch.nn.Identity"}
    assert type(rebuild_stored(node, "config.yaml", cfg)).__name__ == "Identity"
    with pytest.raises(CheckpointError, match=r"trust=\[tor\]"):
        rebuild_stored({"_target_": "tor.Net"}, "config.yaml", cfg)
