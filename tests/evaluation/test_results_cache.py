"""Measured values are found by later processes, whatever happened to the file's end."""

import math
from pathlib import Path

import pytest

from srlit.evaluation.results_cache import ResultsCache
from srlit.utils.atomic import DiskError
from srlit.utils.fingerprint import fingerprint


def test_values_are_found_by_a_later_process(tmp_path):
    path = tmp_path / "folder" / "measured.jsonl"
    ResultsCache(path).add("a", "1", {"mae": 0.1})
    ResultsCache(path).add("a", "1", {"psnr_rgb_b0": math.inf})
    cache = ResultsCache(path)
    assert cache.get("a", "1", ["psnr_rgb_b0", "mae"]) == {"psnr_rgb_b0": math.inf, "mae": 0.1}
    assert cache.has("a", ["1"], ["mae", "psnr_rgb_b0"])
    for missing in (("a", ["1"], ["mae", "lpips_alex"]), ("a", ["1", "2"]), ("b", ["1"])):
        assert not cache.has(*missing)
    with pytest.raises(KeyError):
        cache.get("a", "1", ["lpips_alex"])


def test_complete_lines_survive_a_cut_anywhere(tmp_path):
    path = tmp_path / "measured.jsonl"
    for photo in "12":
        ResultsCache(path).add("a", photo, {"mae": 0.25})
    content = path.read_bytes()
    first = content.index(b"\n")
    for end in range(len(content)):
        path.write_bytes(content[:end])
        cache = ResultsCache(path)
        assert cache.has("a", ["1"], ["mae"]) == (end >= first)
        assert cache.has("a", ["2"], ["mae"]) == (end >= len(content) - 1)
        cache.add("a", "3", {"mae": 0.5})
        assert ResultsCache(path).get("a", "3", ["mae"]) == {"mae": 0.5}


def test_foreign_lines_are_skipped(tmp_path):
    path = tmp_path / "measured.jsonl"
    deep = b"[" * 10**5
    path.write_bytes(b'[]\n{}\nnull\n{"method": "a", "photo": "1"}\n\x00\xff\n' + deep + b"\n")
    cache = ResultsCache(path)
    assert not cache.has("a", ["1"])
    cache.add("a", "1", {"mae": 0.5})
    assert ResultsCache(path).get("a", "1", ["mae"]) == {"mae": 0.5}


def test_a_full_disk_is_named():
    cache = ResultsCache()
    cache.path = Path("/dev/full")
    with pytest.raises(DiskError, match="/dev/full"):
        cache.add("a", "1", {})


def test_fingerprints_differ_between_values_and_ignore_the_order_of_keys():
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    prints = {fingerprint(*parts) for parts in ([1], ["1"], [1, None], [[1]], [1.5], [None])}
    assert len(prints) == 6
