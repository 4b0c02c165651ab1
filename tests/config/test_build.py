"""What files name is built only where srlit or the user vouches for it."""

import pytest
import torch
from omegaconf import OmegaConf

from srlit.checkpoint import CheckpointError, load_checkpoint
from srlit.config import ConfigError, build_known, load_generator


def test_a_stored_configuration_names_no_foreign_class(tmp_path):
    for target in ("os.system", "builtins.eval", "srlit.config.build", "srlit.data.audit.audit"):
        with pytest.raises(ConfigError, match="none of srlit's own classes"):
            build_known({"_target_": target, "command": "touch x"}, "file")
    with pytest.raises(ConfigError, match=r"file: .*unexpected keyword argument"):
        build_known({"_target_": "srlit.models.edsr.EDSR", "scale": 2, "widht": 3}, "file")
    built = build_known(
        {"a": [{"_target_": "srlit.models.edsr.EDSR", "scale": 2, "width": 8}]}, "file"
    )
    assert built["a"][0].scale == 2


def test_a_checkpoint_of_a_foreign_network_needs_the_users_word(tiny_run, tmp_path):
    checkpoint = load_checkpoint(tiny_run / "checkpoints" / "last.ckpt")
    stored = checkpoint["card"]["model"]
    checkpoint["card"]["model"] = stored | {"_target_": "torch.nn.Linear"}
    torch.save(checkpoint, tmp_path / "foreign.ckpt")
    with pytest.raises(ConfigError, match=r"give its configuration yourself \(model=...\)"):
        load_generator(tmp_path / "foreign.ckpt")
    generator, _ = load_generator(tmp_path / "foreign.ckpt", OmegaConf.create(stored))
    assert generator.scale == 2
    with pytest.raises(CheckpointError, match="the weights do not fit the network"):
        load_generator(tmp_path / "foreign.ckpt", OmegaConf.create(stored | {"width": 16}))
