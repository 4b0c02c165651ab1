"""Records of runs, and how later runs find earlier ones."""

import json
import os
import re
import subprocess
import sys

import pytest

from srlit.checkpoint import CheckpointError, resolve_checkpoint
from srlit.checkpoint.runs import RunRecord, find_previous, newest_intact, own_folder, read_record
from srlit.utils.atomic import write_json
from tests.checkpoint.samples import save_run


def make_run(folder, label, status="finished", **identity):
    folder.mkdir(parents=True)
    record = RunRecord(name=folder.name, label=label, command="", status=status)
    record.identity = {"seed": 0, "model": {"width": 8}} | identity
    record.write(folder)
    write_json(folder / "best.json", {"checkpoint": "checkpoints/x.safetensors"})
    return folder


def child(multirun=None, job=(), **identity):
    """A run that looks for the phase before."""
    identity = {"seed": 0, "model": {"width": 8}} | identity
    record = RunRecord(name="child", label="phase2", command="", identity=identity)
    record.multirun, record.job = multirun, list(job)
    return record


def test_the_finished_run_of_equal_identity_is_found(tmp_path):
    wanted = make_run(tmp_path / "deep" / "one", "phase1")
    make_run(tmp_path / "wider", "phase1", model={"width": 16})
    make_run(tmp_path / "seeded", "phase1", seed=1)
    make_run(tmp_path / "running", "phase1", status="running")
    make_run(tmp_path / "other", "phase2")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "run.json").write_text("{")
    assert find_previous(tmp_path, "phase1", child()) == [wanted]
    frozen = child(model={"width": 8, "frozen": [1]})
    assert find_previous(tmp_path, "phase1", frozen) == [wanted]
    with pytest.raises(CheckpointError, match="wider has another seed and model"):
        find_previous(tmp_path, "phase1", child(seed=2))
    with pytest.raises(CheckpointError, match="phase3"):
        find_previous(tmp_path, "phase3", child())


def test_several_are_all_given(tmp_path):
    both = [make_run(tmp_path / name, "phase1") for name in ("a", "b")]
    assert find_previous(tmp_path, "phase1", child()) == both


def test_a_job_of_a_multirun_takes_its_sibling_or_waits_for_it(tmp_path):
    for number, status in ((1, "finished"), (2, "finished"), (3, "failed")):
        folder = make_run(tmp_path / str(number), "phase1", status)
        record = read_record(folder)
        record.multirun, record.job = "m", [f"seed={number}"]
        record.write(folder)
    assert find_previous(tmp_path, "phase1", child("m", ["seed=2"])) == [tmp_path / "2"]
    with pytest.raises(CheckpointError, match=f"{tmp_path / '3'}.* failed"):
        find_previous(tmp_path, "phase1", child("m", ["seed=3"]))
    assert len(find_previous(tmp_path, "phase1", child("n", ["seed=2"]))) == 2


def test_a_run_folder_stands_for_its_selected_checkpoint(tmp_path):
    run = make_run(tmp_path / "run", "phase1")
    assert resolve_checkpoint(str(run)) == run / "checkpoints" / "x.safetensors"
    with pytest.raises(CheckpointError, match=str(tmp_path / "nothing")):
        resolve_checkpoint(str(tmp_path / "nothing"))
    (run / "best.json").unlink()
    with pytest.raises(CheckpointError, match=r"best\.json"):
        resolve_checkpoint(str(run))


HOSTILE = [
    b"", b"\x00\xff", b"[]", b"[" * 100_000, b'{"checkpoint": 3}', b"{}", b'{"checkpoint": [[]]}'
]  # fmt: skip


@pytest.mark.parametrize("content", HOSTILE, ids=range(len(HOSTILE)))
def test_a_damaged_selection_is_named(tmp_path, content):
    """As `init_from=auto` meets it, and all who are given a run's folder."""
    path = make_run(tmp_path / "run", "phase1") / "best.json"
    path.write_bytes(content)
    [found] = find_previous(tmp_path, "phase1", child())
    with pytest.raises(CheckpointError, match=re.escape(f"{path}: ")):
        resolve_checkpoint(str(found))


@pytest.mark.parametrize("content", [*HOSTILE, b'{"identity": ' * 10_000], ids=range(8))
def test_a_damaged_record_is_named_and_hides_no_other_run(tmp_path, content, caplog):
    wanted = make_run(tmp_path / "run", "phase1")
    damaged = make_run(tmp_path / "damaged", "phase1") / "run.json"
    damaged.write_bytes(content)
    assert find_previous(tmp_path, "phase1", child()) == [wanted]
    assert str(damaged) in caplog.text


def test_an_identity_of_something_else_is_another(tmp_path):
    make_run(tmp_path / "run", "phase1", model=3)
    with pytest.raises(CheckpointError, match="run has another model"):
        find_previous(tmp_path, "phase1", child())


@pytest.mark.parametrize(
    ("error", "status"),
    [(KeyboardInterrupt, "stopped"), (SystemExit, "stopped"), (OSError, "failed")],
)
def test_a_record_says_how_the_run_ended(tmp_path, error, status):
    record = RunRecord(name="a", label="a", command="")

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


def test_a_record_counts_the_time_of_all_sessions(tmp_path):
    earlier = RunRecord(name="a", label="a", command="", started=10.0, resumed=100.0, seconds=5.0)
    earlier.write(tmp_path)
    os.utime(tmp_path / "run.json", (130.0, 130.0))
    record = RunRecord(name="a", label="a", command="")
    with record.kept(tmp_path, writes=True):
        pass
    assert record.started == 10.0
    assert 35.0 <= record.seconds <= 35.0 + record.ended - record.resumed + 1e-6


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
