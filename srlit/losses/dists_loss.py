"""DISTS as a loss."""

from srlit.losses.lpips_loss import DistanceLoss
from srlit.perceptual.dists import load_dists


class DISTSLoss(DistanceLoss):
    """Deep image structure and texture similarity as a loss (Ding et al. 2020).

    In 0 to 2, and 0 for equal images. Patches are not resized.

    Args:
        weights_dir: folder of pretrained weights (VGG16); None: the default search.
        allow_untrained: use random features if no weights are found.

    Raises:
        MissingWeightsError: no VGG16, or no learned weights of its channels.
    """

    def __init__(self, *, weights_dir: str | None = None, allow_untrained: bool = False) -> None:
        super().__init__(load_dists(weights_dir, allow_untrained=allow_untrained))
