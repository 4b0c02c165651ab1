"""Structural similarity, one value per image, for a metric and a loss."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from srlit.ops.filters import centred_positions, separable_filter

WINDOW = 11
SIGMA = 1.5
K1, K2 = 0.01, 0.03
MIDDLE = 0.5
# Pixels of an image that are compared at once: the maps take 250 bytes for each.
STRIP = 2**19

# Exponents of the five scales, the finest first (Wang et al. 2003).
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
# Minimum similarity of a scale: a power below 1 is undefined below 0 and has no slope at 0.
MIN_SIMILARITY = 1e-4

Planes = Float[Tensor, "n c h w"]
Maps = Float[Tensor, "n c mh mw"]
PerImage = Float[Tensor, " n"]


def ssim(sr: Planes, hr: Planes) -> PerImage:
    """Mean SSIM over the valid 11x11 Gaussian windows, sigma 1.5, peak 1.

    Source: Z. Wang et al., "Image quality assessment: from error visibility to structural
    similarity" (2004), eq. 13. Only windows that lie inside the image count, as in the authors'
    code and in MATLAB; libraries that pad the border differ by up to 4e-3.

    Raises:
        ValueError: an image is smaller than the window.
    """
    check_side(sr, 1)
    height, width = sr.shape[2] - WINDOW + 1, sr.shape[3]
    rows = max(STRIP // width, 1)
    means = []
    for top in range(0, height, rows):
        strip = slice(top, top + rows + WINDOW - 1)
        luminance, structure = similarity_maps(sr[:, :, strip], hr[:, :, strip])
        fraction = min(rows, height - top) / height
        means.append((luminance * structure).mean((1, 2, 3)) * fraction)
    return torch.stack(means).sum(0)


def ms_ssim(sr: Planes, hr: Planes, weights: Sequence[float] = SCALE_WEIGHTS) -> PerImage:
    """SSIM of several scales, each half the size of the one before; mean over channels.

    Source: Z. Wang, E. P. Simoncelli, A. C. Bovik, "Multi-scale structural similarity for image
    quality assessment" (2003), eq. 7. As in the authors' code, images shrink by the mean of 2x2
    pixels, windows are the valid ones, and the coarsest scale alone has a luminance.

    Args:
        sr: images in [0, 1].
        hr: their targets.
        weights: the exponents beta and gamma of each scale, the finest first.

    Raises:
        ValueError: an image is smaller than the window at the coarsest scale.
    """
    check_side(sr, len(weights))
    product = sr.new_ones(sr.shape[:2])
    for scale, weight in enumerate(weights, start=1):
        luminance, structure = similarity_maps(sr, hr)
        similarity = luminance * structure if scale == len(weights) else structure
        product = product * similarity.mean((2, 3)).clamp(min=MIN_SIMILARITY) ** weight
        if scale < len(weights):
            sr, hr = F.avg_pool2d(sr, 2), F.avg_pool2d(hr, 2)
    return product.mean(1)


def similarity_maps(sr: Planes, hr: Planes) -> tuple[Maps, Maps]:
    """Luminance (eq. 6), and contrast times structure (eq. 9 and 10), of every valid window.

    Raises:
        ValueError: an image is smaller than the window.
    """
    check_side(sr, 1)
    taps = torch.exp(-0.5 * (centred_positions(WINDOW, sr).to(sr.dtype) / SIGMA) ** 2)
    taps = (taps / taps.sum()).expand(len(sr), -1)
    # About the middle of the range: taps whose sum is 1 but for their last digit give a square of 1
    # a variance of 1e-7, which is 1e-5 of SSIM.
    x, y = sr - MIDDLE, hr - MIDDLE
    maps = torch.cat([x, y, x.square(), y.square(), x * y], 1)
    mean_x, mean_y, mean_xx, mean_yy, mean_xy = separable_filter(maps, taps, pad=(0, 0)).chunk(5, 1)
    covariance = mean_xy - mean_x * mean_y
    variances = mean_xx - mean_x.square() + mean_yy - mean_y.square()
    mean_x, mean_y = mean_x + MIDDLE, mean_y + MIDDLE
    c1, c2 = K1**2, K2**2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x.square() + mean_y.square() + c1)
    return luminance, (2 * covariance + c2) / (variances + c2)


def check_side(image: Planes, scales: int) -> None:
    """Check that a window fits into the coarsest scale.

    Raises:
        ValueError: it does not.
    """
    h, w = image.shape[-2:]
    minimum = WINDOW * 2 ** (scales - 1)
    if min(h, w) < minimum:
        raise ValueError(
            f"ssim over {scales} scales: got {h}x{w} pixels, "
            f"expected at least {minimum}x{minimum}: raise data.patch_size and data.eval_crop"
        )
