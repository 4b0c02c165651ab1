"""Records of runs, and how later runs find earlier ones."""

import json
import subprocess
import sys

import pytest

from srlit.checkpoint import CheckpointError, resolve_checkpoint
from srlit.checkpoint.runs import RunRecord, find_previous, newest_intact, own_folder
from srlit.utils.atomic import write_json
from tests.checkpoint.samples import save_run


def make_run(folder, label, width, status="finished", ended=1.0):
    folder.mkdir(parents=True)
    record = RunRecord(name=folder.name, label=label, model={"width": width}, command="")
    record.status, record.ended = status, ended
    record.write(folder)
    write_json(folder / "best.json", {"checkpoint": "checkpoints/x.safetensors"})
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
    assert resolve_checkpoint(str(run)) == run / "checkpoints" / "x.safetensors"
    with pytest.raises(CheckpointError, match=str(tmp_path / "nothing")):
        resolve_checkpoint(str(tmp_path / "nothing"))
    (run / "best.json").unlink()
    with pytest.raises(CheckpointError, match=r"best\.json"):
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


OWNER = """
import os, sys
from pathlib import Path
from srlit.checkpoint.runs import own_folder
with own_folder(Path(sys.argv[1])):
    if os.fork():
        print("owned", flush=True)
    sys.stdin.read()
"""


def test_a_folder_has_one_owner_and_a_killed_one_never_blocks(tmp_path):
    """Nor does its child, such as a loader's worker, which lives on for seconds."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout.readline() == "owned\n"
    message = f"in use by process {owner.pid}"
    with pytest.raises(CheckpointError, match=message), own_folder(tmp_path):
        pass
    owner.kill()
    owner.wait()
    with own_folder(tmp_path):
        owner.stdin.close()  # ends the child


def test_the_newest_intact_checkpoint_is_taken_and_damaged_ones_are_named(tmp_path, caplog):
    assert newest_intact(tmp_path) is None
    first, second, third = save_run(tmp_path, 1, 2, 10)
    assert newest_intact(tmp_path) == third
    third.write_bytes(third.read_bytes()[:-1])
    second.write_bytes(b"")
    assert newest_intact(tmp_path) == first
    for path in (third, second, first):
        assert str(path) in caplog.text
    first.write_bytes(b"x")
    with pytest.raises(CheckpointError, match=str(tmp_path)):
        newest_intact(tmp_path)
