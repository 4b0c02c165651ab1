"""Two statistics of restored images that alarms watch: contrast and colour error."""

import torch
import torch.nn.functional as F

from srlit.types import Batch, Images, Scalar

# Colours are averaged over a grid of this many squares per side, so that detail does not count.
GRID = 4


@torch.no_grad()
def image_stats(batch: Batch, sr: Images) -> dict[str, Scalar]:
    """Contrast and colour error of a restored batch.

    Args:
        batch: the images that were restored, and the targets.
        sr: the restored images.

    Returns:
        `contrast`: standard deviation of SR over that of HR; 0 for flat images. `colour_error`:
        mean absolute difference of LR and SR, both averaged over a grid of `GRID` x `GRID`
        squares, in [0, 1].
    """
    contrast = sr.std(dim=(1, 2, 3)).mean() / batch.hr.std(dim=(1, 2, 3)).mean().clamp(min=1e-3)
    lr_means, sr_means = (F.adaptive_avg_pool2d(x.float(), GRID) for x in (batch.lr, sr))
    return {"contrast": contrast, "colour_error": (lr_means - sr_means).abs().mean()}
