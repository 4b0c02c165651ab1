"""Checkpoints as files: what is written is read back to the bit, and no damage goes unseen."""

import hashlib
import itertools
import json
import math
import random

import pytest
import torch
from safetensors.torch import load_file

from srlit.checkpoint import CheckpointError, file_format, load_checkpoint, load_weights

DTYPES = (
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.bool, torch.complex64),
    *(torch.uint8, torch.uint16, torch.uint32, torch.uint64),
)


def checkpoint(**more):
    generator = torch.Generator().manual_seed(0)
    return {
        "iteration": 3,
        "card": {"model": {"_target_": "srlit.models.edsr.EDSR"}},
        "state_dict": {"generator.a": torch.randn(2000, generator=generator)},
    } | more


def stored(path, value):
    """What is read back of a value that is stored."""
    file_format.save(checkpoint(value=value), path)
    return load_checkpoint(path)["value"]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype(tmp_path, dtype):
    written = torch.tensor([0, 1, 1]).to(dtype)
    read = stored(tmp_path / "c.safetensors", written)
    assert read.dtype == dtype
    assert read.view(torch.uint8).tolist() == written.view(torch.uint8).tolist()


def test_every_layout_and_shared_memory(tmp_path):
    shared = torch.arange(6.0)
    views = {
        "whole": shared,
        "same": shared,
        "part": shared[2:4],
        "transposed": shared.view(2, 3).T,
        "strided": shared[::2],
        "repeated": torch.ones(1).expand(3),
        "empty": torch.zeros(0, 3),
        "empty too": torch.zeros(0),
        "scalar": torch.tensor(3),
        "channels_last": torch.rand(2, 3, 4, 4).to(memory_format=torch.channels_last),
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "nan": torch.tensor([math.nan, -0.0, math.inf]),
    }
    read = stored(tmp_path / "c.safetensors", views)
    assert read.keys() == views.keys()
    for name, view in views.items():
        assert read[name].shape == view.shape, name
        assert torch.equal(read[name].nan_to_num(7), view.nan_to_num(7)), name
    assert read["channels_last"].stride() == views["channels_last"].stride()
    read["whole"] += 1  # no two of them share memory any more
    assert torch.equal(read["same"], shared)


@pytest.mark.parametrize(
    "value",
    [
        [2**63, -(2**63), 1e300, 0.1, True, None, "\x1b \u00fc \U0001f600"],
        {0: {"step": 1}, 1: [], "1": {}, None: 2, 0.5: 3},
        {"$tensor": "state_dict/generator.a"},
        {"$items": [[1, 2]], "more": 1},
        {"a/b": 1, "a": {"b": 2}, "srlit_sha256": "0", "srlit": "{}"},
    ],
)
def test_plain_values_keep_their_types_and_keys(tmp_path, value):
    assert repr(stored(tmp_path / "c.safetensors", value)) == repr(value)


def test_values_that_change(tmp_path):
    """Tuples become lists, as in JSON; entries of equal names stay apart."""
    assert stored(tmp_path / "c.safetensors", {"betas": (0.9, torch.Size([1]))}) == {
        "betas": [0.9, [1]]
    }
    assert math.isnan(stored(tmp_path / "c.safetensors", math.nan))
    tree = stored(tmp_path / "c.safetensors", {"a/b": torch.zeros(1), "a": {"b": torch.ones(1)}})
    assert (tree["a/b"].item(), tree["a"]["b"].item()) == (0, 1)


@pytest.mark.parametrize("value", [torch.nn.Linear(1, 1), b"x", {1}, {(1, 2): 3}, torch.float32])
def test_more_than_plain_data_is_never_written(tmp_path, value):
    with pytest.raises(TypeError, match=r"card/model/1 holds a"):
        file_format.save(checkpoint(card={"model": [1, value]}), tmp_path / "c.safetensors")
    assert not list(tmp_path.iterdir())


def test_others_can_read_the_tensors(tmp_path):
    written = checkpoint()
    file_format.save(written, tmp_path / "c.safetensors")
    read = load_file(tmp_path / "c.safetensors")
    assert torch.equal(read["state_dict/generator.a"], written["state_dict"]["generator.a"])


# -- damage -------------------------------------------------------------------------------------


def flipped(data, at, bit):
    return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


CORRUPTIONS = {
    "one bit": lambda data, at: flipped(data, at, at % 8),
    "a cut": lambda data, at: data[:at],
    "a block of zeros": lambda data, at: data[:at] + bytes(512) + data[at + 512 :],
    "a byte too many": lambda data, at: data[:at] + b"\x00" + data[at:],
    "a lost byte": lambda data, at: data[:at] + data[at + 1 :],
}


def undetected(path, whole, kind, positions):
    """Where a corruption of a file loads all the same."""
    found = []
    for at in positions:
        damaged = CORRUPTIONS[kind](whole, at)
        if damaged == whole:  # zeros over zeros
            continue
        path.write_bytes(damaged)
        for read in (load_checkpoint, load_weights):
            try:
                read(path)
                found.append((at, read.__name__))
            except CheckpointError as error:
                assert str(path) in str(error)
    return found


@pytest.mark.parametrize("name", ["iteration_0000001.safetensors", "copy.pth", "copy"])
@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_two_hundred_corruptions_are_all_detected(tmp_path, kind, name):
    path = tmp_path / name
    file_format.save(checkpoint(), path)
    whole = path.read_bytes()
    positions = random.Random(1).sample(range(len(whole)), 200)
    assert undetected(path, whole, kind, positions) == []
    path.write_bytes(whole)
    assert load_checkpoint(path)["iteration"] == 3


def test_every_bit_of_the_header_is_covered(tmp_path):
    """Names, sizes and the digest are in it; one bit decides who wrote a file."""
    path = tmp_path / "c.safetensors"
    file_format.save(checkpoint(), path)
    whole = path.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    for at, bit in itertools.product(range(header), range(8)):
        path.write_bytes(flipped(whole, at, bit))
        with pytest.raises(CheckpointError):
            load_weights(path)


def test_a_header_that_takes_too_much_memory_is_refused(tmp_path):
    path = tmp_path / "c.safetensors"
    path.write_bytes((50 << 20).to_bytes(8, "little") + b"{" + b" " * (50 << 20))
    with pytest.raises(CheckpointError, match="52428800"):
        load_weights(path)


def test_the_digest_is_that_of_the_file_with_zeros_in_its_place(tmp_path):
    """So that anybody can compute it."""
    path = tmp_path / "c.safetensors"
    file_format.save(checkpoint(), path)
    whole = path.read_bytes()
    header = json.loads(whole[8 : 8 + int.from_bytes(whole[:8], "little")])
    digest = header["__metadata__"]["srlit_sha256"]
    blank = whole.replace(digest.encode(), b"0" * 64)
    assert hashlib.sha256(blank).hexdigest() == digest
