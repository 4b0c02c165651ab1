"""DISTS as a loss."""

import torch
from torch import nn

from srlit.ops.precision import feature_precision
from srlit.perceptual.backbones import load_dists
from srlit.types import Images, Scalar


class DISTSLoss(nn.Module):
    """Deep image structure and texture similarity as a loss (Ding et al. 2020).

    In 0 to 2, and 0 for equal images. Patches are taken as they are.

    Args:
        weights_dir: folder of pretrained weights (VGG16); None looks further.
        allow_untrained: take random features where no weights can be had.

    Raises:
        MissingWeightsError: no VGG16, or no learned weights of its channels.
    """

    def __init__(self, *, weights_dir: str | None = None, allow_untrained: bool = False) -> None:
        super().__init__()
        # In a tuple, so that the shared backbone is no submodule: no checkpoint shall hold it.
        self._shared = (load_dists(weights_dir, allow_untrained=allow_untrained),)

    def forward(self, sr: Images, hr: Images) -> Scalar:
        """Mean over the batch; no graph through hr."""
        distance = self._shared[0].to(sr.device)
        with feature_precision(sr.device):
            found = distance.features(sr.float())
            with torch.no_grad():
                target = distance.features(hr.float())
        return distance.between(found, target).mean()
