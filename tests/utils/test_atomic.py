import json
import os
from errno import ENOENT
from pathlib import Path

import pytest

from srlit.utils.atomic import (
    DiskError,
    atomic_file,
    disk_error,
    link_file,
    remove_torn,
    write_json,
    write_text,
)
from tests.helpers import mounted


@pytest.fixture
def path(tmp_path):
    """A file that must be unchanged after the test."""
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    yield path
    assert json.loads(path.read_text()) == {"a": 1}


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(path):
    with pytest.raises(RuntimeError), atomic_file(path) as sibling:
        sibling.write_text("half")
        raise RuntimeError
    assert list(path.parent.iterdir()) == [path]


def test_a_killed_write_leaves_the_old_file(path):
    """A process that dies in the middle of writing must not touch what is there."""
    if (child := os.fork()) == 0:
        with atomic_file(path) as sibling:
            sibling.write_text("half")
            os.kill(os.getpid(), 9)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9


def test_a_full_disk_leaves_the_old_file(path):
    """/dev/full stands for the disk: the write fails as it does where no space is left."""
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    with pytest.raises(OSError, match="No space left"), atomic_file(path) as sibling:
        sibling.symlink_to("/dev/full")
        with sibling.open("w") as file:
            file.write("x" * 10_000)
    assert list(path.parent.iterdir()) == [path]


def test_a_link_is_the_same_file_and_survives_its_source(tmp_path):
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_text("one")
    link_file(source, target)
    write_json(source, 2)
    assert target.read_text() == "one"


def test_an_error_about_another_file_is_left_alone(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_text(tmp_path / "a" / "b.txt", (tmp_path / "missing").read_text())


def test_what_killed_processes_left_is_removed_and_nothing_else(tmp_path):
    (tmp_path / "below").mkdir()
    running, dead = f"{os.getpid():08x}", f"{2**31 - 1:08x}"
    kept = {".owner", "a.tmp.safetensors", ".x.tmp.safetensors", f".y.{running}01234567.tmp.png"}
    left = (f".last.{dead}0123abcd.tmp.safetensors", f"below/.best.{dead}ffffffff.tmp.json")
    for name in (*kept, *left):
        (tmp_path / name).write_text("x")
    remove_torn(tmp_path)
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == kept


def test_a_folder_that_was_removed_and_a_disk_without_inodes_are_told(tmp_path):
    with pytest.raises(DiskError, match=f"{tmp_path / 'a'} was removed"):
        raise disk_error(tmp_path / "a" / "b", FileNotFoundError(ENOENT, "No such file"))
    with mounted(tmp_path / "disk", "size=1m", "nr_inodes=4") as disk:
        for number in range(3):
            (disk / str(number)).touch()
        with pytest.raises(DiskError, match="inodes"):
            write_text(disk / "x", "y")
