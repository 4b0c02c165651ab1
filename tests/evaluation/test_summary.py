"""Summaries of results, with significant differences and confidence intervals."""

import math

import numpy as np
import pytest

from srlit.evaluation.measure import Results
from srlit.evaluation.summary import Protocol, Summary


def summarised(protocol, metric, values):
    """The summary of values per method and photo; the first method is the reference."""
    photos = [
        {"name": name, "photo": f"{i}.png", metric: value}
        for name, own in values.items()
        for i, value in enumerate(own)
    ]
    means = [{"name": name, metric: float(np.mean(own))} for name, own in values.items()]
    return Summary(protocol, Results(means, photos, []), next(iter(values)))


@pytest.fixture
def summary():
    """Thirty photos: `good` is better than `plain` on each, `other` as often worse as better."""
    plain = [20 + 0.1 * i for i in range(30)]
    own = {
        "plain": plain,
        "good": [v + 1 + 0.01 * i for i, v in enumerate(plain)],
        "other": [v + 0.5 * (-1) ** i for i, v in enumerate(plain)],
    }
    return summarised(Protocol("bsd100", "fixed", "test"), "psnr_rgb_b0", own)


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
    assert (summary.rows()[1]["data"], summary.rows()[1]["degradation"]) == ("bsd100", "fixed")


def test_two_photos_prove_nothing_and_give_no_nan():
    values = {"a": [0.0, 0.1], "b": [0.5, 0.6]}
    summary = summarised(Protocol("x", "real", "val"), "mae", values)
    assert summary.significant == set()
    assert summary.title == "x, 2 val photos, real pairs"
    for row in summary.statistics:
        assert not any(isinstance(v, float) and math.isnan(v) for v in row.values())
