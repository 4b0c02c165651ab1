"""Losses between features of pretrained networks."""

from collections.abc import Iterable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from srlit.ops.precision import feature_precision
from srlit.perceptual.backbones import Backbone, load_backbone, load_lpips
from srlit.types import Images, Scalar

DISTANCES = ("l1", "l2")
Features = dict[str, Float[Tensor, "n _ _ _"]]


def backbone_with(
    layers: Iterable[str], term: str, net: str, weights_dir: str | None, *, allow_untrained: bool
) -> Backbone:
    """The shared backbone, which has these layers.

    Raises:
        ValueError: it has not; or `net` is unknown.
        MissingWeightsError: no weights.
    """
    backbone = load_backbone(net, weights_dir, allow_untrained=allow_untrained)
    if unknown := sorted(set(layers) - set(backbone.layers)):
        msg = (
            f"{term}: {net} has no layer {', '.join(unknown)}; it has {', '.join(backbone.layers)}"
        )
        raise ValueError(msg)
    return backbone


def features(backbone: Backbone, image: Images, layers: Iterable[str]) -> Features:
    """Features to compare: computed in what the device is fast at, given in float32."""
    with feature_precision(image.device):
        found = backbone.to(image.device)(image.float(), layers)
    return {name: value.float() for name, value in found.items()}


def relative_distance(
    sr: Float[Tensor, "n c h w"], hr: Float[Tensor, "n c h w"], distance: str
) -> Scalar:
    """Difference of features in units of the target's own mean magnitude, mean over samples.

    l1: mean |sr - hr| / mean |hr|; l2: mean (sr - hr)^2 / mean hr^2, means within a sample.
    """
    axes = (1, 2, 3)
    if distance == "l1":
        ratio = (sr - hr).abs().mean(axes) / hr.abs().mean(axes).clamp(min=1e-8)
    else:
        ratio = (sr - hr).square().mean(axes) / hr.square().mean(axes).clamp(min=1e-8)
    return ratio.mean()


class PerceptualLoss(nn.Module):
    """Weighted differences of a backbone's features (Johnson et al. 2016).

    Each layer's difference is relative to the target's mean activation there. So the same
    weights hold for every release of a network (Caffe's VGG19 works in 0-255 and its activations
    are two orders of magnitude above those of weights trained on normalised input).

    Args:
        net: backbone, one of `srlit.perceptual.backbones.NETS`.
        layers: layer name to weight.
        distance: 'l1' or 'l2'.
        weights_dir: folder of pretrained weights; None looks further.
        allow_untrained: take random features where no weights can be had.

    Raises:
        ValueError: an unknown layer or distance.
        MissingWeightsError: no weights.
    """

    def __init__(
        self,
        *,
        net: str,
        layers: Mapping[str, float],
        distance: str = "l1",
        weights_dir: str | None = None,
        allow_untrained: bool = False,
    ) -> None:
        super().__init__()
        backbone = backbone_with(
            layers, "perceptual loss", net, weights_dir, allow_untrained=allow_untrained
        )
        if distance not in DISTANCES:
            msg = f"perceptual loss: distance={distance!r}, expected one of {', '.join(DISTANCES)}"
            raise ValueError(msg)
        self.layers = dict(layers)
        self.distance = distance
        # In a tuple, so that the shared backbone is no submodule: no checkpoint shall hold it.
        self._shared = (backbone,)

    def forward(self, sr: Images, hr: Images) -> Scalar:
        """Sum over layers of weight * relative distance; no graph through hr."""
        [backbone] = self._shared
        found = features(backbone, sr, self.layers)
        with torch.no_grad():
            target = features(backbone, hr, self.layers)
        parts = [
            weight * relative_distance(found[name], target[name], self.distance)
            for name, weight in self.layers.items()
        ]
        return torch.stack(parts).sum()


class LPIPSLoss(nn.Module):
    """LPIPS as a loss; judge the result by another network's LPIPS.

    Args:
        net: 'alex', 'vgg' or 'squeeze'.
        weights_dir: folder of pretrained weights; None looks further.
        allow_untrained: take random features where no weights can be had.
    """

    def __init__(
        self, *, net: str, weights_dir: str | None = None, allow_untrained: bool = False
    ) -> None:
        super().__init__()
        self._shared = (load_lpips(net, weights_dir, allow_untrained=allow_untrained),)

    def forward(self, sr: Images, hr: Images) -> Scalar:
        """Mean distance over the batch; no graph through hr."""
        distance = self._shared[0].to(sr.device)
        with feature_precision(sr.device):
            found = distance.features(sr.float())
            with torch.no_grad():
                target = distance.features(hr.float())
        return distance.between(found, target).mean()
