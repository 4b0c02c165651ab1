"""`metrics.csv`: one table however often a run was interrupted."""

import math
import resource
import signal

import pytest

from srlit.callbacks.csv_logger import CSVLogger, read_rows
from srlit.utils.atomic import DiskError


def logged(folder, *rows):
    logger = CSVLogger(folder=str(folder))
    for step, values in rows:
        logger.log_metrics(values, step=step)
    return logger


def test_new_columns_go_to_the_right_and_numbers_are_exact(tmp_path):
    logger = logged(tmp_path, (1, {"a": 0.1 + 0.2}), (2, {"b": math.pi}), (2, {"a": float("nan")}))
    text = logger.path.read_text()
    assert text == f"step,a,b\n1,{0.1 + 0.2!r},\n2,,{math.pi!r}\n2,nan,\n"


def test_a_resumed_run_writes_the_same_file_as_an_undisturbed_one(tmp_path):
    rows = [(i, {"a": i / 7} | ({"late": 1.0} if i > 2 else {})) for i in range(1, 6)]
    whole = logged(tmp_path / "whole", *rows).path.read_text()
    killed = logged(tmp_path / "killed", *rows[:4]).path
    with killed.open("a") as file:
        file.write("5,0.7")  # torn
    again = CSVLogger(folder=str(tmp_path / "killed"))
    again.rewind(2, 2, 2)
    assert again.path.read_text() == f"step,a\n1,{1 / 7!r}\n2,{2 / 7!r}\n"
    for step, values in rows[2:]:
        again.log_metrics(values, step=step)
    assert again.path.read_text() == whole


def test_rows_of_a_validation_that_will_be_made_again_are_forgotten(tmp_path):
    rows = [(2, {"val/a": 1.0}), (4, {"train/a": 1.0}), (4, {"val/a": 2.0}), (5, {"train/a": 1.0})]
    logger = logged(tmp_path, *rows)
    logger.rewind(4, 2, 2)
    assert [row["step"] for row in read_rows(logger.path)] == ["2", "4"]
    logger.rewind(4, 0, 1)
    assert read_rows(logger.path) == [{"step": "4", "train/a": "1.0"}]


@pytest.mark.parametrize(
    ("damage", "left"),
    [
        (lambda text: text.replace(b"0.25", b"0.\xff5"), ["1", "3"]),
        (lambda text: text.replace(b"0.25", b"0.\x005"), ["1", "3"]),
        (lambda text: text[: text.index(b"2,")], ["1"]),
        (lambda _: b"", []),
    ],
)
def test_a_damaged_table_is_told_and_kept_and_blocks_nothing(tmp_path, caplog, damage, left):
    rows = [(1, {"a": 0.5}), (2, {"a": 0.25}), (3, {"a": 0.125})]
    path = logged(tmp_path, *rows).path
    path.write_bytes(damaged := damage(path.read_bytes()))
    again = CSVLogger(folder=str(tmp_path))
    again.rewind(3, 0, 3)
    assert [row["step"] for row in read_rows(path)] == left
    assert f"{path} lacks {3 - len(left)} of 3 rows" in caplog.text
    assert (tmp_path / "metrics.damaged.csv").read_bytes() == damaged
    again.log_metrics({"a": 1.0}, step=4)
    assert [row["step"] for row in read_rows(path)] == [*left, "4"]


def test_a_run_without_a_row_has_no_file(tmp_path):
    CSVLogger(folder=str(tmp_path)).rewind(0, 0, 0)
    assert read_rows(tmp_path / "metrics.csv") == []
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_in_numbers(tmp_path):
    """A limit on file sizes stands in for the disk."""
    logger = logged(tmp_path, (1, {"a": 1.0}))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (logger.path.stat().st_size, before[1]))
        with pytest.raises(DiskError, match=r"metrics.csv: cannot be written: File too large"):
            logger.log_metrics({"a": 2.0}, step=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert [row["step"] for row in read_rows(logger.path)] == ["1"]
