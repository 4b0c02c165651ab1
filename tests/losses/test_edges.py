import math

import pytest
import torch
from kornia.filters import spatial_gradient

from srlit.losses.edge import Edge
from srlit.losses.gradient import Gradient
from srlit.losses.total_variation import TotalVariation
from srlit.ops.filters import sobel


@pytest.fixture
def pair():
    torch.manual_seed(0)
    return torch.rand(2, 3, 9, 7), torch.rand(2, 3, 9, 7)


def test_sobel_is_kornias(pair):
    torch.testing.assert_close(sobel(pair[0]), spatial_gradient(pair[0]))


def test_gradient_of_a_ramp_by_hand():
    """0.1 a pixel to the right, nothing downward; at the two repeated borders it is half."""
    ramp = (0.1 * torch.arange(6.0)).expand(1, 3, 5, 6)
    expected = (4 * 0.1 + 2 * 0.05) / 6 / 2
    assert float(Gradient()(ramp, torch.zeros_like(ramp))) == pytest.approx(expected, rel=1e-5)
    assert float(Gradient()(ramp + 0.3, ramp)) == pytest.approx(0, abs=1e-6)


def test_gradient_tells_an_edge_from_its_reverse():
    edge = (torch.arange(6) > 2).float().expand(1, 3, 5, 6)
    assert Gradient()(1 - edge, edge) > 0.1


def test_edge_by_definition(pair):
    """The Laplacian is the sum of the 8 neighbours less 8 times the pixel, over 16."""
    sr, hr = pair
    difference = torch.nn.functional.pad((sr - hr).double(), (1,) * 4, mode="reflect")
    total = 9 * torch.nn.functional.avg_pool2d(difference, 3, stride=1)
    found = (total - 9 * (sr - hr).double()) / 16
    expected = (found.square() + 0.05**2).sqrt().mean()
    assert float(Edge(epsilon=0.05)(sr, hr)) == pytest.approx(float(expected), rel=1e-5)


def test_total_variation_by_hand():
    image = torch.tensor([[0.0, 0.5, 0.25], [1.0, 0.5, 0.25]]).expand(2, 3, 2, 3)
    expected = (1.0 + 0 + 0) / 3 + (0.5 + 0.25 + 0.5 + 0.25) / 4
    assert math.isclose(TotalVariation()(image, torch.rand(2, 3, 2, 3)), expected, rel_tol=1e-6)


def test_total_variation_is_smallest_for_a_flat_and_greatest_for_a_checked_image():
    flat = torch.full((1, 3, 6, 6), 0.7)
    checked = ((torch.arange(6)[:, None] + torch.arange(6)) % 2).float().expand(1, 3, 6, 6)
    assert TotalVariation()(flat, checked) == 0
    assert TotalVariation()(checked, flat) == 2
