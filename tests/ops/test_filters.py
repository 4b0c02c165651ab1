import pytest
import torch
from scipy import ndimage

from srlit.ops.filters import dense_filter, gaussian_taps, separable_filter, unsharp_mask


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


@pytest.mark.parametrize("size", [1, 5, 21])
def test_dense_kernels_are_scipys_correlation(size):
    x = torch.rand(3, 3, 37, 45)
    kernels = torch.rand(3, size, size)
    kernels /= kernels.sum((1, 2), keepdim=True)
    ours = dense_filter(x, kernels)
    for i in range(3):
        for c in range(3):
            reference = ndimage.correlate(x[i, c].numpy(), kernels[i].numpy(), mode="nearest")
            torch.testing.assert_close(ours[i, c], torch.from_numpy(reference), atol=2e-6, rtol=0)
        assert torch.equal(ours[i : i + 1], dense_filter(x[i : i + 1], kernels[i : i + 1]))


def test_unsharp_mask_is_scipys_formula():
    x = torch.rand(1, 1, 40, 50)
    ours = unsharp_mask(x, sigma=1.5, size=11, amount=0.5, threshold=0.1)
    t = torch.arange(11.0) - 5
    taps = torch.exp(-t * t / 4.5)
    kernel = (torch.outer(taps, taps) / taps.sum() ** 2).numpy()
    image = x[0, 0].numpy()
    difference = image - ndimage.correlate(image, kernel, mode="nearest")
    mask = ndimage.correlate((abs(difference) > 0.1).astype("float32"), kernel, mode="nearest")
    sharp = (image + 0.5 * difference).clip(0, 1)
    expected = torch.from_numpy(mask * sharp + (1 - mask) * image)
    torch.testing.assert_close(ours[0, 0], expected, atol=1e-5, rtol=0)
    flat = torch.full((1, 3, 30, 30), 0.5)
    torch.testing.assert_close(unsharp_mask(flat, sigma=1, size=5, amount=1, threshold=0.0), flat)
