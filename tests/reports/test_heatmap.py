import json

import pytest

from srlit.reports.groups import read_interpolation
from srlit.reports.heatmap import LEVELS, read_robustness
from tests.reports.samples import ROBUSTNESS


def written(folder, content):
    path = folder / "results.json"
    path.write_text(json.dumps([content]))
    return path


def test_maps_share_a_scale_and_mark_their_worst(tmp_path):
    [found] = read_robustness(written(tmp_path, ROBUSTNESS | {"where": {"jpeg.quality": 30}}))
    assert found.where == {"jpeg.quality": "30"}
    assert [(axis.name, axis.values) for axis in found.axes] == [
        ("blur", ["0", "1"]), ("noise", ["0", "10", "20"]),
    ]  # fmt: skip
    bicubic, ours, difference = found.maps()
    assert [[c.worst for c in row] for row in bicubic.cells] == [[False] * 3, [False, False, True]]
    assert bicubic.cells[1][2].level == LEVELS
    assert bicubic.cells[0][1].level == ours.cells[0][2].level  # both 0.2
    assert bicubic.worst == "0.400 at blur 1, noise 20"
    assert ours.cells[1][2].text == ""
    assert difference.title.startswith("ours")
    assert difference.diverging
    # The only place where ours is worse than bicubic: 0.35 against 0.30.
    assert difference.worst == "+0.050 at blur 1, noise 10"
    assert [c.level > 0 for row in difference.cells for c in row] == [False] * 4 + [True, False]


def test_of_a_rising_metric_the_least_is_the_worst(tmp_path):
    [found] = read_robustness(written(tmp_path, ROBUSTNESS | {"metric": "psnr_y_b4"}))
    bicubic, *_, difference = found.maps()
    assert bicubic.worst == "0.100 at blur 0, noise 0"
    assert bicubic.cells[0][0].level >= LEVELS - 1
    assert difference.worst.endswith("blur 0, noise 10")  # 0.1 less than bicubic's 0.2


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"where": 3}, "0.where is 3"),
        ({"axes": ROBUSTNESS["axes"][:1]}, "0.axes.1"),
        ({"axes": [{"name": "x"}, {"name": "y"}]}, "0.axes.0.values"),
        ({"models": {}}, "0.models is {}"),
        ({"models": {"m": [[1, 2, 3]]}}, "models.m .*2 rows of 3"),
        ({"models": {"m": [[1, 2, "x"], [1, 2, 3]]}}, "0.models.m.0.2 is 'x'"),
    ],
)
def test_another_content_is_named(tmp_path, content, problem):
    with pytest.raises(ValueError, match=problem):
        read_robustness(written(tmp_path, ROBUSTNESS | content))


def test_an_interpolation_is_a_chart_a_metric_in_order_of_the_weight(tmp_path):
    both = ((1, {"lpips": 0.1, "psnr": 24}), (0, {"lpips": 0.3, "psnr": 26}), (0.5, {"lpips": 0.2}))
    path = tmp_path / "interpolation.json"
    path.write_text(json.dumps([{"weight": weight, "metrics": m} for weight, m in both]))
    lpips, psnr = read_interpolation(path)
    assert lpips.curves[0].column == ([0, 0.5, 1], [0.3, 0.2, 0.1])
    assert psnr.curves[0].column == ([0, 1], [26, 24])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[]", r"the file is \[\]"),
        ('[{"weight": "x", "metrics": {}}]', "0.weight is 'x'"),
        ('[{"weight": 0, "metrics": {"a": true}}]', "0.metrics.a is True"),
        ("[" * 100_000, "line 1 column"),
    ],
)
def test_a_damaged_interpolation_is_refused(tmp_path, text, problem):
    path = tmp_path / "interpolation.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=problem):
        read_interpolation(path)
