"""Separable filters with taps of their own for every sample."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor


def centred_positions(size: int, like: Tensor) -> Float[Tensor, " size"]:
    """-(size-1)/2 ... (size-1)/2."""
    return torch.arange(size, device=like.device, dtype=torch.float32) - (size - 1) / 2


def gaussian_taps(
    sigma: Float[Tensor, " n"], support: Int64[Tensor, " n"], size: int
) -> Float[Tensor, "n size"]:
    """Normalised Gaussian taps exp(-x^2 / 2 sigma^2), zero outside each sample's support.

    Args:
        sigma: standard deviations in pixels, > 0.
        support: odd kernel sizes, at most `size`.
        size: length of the taps, odd.
    """
    x = centred_positions(size, sigma)
    taps = torch.exp(-0.5 * (x / sigma[:, None]) ** 2) * (x.abs() <= (support[:, None] - 1) / 2)
    return taps / taps.sum(1, keepdim=True)


def box_taps(support: Int64[Tensor, " n"], size: int) -> Float[Tensor, "n size"]:
    """1 / support inside each sample's support, zero outside."""
    x = centred_positions(size, support)
    return (x.abs() <= (support[:, None] - 1) / 2) / support[:, None].float()


def separable_filter(
    x: Float[Tensor, "n c h w"],
    taps: Float[Tensor, "n k"],
    *,
    stride: int = 1,
    pad: tuple[int, int],
) -> Float[Tensor, "n c oh ow"]:
    """Correlate rows and columns of each sample with its own taps.

    Args:
        x: images.
        taps: one symmetric-axis kernel a sample, used along both axes.
        stride: step between outputs.
        pad: pixels repeated from the border before and after each axis.
    """
    n, c, _, _ = x.shape
    kernel = taps.repeat_interleave(c, 0)
    # One group an image and channel: conv2d then reads every sample with its own kernel at once.
    flat = F.pad(x, (*pad, *pad), mode="replicate").reshape(1, n * c, x.shape[2] + sum(pad), -1)
    flat = F.conv2d(flat, kernel[:, None, None, :], stride=(1, stride), groups=n * c)
    flat = F.conv2d(flat, kernel[:, None, :, None], stride=(stride, 1), groups=n * c)
    return flat.view(n, c, flat.shape[2], flat.shape[3])
