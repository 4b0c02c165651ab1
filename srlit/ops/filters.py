"""Separable filters with taps of their own for every sample."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

FEWEST_LANES = 4


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
    n, c, h, w = x.shape
    # A depthwise convolution reads every plane with its own kernel at once. On a CPU it is fastest
    # with many planes innermost: the samples where there are enough of them, else all planes.
    lead_samples = n >= FEWEST_LANES
    planes = x.transpose(0, 1) if lead_samples else x.reshape(1, n * c, h, w)
    kernel = taps if lead_samples else taps.repeat_interleave(c, 0)
    layout = torch.channels_last if x.is_cpu else torch.contiguous_format
    planes = F.pad(planes.contiguous(memory_format=layout), (*pad, *pad), mode="replicate")
    groups = planes.shape[1]
    planes = F.conv2d(planes, kernel[:, None, None, :], stride=(1, stride), groups=groups)
    planes = F.conv2d(planes, kernel[:, None, :, None], stride=(stride, 1), groups=groups)
    filtered = planes.transpose(0, 1) if lead_samples else planes.reshape(n, c, *planes.shape[2:])
    return filtered.contiguous()
