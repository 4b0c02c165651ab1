"""A loss between sets of features: images need not be aligned to the pixel."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from srlit.losses.perceptual import backbone_with, features
from srlit.perceptual.backbones import unit
from srlit.types import Images, Scalar

# Beside a least distance of 0 (epsilon in the paper).
EPSILON = 1e-5

FeatureMap = Float[Tensor, "n c h w"]


def cosine_distances(sr: FeatureMap, hr: FeatureMap) -> Float[Tensor, "n i j"]:
    """1 - cosine of each feature of sr with each of hr, about the mean of hr."""
    mean = hr.mean((2, 3), keepdim=True)
    own, target = (unit(x - mean).flatten(2) for x in (sr, hr))
    return (1 - own.transpose(1, 2) @ target).clamp(min=0)


def contextual_similarity(sr: FeatureMap, hr: FeatureMap, bandwidth: float) -> Float[Tensor, " n"]:
    """CX of each pair of images, in 0 to 1 (Mechrez et al. 2018, eq. 1 to 4).

    Every feature of hr counts as much as the feature of sr that is most like it, where likeness is
    relative to what else that one resembles.
    """
    distances = cosine_distances(sr, hr)
    relative = distances / (distances.amin(2, keepdim=True) + EPSILON)
    likeness = torch.softmax((1 - relative) / bandwidth, dim=2)
    return likeness.amax(1).mean(1)


class Contextual(nn.Module):
    """-log CX of a backbone's features, summed over layers (Mechrez et al. 2018, eq. 5).

    At least 0, and near 0 for equal images. A layer with k positions an image takes k^2 numbers an
    image: with a VGG's fourth block that is 1 million for patches of 256 pixels.

    Args:
        net: backbone, one of `srlit.perceptual.backbones.NETS`.
        layers: layer name to weight.
        bandwidth: h of the paper, > 0; smaller is stricter.
        weights_dir: folder of pretrained weights; None looks further.
        allow_untrained: take random features where no weights can be had.

    Raises:
        ValueError: an unknown layer, or a bandwidth that is not above 0.
        MissingWeightsError: no weights.
    """

    def __init__(
        self,
        *,
        net: str,
        layers: Mapping[str, float],
        bandwidth: float = 0.5,
        weights_dir: str | None = None,
        allow_untrained: bool = False,
    ) -> None:
        super().__init__()
        if not bandwidth > 0:
            msg = f"loss term contextual: bandwidth={bandwidth}: expected above 0"
            raise ValueError(msg)
        self.layers = dict(layers)
        self.bandwidth = bandwidth
        # In a tuple, so that the shared backbone is no submodule: no checkpoint shall hold it.
        self._shared = (
            backbone_with(
                layers, "contextual loss", net, weights_dir, allow_untrained=allow_untrained
            ),
        )

    def forward(self, sr: Images, hr: Images) -> Scalar:
        """Mean over the batch; no graph through hr."""
        [backbone] = self._shared
        found = features(backbone, sr, self.layers)
        with torch.no_grad():
            target = features(backbone, hr, self.layers)
        parts = [
            -weight * contextual_similarity(found[name], target[name], self.bandwidth).log()
            for name, weight in self.layers.items()
        ]
        return torch.stack(parts).sum(0).mean()
