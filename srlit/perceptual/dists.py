"""DISTS: structure and texture as means and covariances of features.

Source: K. Ding et al., "Image quality assessment: unifying structure and texture similarity" (2020)
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from srlit.ops.rng import constant

# c1 and c2 of the paper: what keeps flat channels from dividing by 0.
C1 = C2 = 1e-6

FeatureMaps = Sequence[Float[Tensor, "n _ _ _"]]
ChannelWeights = Sequence[Float[Tensor, " _"]]


def l2_pool(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c oh ow"]:
    """Half the size by the root of a weighted mean of squares: no aliasing, unlike a maximum."""
    taps = constant((0.25, 0.5, 0.25), x.device, x.dtype)  # a Hann window of 5 without its zeros
    kernel = (taps[:, None] * taps).expand(x.shape[1], 1, 3, 3)
    means = F.conv2d(x.square(), kernel, stride=2, padding=1, groups=x.shape[1])
    return (means + 1e-12).sqrt()


def dists(
    sr: FeatureMaps, hr: FeatureMaps, alpha: ChannelWeights, beta: ChannelWeights
) -> Float[Tensor, " n"]:
    """1 - sum over channels of alpha * texture + beta * structure, of each pair.

    Args:
        sr: features of the restored images, a tensor a stage.
        hr: those of their targets.
        alpha: each channel's weight of texture (means), a tensor a stage.
        beta: each channel's weight of structure (covariance); all weights together sum to 1.
    """
    similar = [
        texture(x, y) @ a + structure(x, y) @ b
        for x, y, a, b in zip(sr, hr, alpha, beta, strict=True)
    ]
    return 1 - torch.stack(similar).sum(0)


def texture(x: Float[Tensor, "n c h w"], y: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c"]:
    """How alike the means of a channel are, at most 1."""
    mean_x, mean_y = x.mean((2, 3)), y.mean((2, 3))
    return (2 * mean_x * mean_y + C1) / (mean_x.square() + mean_y.square() + C1)


def structure(x: Float[Tensor, "n c h w"], y: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c"]:
    """How a channel's values vary together, at most 1."""
    x, y = (z - z.mean((2, 3), keepdim=True) for z in (x, y))
    variances = x.square().mean((2, 3)) + y.square().mean((2, 3))
    return (2 * (x * y).mean((2, 3)) + C2) / (variances + C2)
