import pytest
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard import SummaryWriter

from srlit.reports.run_folders import Column
from srlit.reports.throughput import read_pace
from srlit.reports.warnings import Warnings


def write(folder, suffix, times):
    """Files as Lightning's logger writes them, with times of our own."""
    writer = SummaryWriter(str(folder / "tensorboard"), filename_suffix=suffix)
    for step, time in times:
        writer.add_scalar("train/loss", 1.0, step, walltime=time)
        writer.add_scalar("learning_rate", 1e-4, step, walltime=time)
        writer.add_scalar("val/psnr", 1.0, step, walltime=time + 5)
    writer.close()


def test_the_pace_is_iterations_by_seconds_and_a_pause_between_files_is_no_interval(tmp_path):
    write(tmp_path, ".1", [(10, 1000.0), (20, 1005.0), (40, 1025.0)])
    write(tmp_path, ".2", [(50, 9000.0), (60, 9002.5)])
    x, y = read_pace(tmp_path)
    assert x == [20, 40, 60]
    assert y == pytest.approx([2.0, 1.0, 4.0])


def test_a_torn_file_gives_what_is_whole(tmp_path):
    write(tmp_path, "", [(10 * i, 1000.0 + i) for i in range(1, 9)])
    (path,) = (tmp_path / "tensorboard").iterdir()
    path.write_bytes(path.read_bytes()[:-200])
    x, y = read_pace(tmp_path)
    assert 3 <= len(x) < 7
    assert y == pytest.approx([10.0] * len(x))


@pytest.mark.parametrize("data", [b"\x00" * 64, b"garbage" * 40, b"", None])
def test_no_damage_ends_the_report_and_a_record_that_is_no_event_is_noted(tmp_path, data):
    path = tmp_path / "events.out.tfevents.1"
    with path.open("wb") as file:
        file.write(data) if data is not None else RecordWriter(file).write(b"\xff\xff\xff no event")
    warnings = Warnings()
    assert warnings.attempt(read_pace, tmp_path, Column([], [])) == ([], [])
    if data is None:
        assert path.name in warnings[0]
