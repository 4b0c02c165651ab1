import json
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from srlit.checkpoint import (
    CheckpointError,
    RunRecord,
    find_previous,
    generator_weights,
    load_checkpoint,
    resolve_checkpoint,
)
from srlit.checkpoint.io import AtomicCheckpointIO
from srlit.checkpoint.messages import card_differences
from srlit.checkpoint.runs import own_folder
from srlit.utils.atomic import atomic_file, link_file, write_json


def checkpoint(**more):
    return {
        "card": {"model": {"_target_": "srlit.models.edsr.EDSR"}},
        "iteration": 3,
        "state_dict": {"generator.a": torch.ones(2), "discriminator.a": torch.zeros(2)},
        "callbacks": {},
    } | more


# -- files --------------------------------------------------------------------------------------


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    with pytest.raises(RuntimeError), atomic_file(path) as sibling:
        sibling.write_text("half")
        raise RuntimeError
    assert json.loads(path.read_text()) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_a_killed_write_leaves_the_old_file(tmp_path):
    """A process that dies in the middle of writing must not touch what is there."""
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    if (child := os.fork()) == 0:
        with atomic_file(path) as sibling:
            sibling.write_text("half")
            os.kill(os.getpid(), 9)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9
    assert json.loads(path.read_text()) == {"a": 1}


def test_a_full_disk_leaves_the_old_file(tmp_path):
    """/dev/full stands for the disk: the write fails as it does where no space is left."""
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    with pytest.raises(OSError, match="No space left"), atomic_file(path) as sibling:
        sibling.symlink_to("/dev/full")
        with sibling.open("w") as file:
            file.write("x" * 10_000)
    assert json.loads(path.read_text()) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_a_link_is_the_same_file_and_survives_its_source(tmp_path):
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_text("one")
    link_file(source, target)
    write_json(source, 2)
    assert target.read_text() == "one"


# -- loading ------------------------------------------------------------------------------------


def test_what_is_written_is_read_back_as_data(tmp_path):
    path = tmp_path / "c.ckpt"
    AtomicCheckpointIO().save_checkpoint(checkpoint(), path)
    assert load_checkpoint(path)["iteration"] == 3
    assert AtomicCheckpointIO().load_checkpoint(path)["iteration"] == 3


def test_an_object_that_could_not_be_read_back_is_never_written(tmp_path):
    with pytest.raises(TypeError, match=r"checkpoint\.card\.model\[1\] is a Linear"):
        AtomicCheckpointIO().save_checkpoint(
            checkpoint(card={"model": [1, torch.nn.Linear(1, 1)]}), tmp_path / "c.ckpt"
        )
    assert not list(tmp_path.iterdir())


class Gadget:
    """Runs code when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_code_in_a_checkpoint_is_refused_and_never_runs(tmp_path):
    witness = tmp_path / "executed"
    path = tmp_path / "evil.ckpt"
    torch.save(checkpoint(extra=Gadget(witness)), path)
    with pytest.raises(CheckpointError, match=r"evil\.ckpt: damaged, or not a checkpoint"):
        load_checkpoint(path)
    path.write_bytes(pickle.dumps(Gadget(witness)))
    with pytest.raises(CheckpointError, match=r"evil\.ckpt"):
        load_checkpoint(path)
    assert not witness.exists()


@pytest.mark.parametrize("card", [{}, "text", {"model": ["x"]}, None])
def test_a_damaged_card_is_named(tmp_path, card):
    torch.save(checkpoint(card=card), tmp_path / "c.ckpt")
    with pytest.raises(CheckpointError, match=r"c\.ckpt: not an srlit checkpoint"):
        load_checkpoint(tmp_path / "c.ckpt")


@pytest.mark.parametrize("kind", ["empty", "text", "cut", "foreign"])
def test_damaged_and_foreign_files_are_named(tmp_path, kind):
    path = tmp_path / "c.ckpt"
    torch.save(checkpoint(), path)
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("hello")
    elif kind == "cut":
        path.write_bytes(path.read_bytes()[:300])
    else:
        torch.save({"params": {}}, path)
    with pytest.raises(CheckpointError, match=r"c\.ckpt"):
        load_checkpoint(path)


def test_the_average_is_preferred_over_the_raw_weights():
    raw = generator_weights(checkpoint())
    assert set(raw) == {"a"}
    assert raw["a"].tolist() == [1, 1]
    average = {"averaged": {"a": torch.full((2,), 5.0)}}
    averaged = generator_weights(checkpoint(callbacks={"EMA": average}))
    assert averaged.keys() == {"a"}
    assert averaged["a"].tolist() == [5, 5]


def test_differences_name_the_key():
    differences = card_differences(
        {"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": 3, "d": 4}}, "model"
    )
    assert differences == [
        "model.b.c: 2 in the checkpoint, 3 now",
        "model.b.d: None in the checkpoint, 4 now",
    ]


# -- runs ---------------------------------------------------------------------------------------


def make_run(folder, label, width, status="finished", ended=1.0):
    folder.mkdir(parents=True)
    record = RunRecord(name=folder.name, label=label, model={"width": width}, command="")
    record.status, record.ended = status, ended
    record.write(folder)
    write_json(folder / "best.json", {"checkpoint": "checkpoints/x.ckpt"})
    return folder


def test_the_newest_finished_run_with_the_same_generator_is_found(tmp_path):
    make_run(tmp_path / "old", "phase1", 8, ended=1.0)
    wanted = make_run(tmp_path / "deep" / "new", "phase1", 8, ended=2.0)
    make_run(tmp_path / "wider", "phase1", 16, ended=3.0)
    make_run(tmp_path / "running", "phase1", 8, status="running", ended=4.0)
    make_run(tmp_path / "other", "phase2", 8, ended=5.0)
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "run.json").write_text("{")
    assert find_previous(tmp_path, "phase1", {"width": 8}) == wanted
    assert find_previous(tmp_path, "phase3", {"width": 8}) is None


def test_which_stages_are_trained_makes_no_other_generator(tmp_path):
    wanted = make_run(tmp_path / "run", "phase1", 8)
    assert find_previous(tmp_path, "phase1", {"width": 8, "frozen": [1]}) == wanted
    assert find_previous(tmp_path, "phase1", {"width": 4, "frozen": [1]}) is None


def test_a_run_folder_stands_for_its_selected_checkpoint(tmp_path):
    run = make_run(tmp_path / "run", "phase1", 8)
    assert resolve_checkpoint(str(run)) == run / "checkpoints" / "x.ckpt"
    with pytest.raises(CheckpointError, match="no such checkpoint and no such run folder"):
        resolve_checkpoint(str(tmp_path / "nothing"))
    (run / "best.json").unlink()
    with pytest.raises(CheckpointError, match="no checkpoint has been selected"):
        resolve_checkpoint(str(run))


@pytest.mark.parametrize(
    ("error", "status"),
    [(KeyboardInterrupt, "stopped"), (SystemExit, "stopped"), (OSError, "failed")],
)
def test_a_record_says_how_the_run_ended(tmp_path, error, status):
    record = RunRecord(name="a", label="a", model={}, command="")

    def stored():
        return json.loads((tmp_path / "run.json").read_text())

    with pytest.raises(error), record.kept(tmp_path, writes=True):
        assert stored()["status"] == "running"
        raise error
    assert stored()["status"] == status
    with record.kept(tmp_path, writes=True):
        pass
    assert stored()["status"] == "finished"
    assert stored()["ended"] >= stored()["started"]


def test_a_folder_has_one_owner_and_a_killed_one_never_blocks(tmp_path):
    child = os.fork()
    if child == 0:
        with own_folder(tmp_path):
            (tmp_path / "owned").touch()
            time.sleep(60)
    while not (tmp_path / "owned").exists():
        time.sleep(0.01)
    with pytest.raises(ValueError, match=f"is in use by process {child} on "), own_folder(tmp_path):
        pass
    os.kill(child, 9)
    os.waitpid(child, 0)
    with own_folder(tmp_path):
        pass


def test_a_killed_owners_children_do_not_hold_its_folder(tmp_path):
    """A loader's worker lives on for seconds."""
    script = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from srlit.checkpoint.runs import own_folder\n"
        "with own_folder(Path(sys.argv[1])):\n"
        "    if os.fork() == 0:\n"
        "        time.sleep(30)\n"
        "        os._exit(0)\n"
        "    print('owned', flush=True)\n"
        "    time.sleep(30)\n"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout.readline() == "owned\n"
    with (
        pytest.raises(CheckpointError, match=f"in use by process {owner.pid}"),
        own_folder(tmp_path),
    ):
        pass
    owner.kill()
    owner.wait()
    with own_folder(tmp_path):
        pass
