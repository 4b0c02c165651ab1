"""A loss between features of a pretrained network."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from srlit.ops.compute_precision import feature_precision
from srlit.perceptual.backbones import Backbone, Features, load_backbone
from srlit.types import Images, NonNegative, Scalar

FeatureMap = Float[Tensor, "n c h w"]


def relative_distance(sr: FeatureMap, hr: FeatureMap, distance: str) -> Scalar:
    """Difference of features relative to the target's own mean magnitude, mean over samples.

    l1: mean |sr - hr| / mean |hr|; l2: mean (sr - hr)^2 / mean hr^2, means within a sample.
    """
    magnitude = torch.abs if distance == "l1" else torch.square
    difference, size = (magnitude(x).mean((1, 2, 3)) for x in (sr - hr, hr))
    return (difference / size.clamp(min=1e-8)).mean()


def features(backbone: Backbone, image: Images, layers: Iterable[str]) -> Features:
    """Features in float32, computed in the precision that the device is fast at."""
    with feature_precision(image.device):
        found = backbone.to(image.device)(image.float(), layers)
    return {name: value.float() for name, value in found.items()}


class FeatureLoss(nn.Module):
    """Weighted sum of a subclass's `compare` over layers of a backbone.

    Args:
        net: backbone, one of `srlit.perceptual.backbones.NETS`.
        layers: layer name to weight.
        weights_dir: folder of pretrained weights; None: the default search.
        allow_untrained: use random features if no weights are found.

    Raises:
        ValueError: an unknown backbone or layer.
        MissingWeightsError: no weights.
    """

    def __init__(
        self,
        *,
        net: str,
        layers: Mapping[str, NonNegative],
        weights_dir: str | None = None,
        allow_untrained: bool = False,
    ) -> None:
        super().__init__()
        backbone = load_backbone(net, weights_dir, allow_untrained=allow_untrained)
        if unknown := sorted(set(layers) - set(backbone.layers)):
            raise ValueError(f"layers {', '.join(unknown)}: {net} has {', '.join(backbone.layers)}")
        self.layers = dict(layers)
        # In a tuple, so that the shared backbone is no submodule and no checkpoint contains it.
        self._shared = (backbone,)

    def compare(self, sr: FeatureMap, hr: FeatureMap) -> Scalar:
        """Difference of one layer's features."""
        raise NotImplementedError

    def forward(self, sr: Images, hr: Images) -> Scalar:
        """Sum over layers of weight * compare; no graph through hr."""
        [backbone] = self._shared
        found = features(backbone, sr, self.layers)
        with torch.no_grad():
            target = features(backbone, hr, self.layers)
        parts = [w * self.compare(found[name], target[name]) for name, w in self.layers.items()]
        return torch.stack(parts).sum()


class PerceptualLoss(FeatureLoss):
    """Weighted differences of a backbone's features (Johnson et al. 2016).

    Each layer's difference is relative to the target's mean activation there, so the same weights
    hold for every release of a network (Caffe's VGG19 works in 0-255 and its activations are two
    orders of magnitude above those of weights trained on normalised input).

    Args:
        distance: between features.
        shared: arguments of `FeatureLoss`.
    """

    def __init__(self, *, distance: Literal["l1", "l2"] = "l1", **shared: Any) -> None:  # noqa: ANN401
        super().__init__(**shared)
        self.distance = distance

    def compare(self, sr: FeatureMap, hr: FeatureMap) -> Scalar:
        """Relative distance, mean over the batch."""
        return relative_distance(sr, hr, self.distance)
