import pytest
import torch
from scipy import ndimage

from srlit.ops.filters import box_taps, gaussian_taps, separable_filter


def test_gaussian_taps_by_hand():
    taps = gaussian_taps(torch.tensor([1.0, 0.5]), torch.tensor([3, 5]), 5)
    edge = torch.exp(torch.tensor(-0.5))
    expected = torch.tensor([0.0, edge, 1.0, edge, 0.0]) / (1 + 2 * edge)
    torch.testing.assert_close(taps[0], expected)
    torch.testing.assert_close(taps.sum(1), torch.ones(2))
    assert (taps[1] > 0).all()


def test_box_taps_by_hand():
    taps = box_taps(torch.tensor([3, 5]), 5)
    third = 1 / 3
    torch.testing.assert_close(taps[0], torch.tensor([0.0, third, third, third, 0.0]))
    torch.testing.assert_close(taps[1], torch.full((5,), 0.2))


@pytest.mark.parametrize("n", [1, 2, 4, 9])  # few and many samples are laid out differently
def test_each_sample_is_filtered_with_its_own_kernel_as_scipy_does(n):
    x = torch.rand(n, 3, 17, 13)
    taps = gaussian_taps(torch.linspace(0.6, 1.4, n), torch.full((n,), 7), 7)
    ours = separable_filter(x, taps, pad=(3, 3))
    assert ours.is_contiguous()
    for i in range(n):
        for c in range(3):
            rows = ndimage.correlate1d(x[i, c].numpy(), taps[i].numpy(), 1, mode="nearest")
            both = ndimage.correlate1d(rows, taps[i].numpy(), 0, mode="nearest")
            torch.testing.assert_close(ours[i, c], torch.from_numpy(both), atol=1e-6, rtol=0)
