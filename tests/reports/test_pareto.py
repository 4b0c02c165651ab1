import random

import pytest

from srlit.reports.pareto import pareto_front, plane, spread

ROWS = [
    {"name": "a", "psnr_y": 25.0, "lpips_alex": 0.30},
    {"name": "b", "psnr_y": 26.0, "lpips_alex": 0.35},
    {"name": "c", "psnr_y": 24.5, "lpips_alex": 0.40},
]


def test_the_front_is_what_brute_force_finds():
    random.seed(1)
    pairs = [(random.randint(0, 9), random.randint(0, 9)) for _ in range(60)]
    rows = [{"psnr_y": psnr, "lpips_alex": lpips} for psnr, lpips in pairs]

    def better(p, q):
        gains = (p["psnr_y"] - q["psnr_y"], q["lpips_alex"] - p["lpips_alex"])
        return min(gains) >= 0 and max(gains) > 0

    expected = [row for row in rows if not any(better(other, row) for other in rows)]
    assert pareto_front(rows, "psnr_y", "lpips_alex") == expected
    assert 0 < len(expected) < 30


def test_better_lies_right_and_up():
    a, b, c = plane("t", ROWS).points
    assert c.x < a.x < b.x
    assert a.y < b.y < c.y
    assert [p.on_front for p in (a, b, c)] == [True, True, False]


@pytest.mark.parametrize("rows", [ROWS[:2], [{"name": n, "mae": 0.1} for n in "abc"], []])
def test_too_little_is_no_plane(rows):
    assert plane("t", rows) is None


def test_a_row_that_is_not_finite_is_left_out():
    rows = [*ROWS, {"name": "d", "psnr_y": float("nan"), "lpips_alex": 0.1}]
    assert [p.name for p in plane("t", rows).points] == ["a", "b", "c"]


def test_long_names_keep_what_tells_them_apart():
    rows = [row | {"name": f"phase3_{'weights_' * 5}{row['name']}"} for row in ROWS]
    points = plane("t", rows).points
    assert [p.name[-1] for p in points] == ["a", "b", "c"]
    assert all(len(p.name) <= 28 and "…" in p.name for p in points)
    assert points[0].label.startswith(rows[0]["name"])


def test_names_of_close_points_do_not_cover_each_other():
    texts = spread([(100, 100, "one name"), (103, 106, "another name")])
    assert abs(texts[0][1] - texts[1][1]) > 10 or texts[0][2] != texts[1][2]
    (alone,) = spread([(100, 100, "name")])
    assert alone == (109, 94, "start")
