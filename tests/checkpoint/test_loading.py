"""Which files load as checkpoints, and what is taken from them."""

import math

import pytest
import torch

from srlit.checkpoint import CheckpointError, file_format, load_checkpoint, load_weights
from srlit.checkpoint.io import AtomicCheckpointIO
from srlit.checkpoint.loading import network_weights
from tests.checkpoint.samples import MODEL, checkpoint, save


def test_lightning_reads_what_it_wrote(tmp_path):
    path = tmp_path / "c.safetensors"
    AtomicCheckpointIO().save_checkpoint(checkpoint(), path)
    assert AtomicCheckpointIO().load_checkpoint(path)["iteration"] == 3
    AtomicCheckpointIO().remove_checkpoint(path)
    assert not path.exists()


def test_the_ema_is_preferred_over_the_raw_weights():
    raw = checkpoint(state_dict={"generator.a": torch.ones(2), "discriminator.a": torch.zeros(2)})
    assert {k: v.tolist() for k, v in network_weights(raw).items()} == {"a": [1, 1]}
    ema = raw | {"callbacks": {"EMA": {"averaged": {"a": torch.full((2,), 5.0)}}}}
    assert {k: v.tolist() for k, v in network_weights(ema).items()} == {"a": [5, 5]}


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_no_numbers_are_refused(tmp_path, value):
    spoilt = checkpoint(state_dict={"generator.a": torch.tensor([1.0, value])})
    AtomicCheckpointIO().save_checkpoint(spoilt, tmp_path / "own.safetensors")
    torch.save({"params": {"a": torch.tensor([1.0, value])}}, tmp_path / "foreign.pth")
    for name in ("own.safetensors", "foreign.pth"):
        with pytest.raises(CheckpointError, match=f"{name}: a is not finite"):
            load_weights(tmp_path / name)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\3\4", b"\x80\2N.", bytes(100)])
@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt", ".pth"])
def test_what_is_no_checkpoint_is_named(tmp_path, content, suffix):
    path = tmp_path / f"some{suffix}"
    with pytest.raises(CheckpointError, match=str(path)):
        load_checkpoint(path)
    path.write_bytes(content)
    for read in (load_checkpoint, load_weights):
        with pytest.raises(CheckpointError, match=str(path)):
            read(path)


def test_weights_of_others_are_no_checkpoint(tmp_path):
    torch.save(checkpoint(), tmp_path / "a.ckpt")  # as other trainers write theirs
    with pytest.raises(CheckpointError, match=r"a\.ckpt"):
        load_checkpoint(tmp_path / "a.ckpt")


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"card": "srlit"}, "card"),
        ({"card": {"name": "tiny"}}, r"card\.model"),
        ({"card": {"model": [MODEL]}}, r"card\.model"),
        ({"card": {"model": MODEL | {"width": torch.ones(3)}}}, r"card\.model\.width"),
        ({"iteration": "three"}, "iteration"),
        ({"iteration": -1}, "iteration"),
        ({"iteration": True}, "iteration"),
        ({"iteration": math.nan}, "iteration"),
        ({"state_dict": [1, 2]}, "state_dict"),
        ({"state_dict": {"generator.stem.weight": "x"}}, r"state_dict\.generator\.stem\.weight"),
        ({"callbacks": {"EMA": "x"}}, r"callbacks\.EMA"),
        ({"callbacks": {"EMA": {"seen": 1}}}, r"callbacks\.EMA\.averaged"),
        ({"callbacks": [1]}, "callbacks"),
        ({"optimizer_states": "x"}, "optimizer_states"),
        ({"validated": 0.5}, "validated"),
    ],
)
def test_a_section_of_the_wrong_type_is_named(tmp_path, change, key):
    path = save(tmp_path / "c.safetensors", **change)
    for read in (load_checkpoint, load_weights):
        with pytest.raises(CheckpointError, match=rf"c\.safetensors: .*{key}: "):
            read(path)


def test_a_missing_section_is_named(tmp_path):
    content = checkpoint()
    del content["iteration"]
    file_format.save(content, tmp_path / "c.safetensors")
    with pytest.raises(CheckpointError, match="iteration: "):
        load_checkpoint(tmp_path / "c.safetensors")
