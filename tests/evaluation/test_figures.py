"""Settings of figures."""

import re

import pytest
import torch

from srlit.evaluation.figures import read_figures
from srlit.inference.upscalers import Interpolator, NetworkUpscaler
from srlit.models.edsr import EDSR


@pytest.fixture
def methods():
    network = EDSR(scale=2, width=4, blocks=1)
    net = NetworkUpscaler("net", network, device=torch.device("cpu"), tile=512)
    return [Interpolator("bicubic", scale=2), net]


def test_a_figure_has_its_own_columns_and_tiles(methods):
    figures = read_figures({"all": {}, "one": {"methods": ["net"], "tile": 64}}, methods)
    assert figures["all"].columns(methods) == methods
    [net] = figures["one"].columns(methods)
    assert (net.name, net.tile) == ("net", 64)
    assert read_figures(None, methods) == {}


@pytest.mark.parametrize(
    ("figures", "named"),
    [
        ({"a": {"method": ["net"]}}, "figures.a.method=['net']: "),
        ({"a": {"methods": ["gan"]}}, "figures.a.methods=['gan']: expected some of bicubic, net"),
        ({"a": {"photos": 0}}, "figures.a.photos=0: "),
        ({"a": {"tile": 8}}, "figures.a.tile=8: "),
        ({"a": "whole"}, "figures.a=whole: "),
        ({"../a": {}}, "figures.../a: "),
    ],
)
def test_mistakes_are_named(figures, named, methods):
    with pytest.raises(ValueError, match=re.escape(named)):
        read_figures(figures, methods)
