"""Structural similarity, one value an image."""

import torch
from jaxtyping import Float
from torch import Tensor

from srlit.ops.filters import centred_positions, separable_filter

WINDOW = 11
SIGMA = 1.5
K1, K2 = 0.01, 0.03


def ssim(sr: Float[Tensor, "n c h w"], hr: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
    """Mean SSIM over the valid 11x11 Gaussian windows, sigma 1.5, peak 1.

    Source: Z. Wang et al., "Image quality assessment: from error visibility to structural
    similarity" (2004), eq. 13. Only windows that lie inside the image count, as in the authors'
    code and in MATLAB; libraries that pad the border differ by up to 4e-3.

    Raises:
        ValueError: an image is smaller than the window.
    """
    n, _, h, w = sr.shape
    if min(h, w) < WINDOW:
        msg = f"ssim: got {h}x{w} pixels, expected at least {WINDOW}x{WINDOW}"
        raise ValueError(msg)
    taps = torch.exp(-0.5 * (centred_positions(WINDOW, sr) / SIGMA) ** 2)
    taps = (taps / taps.sum()).expand(n, -1)
    maps = torch.cat([sr, hr, sr.square(), hr.square(), sr * hr], 1)
    mean_x, mean_y, mean_xx, mean_yy, mean_xy = separable_filter(maps, taps, pad=(0, 0)).chunk(5, 1)
    c1, c2 = K1**2, K2**2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x.square() + mean_y.square() + c1)
    covariance = mean_xy - mean_x * mean_y
    variances = mean_xx - mean_x.square() + mean_yy - mean_y.square()
    structure = (2 * covariance + c2) / (variances + c2)
    return (luminance * structure).mean((1, 2, 3))
