"""The contextual loss between sets of features: images need not be aligned to the pixel."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from srlit.losses.perceptual_loss import FeatureLoss, FeatureMap
from srlit.perceptual.lpips import unit
from srlit.types import Positive, Scalar

# Added to the minimum distance (epsilon in the paper).
EPSILON = 1e-5


def cosine_distances(sr: FeatureMap, hr: FeatureMap) -> Float[Tensor, "n i j"]:
    """1 - cosine of each feature of sr with each of hr, both centred by the mean of hr."""
    mean = hr.mean((2, 3), keepdim=True)
    own, target = (unit(x - mean).flatten(2) for x in (sr, hr))
    return (1 - own.transpose(1, 2) @ target).clamp(min=0)


def contextual_similarity(sr: FeatureMap, hr: FeatureMap, bandwidth: float) -> Float[Tensor, " n"]:
    """CX of each pair of images, in 0 to 1 (Mechrez et al. 2018, eq. 1 to 4).

    The mean over the features of hr of their similarity to the most similar feature of sr, where
    similarity is relative to the other features that this one resembles.
    """
    distances = cosine_distances(sr, hr)
    relative = distances / (distances.amin(2, keepdim=True) + EPSILON)
    similarity = torch.softmax((1 - relative) / bandwidth, dim=2)
    return similarity.amax(1).mean(1)


class Contextual(FeatureLoss):
    """-log CX of a backbone's features, summed over layers (Mechrez et al. 2018, eq. 5).

    At least 0, and near 0 for equal images. A layer with k positions takes k^2 numbers per image:
    with a VGG's fourth block that is 1 million for patches of 256 pixels.

    Args:
        bandwidth: h of the paper; smaller is stricter.
        shared: arguments of `FeatureLoss`.
    """

    zero_at_equality = False

    def __init__(self, *, bandwidth: Positive = 0.5, **shared: Any) -> None:  # noqa: ANN401
        super().__init__(**shared)
        self.bandwidth = bandwidth

    def compare(self, sr: FeatureMap, hr: FeatureMap) -> Scalar:
        """-log CX, mean over the batch."""
        return -contextual_similarity(sr, hr, self.bandwidth).log().mean()
