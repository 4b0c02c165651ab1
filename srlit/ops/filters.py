"""Filters with different taps per sample; the border pixel is repeated outside."""

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from scipy.fft import next_fast_len
from torch import Tensor

Planes = Float[Tensor, "n c h w"]

# Minimum number of samples for which they are worth having as the innermost axis.
MIN_LANES = 4


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


def separable_filter(
    x: Planes, taps: Float[Tensor, "n k"], *, stride: int = 1, pad: tuple[int, int]
) -> Float[Tensor, "n c oh ow"]:
    """Correlate rows and columns of each sample with its own taps.

    Args:
        x: images, float32 or float64.
        taps: one kernel per sample, used along both axes.
        stride: step between outputs.
        pad: pixels repeated from the border before and after each axis.
    """
    n, c, h, w = x.shape
    taps = taps.to(x.dtype)
    if x.is_cpu and x.dtype is torch.float64:
        # A CPU's convolutions take five to seven times as long as a sum of shifted images.
        padded = F.pad(x, (*pad, *pad), mode="replicate")
        return _sum_down(_sum_down(padded, taps, stride).mT, taps, stride).mT
    if n < MIN_LANES or not x.is_cpu:
        planes, own = x.reshape(1, n * c, h, w), taps.repeat_interleave(c, 0)
        filtered = _filter_planes(planes, own, stride, pad).contiguous()
        return filtered.view(n, c, *filtered.shape[2:])
    # A CPU is fastest with samples innermost, and with buffers so small that they stay mapped.
    oh, ow = ((side + sum(pad) - taps.shape[1]) // stride + 1 for side in (h, w))
    result = x.new_empty(n, c, oh, ow)
    for channel in range(c):
        result[:, channel] = _filter_planes(x[None, :, channel], taps, stride, pad)[0]
    return result


def _filter_planes(
    planes: Float[Tensor, "1 g h w"], taps: Float[Tensor, "g k"], stride: int, pad: tuple[int, int]
) -> Float[Tensor, "1 g oh ow"]:
    """A depthwise convolution: every plane with its own taps."""
    planes = F.pad(planes, (*pad, *pad), mode="replicate")
    if planes.is_cpu:
        planes = planes.contiguous(memory_format=torch.channels_last)
    groups = len(taps)
    planes = F.conv2d(planes, taps[:, None, None, :], stride=(1, stride), groups=groups)
    return F.conv2d(planes, taps[:, None, :, None], stride=(stride, 1), groups=groups)


def _sum_down(x: Planes, taps: Float[Tensor, "n k"], stride: int) -> Float[Tensor, "n c oh w"]:
    """Correlate along columns: every row of the output is a sum of rows, times their taps."""
    size = taps.shape[1]
    end = x.shape[2] - size + 1
    # Kernels are padded to the longest: skip taps that are zero for all samples.
    first, *others = taps.any(0).nonzero().flatten().tolist() or [0]
    weights = taps[:, :, None, None, None].unbind(1)
    total = x[:, :, first : end + first : stride] * weights[first]
    for tap in others:
        total.addcmul_(x[:, :, tap : end + tap : stride], weights[tap])
    return total


def gaussian_blur(x: Planes, sigma: float) -> Planes:
    """A Gaussian low-pass, taps up to 4 sigma away.

    Args:
        x: images, float32 or float64.
        sigma: standard deviation in pixels, > 0.
    """
    reach = math.ceil(4 * sigma)
    position = centred_positions(2 * reach + 1, x)
    taps = torch.exp(-0.5 * (position / sigma) ** 2)
    return separable_filter(x, (taps / taps.sum()).expand(len(x), -1), pad=(reach, reach))


def sobel(x: Planes) -> Float[Tensor, "n c 2 h w"]:
    """Horizontal and vertical derivative: central differences, smoothed by 1 2 1 across.

    kornia's `spatial_gradient` is the same, but copies its kernel to the device at each call,
    which waits for a GPU.
    """
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    across = (padded[..., :-2, :] + 2 * padded[..., 1:-1, :] + padded[..., 2:, :]) / 4
    along = (padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:]) / 4
    right = (across[..., 2:] - across[..., :-2]) / 2
    down = (along[..., 2:, :] - along[..., :-2, :]) / 2
    return torch.stack([right, down], 2)


def dense_filter(x: Planes, kernels: Float[Tensor, "n k k"]) -> Planes:
    """Correlate each sample with its own square kernel, in the frequency domain.

    One transform of an image costs the same for any kernel, on a CPU a twenty-fifth of a
    convolution with 21x21 taps.

    Args:
        x: images, float32 or float64.
        kernels: odd sides.
    """
    if x.is_cpu and len(x) > 1:  # one sample fits the caches
        return torch.cat([dense_filter(*p) for p in zip(x.split(1), kernels.split(1), strict=True)])
    h, w = x.shape[-2:]
    kernels = kernels.to(x.dtype)
    size = kernels.shape[-1]
    padded = F.pad(x, (size // 2,) * 4, mode="replicate")
    # The wrap around the end of a transform spoils the first size - 1 rows and columns only.
    shape = fast_length(h + size - 1), fast_length(w + size - 1)
    spectrum = torch.fft.rfft2(padded, shape)
    # Convolution with the kernel turned by 180 degrees is correlation.
    spectrum.mul_(torch.fft.rfft2(kernels.flip(1, 2), shape)[:, None])
    return torch.fft.irfft2(spectrum, shape)[..., size - 1 : size - 1 + h, size - 1 : size - 1 + w]


def unsharp_mask(x: Planes, *, sigma: float, size: int, amount: float, threshold: float) -> Planes:
    """Add the difference to a blurred image where it exceeds a threshold.

    Args:
        x: images in [0, 1].
        sigma: of the Gaussian blur, in pixels.
        size: odd side of its kernel.
        amount: factor of the difference.
        threshold: minimum difference, in [0, 1]; the mask of where it is exceeded is blurred too.

    Returns:
        Images in [0, 1].

    Source: Real-ESRGAN's USMSharp.
    """
    row = x.new_ones(len(x), dtype=torch.float64)
    taps = gaussian_taps(row * sigma, row.long() * size, size)
    kernels = taps[:, :, None] * taps[:, None, :]
    difference = x - dense_filter(x, kernels)
    mask = dense_filter((difference.abs() > threshold).to(x.dtype), kernels)
    sharp = torch.add(x, difference, alpha=amount).clamp_(0, 1)
    return torch.lerp(x, sharp, mask)


@lru_cache(maxsize=1024)
def fast_length(minimum: int) -> int:
    """The next multiple of 8 whose only prime factors are 2, 3 and 5, for which FFTs are fast."""
    return 8 * next_fast_len(-(-minimum // 8), real=True)
