"""Damage is found before a checkpoint is used, wherever it lies."""

import json
import random

import pytest
import torch

from srlit.checkpoint import CheckpointError, load_checkpoint
from srlit.checkpoint.io import AtomicCheckpointIO
from srlit.checkpoint.manifest import MANIFEST, damage, enter, read_manifest, settle
from srlit.checkpoint.runs import checkpoint_name, newest_intact


def checkpoint(iteration):
    torch.manual_seed(iteration)
    return {
        "iteration": iteration,
        "card": {"model": {"_target_": "srlit.models.edsr.EDSR"}},
        "state_dict": {"generator.a": torch.randn(2000)},
    }


def save(folder, *iterations):
    paths = [folder / checkpoint_name(i) for i in iterations]
    for i, path in zip(iterations, paths, strict=True):
        AtomicCheckpointIO().save_checkpoint(checkpoint(i), path)
    return paths


CORRUPTIONS = {
    "one bit": lambda data, at, draws: (
        data[:at] + bytes([data[at] ^ 1 << draws.randrange(8)]) + data[at + 1 :]
    ),
    "a cut": lambda data, at, draws: data[:at],
    "a block of zeros": lambda data, at, draws: data[:at] + bytes(512) + data[at + 512 :],
    "a byte too many": lambda data, at, draws: data[:at] + b"\x00" + data[at:],
    "a lost byte": lambda data, at, draws: data[:at] + data[at + 1 :],
}


def test_five_hundred_corruptions_are_all_detected(tmp_path):
    older, newest = save(tmp_path, 1, 2)
    whole = newest.read_bytes()
    draws = random.Random(0)
    undetected = []
    for number in range(500):
        name = list(CORRUPTIONS)[number % len(CORRUPTIONS)]
        damaged = CORRUPTIONS[name](whole, draws.randrange(len(whole)), draws)
        if damaged == whole:  # zeros over zeros
            continue
        newest.write_bytes(damaged)
        try:
            load_checkpoint(newest)
            undetected.append((number, name))
        except CheckpointError as error:
            assert str(newest) in str(error)
        if number < 20:
            assert newest_intact(tmp_path) == older
    assert undetected == []
    newest.write_bytes(whole)
    assert load_checkpoint(newest)["iteration"] == 2
    assert newest_intact(tmp_path) == newest


def test_the_newest_intact_one_is_taken_and_the_damaged_ones_are_named(tmp_path, caplog):
    first, second, third = save(tmp_path, 1, 2, 10)
    assert newest_intact(tmp_path) == third
    third.write_bytes(third.read_bytes()[:-1])
    second.write_bytes(b"")
    assert newest_intact(tmp_path) == first
    assert str(third) in caplog.text
    assert str(second) in caplog.text
    assert f"going on from {first} instead" in caplog.text
    first.write_bytes(b"x")
    with pytest.raises(CheckpointError, match="no checkpoint in .* is intact"):
        newest_intact(tmp_path)


def test_a_folder_without_a_run_has_none(tmp_path):
    assert newest_intact(tmp_path / "missing") is None


def test_whenever_a_kill_comes_the_file_that_is_there_is_a_known_one(tmp_path):
    [path] = save(tmp_path, 1)
    folder = path.parent
    coming = folder / "coming"
    coming.write_bytes(b"what will replace it")
    enter(folder, path.name, coming)  # killed here: the old file is still there
    assert damage(path) is None
    coming.replace(path)  # killed here: the new one is
    assert damage(path) is None
    settle(folder)
    assert len(read_manifest(folder)) == 1
    assert damage(path) is None


def test_removed_checkpoints_are_forgotten(tmp_path):
    first, second = save(tmp_path, 1, 2)
    AtomicCheckpointIO().remove_checkpoint(first)
    assert [entry["name"] for entry in read_manifest(first.parent).values()] == [second.name]


def test_a_file_from_elsewhere_and_a_broken_manifest_are_told_apart(tmp_path):
    [path] = save(tmp_path / "a", 1)
    [other] = save(tmp_path / "b", 2)
    moved = path.parent / "foreign.ckpt"
    moved.write_bytes(other.read_bytes())
    with pytest.raises(CheckpointError, match="came from elsewhere"):
        load_checkpoint(moved)
    alone = tmp_path / "alone.ckpt"
    alone.write_bytes(other.read_bytes())
    assert load_checkpoint(alone)["iteration"] == 2
    (path.parent / MANIFEST).write_text("{")
    with pytest.raises(CheckpointError, match=r"manifest.json beside it cannot be read"):
        load_checkpoint(path)
    (path.parent / MANIFEST).write_text(json.dumps({"sha256": []}))
    with pytest.raises(CheckpointError, match=r"manifest.json beside it cannot be read"):
        load_checkpoint(path)


def test_a_name_written_again_and_killed_before_the_rename_keeps_its_digest(tmp_path):
    [path] = save(tmp_path, 1)
    replacement = tmp_path / "replacement"
    replacement.write_bytes(b"what never got the name")
    enter(path.parent, path.name, replacement)
    settle(path.parent)
    assert damage(path) is None
    assert len(read_manifest(path.parent)) == 1
