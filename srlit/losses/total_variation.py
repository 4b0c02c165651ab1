"""Total variation: a smoothness prior on the restored image."""

from kornia.losses import total_variation
from torch import nn

from srlit.types import Images, Scalar


class TotalVariation(nn.Module):
    """Mean absolute difference of vertical neighbours plus that of horizontal ones.

    Source: Rudin, Osher, Fatemi 1992, in the anisotropic form. It depends on the restored image
    only and pulls it towards a flat one: 0 for a constant, at most 2 for images in [0, 1].
    """

    zero_at_equality = False

    def forward(self, sr: Images, hr: Images) -> Scalar:  # noqa: ARG002
        """Mean over neighbours, channels and the batch."""
        return total_variation(sr, reduction="mean").mean()
