"""Summaries of results, with significant differences and confidence intervals."""

import math

import numpy as np
import pytest

from srlit.evaluation.measure import Results
from srlit.evaluation.summary import Protocol, Summary


@pytest.fixture
def summary():
    """Thirty photos: `good` is better than `plain` on each, `other` as often worse as better."""
    plain = [20 + 0.1 * i for i in range(30)]
    own = {
        "plain": plain,
        "good": [v + 1 + 0.01 * i for i, v in enumerate(plain)],
        "other": [v + 0.5 * (-1) ** i for i, v in enumerate(plain)],
    }
    rows = [
        {"name": name, "photo": f"{i}.png", "psnr_rgb_b0": value}
        for name, values in own.items()
        for i, value in enumerate(values)
    ]
    means = [{"name": name, "psnr_rgb_b0": float(np.mean(v))} for name, v in own.items()]
    return Summary(Protocol("bsd100", "fixed", "test"), Results(means, rows, []), "plain")


def test_differences_are_measured_and_marked_where_they_are_significant(summary):
    assert summary.significant == {("good", "psnr_rgb_b0")}
    assert summary.title == "bsd100, 30 test photos, under fixed"
    plain, good, _ = summary.statistics
    assert plain["low"] < plain["mean"] < plain["high"]
    assert "p" not in plain
    assert good["difference"] == pytest.approx(1 + 0.01 * 14.5)
    # The same photos: the difference is known far better than the means.
    assert good["high"] - good["low"] > 10 * (good["difference_high"] - good["difference_low"])
    assert good["p"] < 1e-4
    assert summary.rows()[1]["data"] == "bsd100"
    assert summary.rows()[1]["degradation"] == "fixed"


def test_two_photos_prove_nothing_and_give_no_nan():
    rows = [
        {"name": name, "photo": str(i), "mae": 0.1 * i + shift}
        for name, shift in (("a", 0.0), ("b", 0.5))
        for i in range(2)
    ]
    means = [{"name": "a", "mae": 0.05}, {"name": "b", "mae": 0.55}]
    summary = Summary(Protocol("x", "real", "val"), Results(means, rows, []), "a")
    assert summary.significant == set()
    assert summary.title == "x, 2 val photos, real pairs"
    for row in summary.statistics:
        assert not any(isinstance(v, float) and math.isnan(v) for v in row.values())
