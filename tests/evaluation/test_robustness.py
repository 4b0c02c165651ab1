"""Grids over a degradation's parameters, and their maps."""

import math
import re

import numpy as np
import pytest

from srlit.config import build
from srlit.evaluation.robustness import check_grid, grid_settings, robustness_maps
from tests.helpers import compose_config


def test_the_other_parameters_make_a_map_each():
    grid = {"blur": [0, 1], "noise": [5, 10, 15], "quality": [90, 30]}
    means = [
        {"net": 100 * setting["blur"] + setting["noise"], "bicubic": math.nan}
        for setting in grid_settings(grid)
    ]
    maps = robustness_maps(grid, "mae", means)
    assert [each.fixed for each in maps] == [{"quality": 90}, {"quality": 30}]
    assert np.array_equal(maps[0].models["net"], [[5, 10, 15], [105, 110, 115]])
    assert maps[0].worst_cell("net") == (1, 2)  # the largest error
    assert "blur 1, noise 15, quality 90" in maps[0].worst("net")
    stored = maps[1].as_json()
    assert stored["where"] == {"quality": 30}
    assert stored["axes"][1] == {"name": "noise", "values": [5, 10, 15]}
    errors = [[5, 10, 15], [105, 110, 115]]
    assert stored["models"] == {"net": errors, "bicubic": [[None] * 3] * 2}
    assert robustness_maps(grid, "psnr_rgb_b0", means)[0].worst_cell("net") == (0, 0)


@pytest.mark.parametrize(
    ("grid", "named"),
    [
        ({"noise.sigma": [1]}, "grid={'noise.sigma': [1]}: "),
        ({"noise.sigma": [1], "fog": [1]}, "grid.fog: "),
    ],
)
def test_mistakes_in_a_grid_are_named(grid, named):
    degradation = build(compose_config("evaluate").degradation)
    with pytest.raises(ValueError, match=re.escape(named)):
        check_grid(grid, degradation)
