"""Summaries of results, with significant differences and confidence intervals."""

import csv
import math

import numpy as np
import pytest

from srlit.evaluation.measure import Results
from srlit.evaluation.summary import LABELS, Protocol, Summary, write_results
from srlit.reports.evaluations import read_evaluation
from srlit.reports.summary_tables import evaluation_table
from srlit.reports.warnings import Warnings
from srlit.utils.small_files import read_json


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
    protocol = Protocol("bsd100", "fixed", "test", 2, 256, 512, {"other": 128})
    return summarised(protocol, "psnr_rgb_b0", own)


def test_differences_are_measured_and_marked_where_they_are_significant(summary):
    assert summary.significant == {("good", "psnr_rgb_b0")}
    plain, good, _ = summary.statistics
    assert plain["low"] < plain["mean"] < plain["high"]
    assert "p" not in plain
    assert good["difference"] == pytest.approx(1 + 0.01 * 14.5)
    # The same photos: the difference is known far better than the means.
    assert good["high"] - good["low"] > 10 * (good["difference_high"] - good["difference_low"])
    assert good["p"] < 1e-4


def test_every_file_and_table_states_the_protocol(summary, tmp_path, capsys):
    write_results(tmp_path, summary)
    same = {"data": "bsd100", "split": "test", "images": 30, "degradation": "fixed", "scale": 2}
    expected = same | {"crop": 256, "tile": 512}
    assert tuple(expected) == LABELS
    for row in [*summary.rows(), *summary.statistics, *read_json(tmp_path / "table.json")]:
        own = expected | ({"tile": 128} if row["name"] == "other" else {})
        assert {label: row[label] for label in LABELS} == own
    with (tmp_path / "photos.csv").open(newline="") as file:
        first = next(csv.DictReader(file))
    assert {label: first[label] for label in LABELS} == {k: str(v) for k, v in expected.items()}
    page = evaluation_table(read_evaluation(tmp_path, Warnings())).title
    texts = [capsys.readouterr().out, page, *(summary.markdown(), summary.latex())]
    for text in texts:
        for part in ("bsd100", "30 test", "256", "x2", "fixed", "512", "other: 128"):
            assert part in text


def test_whole_images_and_real_pairs_are_called_so():
    protocol = Protocol("x", "real", "val", 4, None, None)
    assert protocol.labels(5)["crop"] == "whole"
    assert protocol.labels(5)["tile"] == "none"
    assert protocol.describe(5) == "5 val images, whole, x4 real pairs, no tiles"


def test_two_photos_prove_nothing_and_give_no_nan():
    values = {"a": [0.0, 0.1], "b": [0.5, 0.6]}
    summary = summarised(Protocol("x", "real", "val", 2, None, None), "mae", values)
    assert summary.significant == set()
    for row in summary.statistics:
        assert not any(isinstance(v, float) and math.isnan(v) for v in row.values())
