"""Blur kernels as dense squares, one per sample, normalised to a sum of 1.

Every function takes parameters of n rows and a common odd `size`, the side of the square; a
sample's own `support` is the part of it that may differ from zero. Angles are in radians,
from the x axis to the y axis, which points downwards; lengths are in pixels.
"""

import math

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from srlit.ops.filters import centred_positions

Kernels = Float[Tensor, "n k k"]
MIN_PATH_POINTS = 33


def grid(size: int, like: Tensor) -> tuple[Float[Tensor, "1 k"], Float[Tensor, "k 1"]]:
    """The x and y of every element, 0 in the middle."""
    positions = centred_positions(size, like)
    return positions[None, :], positions[:, None]


def inside(support: Int64[Tensor, " n"], size: int) -> Bool[Tensor, "n k k"]:
    """True inside each sample's support."""
    x, y = grid(size, support)
    return torch.maximum(x.abs(), y.abs()) <= (support.view(-1, 1, 1) - 1) / 2


def normalised(kernels: Kernels) -> Kernels:
    """Divide by the sum."""
    return kernels / kernels.sum((1, 2), keepdim=True)


def quadratic_form(
    sigma_x: Float[Tensor, " n"],
    sigma_y: Float[Tensor, " n"],
    angle: Float[Tensor, " n"],
    size: int,
) -> Kernels:
    """The form p' S^-1 p where S = R diag(sigma_x^2, sigma_y^2) R', R turns by `angle`."""
    x, y = grid(size, sigma_x)
    cos, sin = angle.cos().view(-1, 1, 1), angle.sin().view(-1, 1, 1)
    along, across = cos * x + sin * y, cos * y - sin * x
    return (along / sigma_x.view(-1, 1, 1)) ** 2 + (across / sigma_y.view(-1, 1, 1)) ** 2


def generalised_gaussian(q: Kernels, beta: Float[Tensor, " n"]) -> Kernels:
    """exp(-q^beta / 2): beta 1 is the Gaussian, smaller has heavier tails, larger is flatter.

    Source: Y. Liu et al., "Estimating generalized Gaussian blur kernels for out-of-focus image
    deblurring" (TCSVT 2020), as used by Real-ESRGAN (X. Wang et al., ICCVW 2021, section 3.1).
    """
    return torch.exp(-0.5 * q ** beta.view(-1, 1, 1))


def plateau(q: Kernels, beta: Float[Tensor, " n"]) -> Kernels:
    """1 / (1 + q^beta): flat in the middle. Source: Real-ESRGAN, section 3.1."""
    return 1 / (1 + q ** beta.view(-1, 1, 1))


def sinc(cutoff: Float[Tensor, " n"], size: int) -> Kernels:
    """Circular low-pass filter c J1(c r) / (2 pi r), which rings like sharpening and JPEG.

    Args:
        cutoff: highest frequency that passes, in radians per pixel, up to pi.
        size: side of the square.

    Source: Real-ESRGAN, eq. 5.
    """
    x, y = grid(size, cutoff)
    r = (x**2 + y**2).sqrt()
    c = cutoff.view(-1, 1, 1)
    ring = c * torch.special.bessel_j1(c * r) / (2 * math.pi * r.clamp(min=0.5))
    return torch.where(r == 0, c**2 / (4 * math.pi), ring)


def disk(radius: Float[Tensor, " n"], size: int) -> Kernels:
    """Defocus: a disk whose rim fades over one pixel."""
    x, y = grid(size, radius)
    r = (x**2 + y**2).sqrt()
    return (radius.view(-1, 1, 1) + 0.5 - r).clamp(0, 1)


def motion(
    length: Float[Tensor, " n"], angle: Float[Tensor, " n"], bend: Float[Tensor, " n"], size: int
) -> Kernels:
    """A camera's path during the exposure: an arc, drawn with bilinear weights.

    Args:
        length: from end to end along the path.
        angle: direction in the middle of the path.
        bend: how much the direction turns from the middle to an end, in radians.
        size: side of the square.
    """
    points = max(MIN_PATH_POINTS, 2 * size + 1)  # less than a pixel apart: no gaps in the path
    t = torch.linspace(-1, 1, points, device=length.device)
    # The integral of (cos, sin)(angle + bend t), by the midpoints of its steps.
    direction = angle[:, None] + bend[:, None] * (t[1:] + t[:-1]) / 2
    step = length[:, None] / (points - 1)
    path_x = (step * direction.cos()).cumsum(1)
    path_y = (step * direction.sin()).cumsum(1)
    positions = centred_positions(size, length)

    def hats(path: Tensor) -> Float[Tensor, "n t k"]:
        centred = path - path.mean(1, keepdim=True)
        return (1 - (positions - centred[..., None]).abs()).clamp(min=0)

    return hats(path_y).transpose(1, 2) @ hats(path_x)
