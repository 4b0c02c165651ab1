"""What was measured is found again, and nothing else is."""

import math
from pathlib import Path

import pytest

from srlit.evaluation import ResultsCache
from srlit.utils.atomic import DiskError
from srlit.utils.fingerprint import fingerprint


def test_what_was_added_is_found_by_a_later_process(tmp_path):
    path = tmp_path / "folder" / "measured.jsonl"
    ResultsCache(path).add("a", "1", {"mae": 0.1, "psnr_rgb_b0": math.inf})
    ledger = ResultsCache(path)
    assert ledger.find("a", "1", ["mae"]) == {"mae": 0.1}
    assert ledger.known("a", "1", ["psnr_rgb_b0"]) == {"psnr_rgb_b0": math.inf}
    assert ledger.find("a", "1", ["mae", "lpips_alex"]) is None
    assert ledger.find("a", "2", ["mae"]) is None
    assert ledger.find("b", "1", ["mae"]) is None
    with pytest.raises(KeyError):
        ledger.known("b", "1", [])


def test_more_metrics_join_those_that_are_known(tmp_path):
    path = tmp_path / "measured.jsonl"
    for values in ({"mae": 0.1}, {"psnr_rgb_b0": 30.0}):
        ResultsCache(path).add("a", "1", values)
    assert ResultsCache(path).find("a", "1", ["mae", "psnr_rgb_b0"]) == {
        "mae": 0.1,
        "psnr_rgb_b0": 30.0,
    }


def test_wherever_a_kill_cuts_the_file_the_whole_lines_count(tmp_path):
    path = tmp_path / "measured.jsonl"
    for photo in "12":
        ResultsCache(path).add("a", photo, {"mae": 0.25})
    whole = path.read_bytes()
    first = whole.index(b"\n")
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        ledger = ResultsCache(path)
        assert (ledger.find("a", "1", ["mae"]) is not None) == (end >= first)
        assert (ledger.find("a", "2", ["mae"]) is not None) == (end >= len(whole) - 1)
        ledger.add("a", "3", {"mae": 0.5})
        assert ResultsCache(path).find("a", "3", ["mae"]) == {"mae": 0.5}


@pytest.mark.parametrize("line", ["[]", "{}", "null", '{"method": "a", "photo": "1"}', "\x00\xff"])
def test_lines_of_something_else_are_passed_over(tmp_path, line):
    path = tmp_path / "measured.jsonl"
    path.write_bytes(line.encode("latin1") + b"\n")
    assert ResultsCache(path).find("a", "1", []) is None


def test_a_full_disk_is_named():
    ledger = ResultsCache()
    ledger.path = Path("/dev/full")
    with pytest.raises(DiskError, match=r"/dev/full.*No space left"):
        ledger.add("a", "1", {})


def test_a_fingerprint_tells_values_apart_and_knows_no_order():
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    prints = {fingerprint(*parts) for parts in ([1], ["1"], [1, None], [[1]], [1.5], [None])}
    assert len(prints) == 6
