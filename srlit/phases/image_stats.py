"""What a glance at restored images shows, in two numbers: flatness and a colour cast."""

import torch
import torch.nn.functional as F

from srlit.types import Batch, Images, Scalar

# Squares per side that colours are averaged over: what a network changes on purpose is finer.
SQUARES = 4


@torch.no_grad()
def appearance(batch: Batch, sr: Images) -> dict[str, Scalar]:
    """Contrast and colour error of a restored batch.

    Args:
        batch: what was restored, and the targets.
        sr: the restored images.

    Returns:
        `contrast`: standard deviation of SR over that of HR, 1 where they are alike, 0 for flat
        images. `colour_error`: mean absolute difference of LR and SR, both averaged over
        `SQUARES` x `SQUARES` squares, in [0, 1].
    """
    spread = sr.std(dim=(1, 2, 3)).mean() / batch.hr.std(dim=(1, 2, 3)).mean().clamp(min=1e-3)
    casts = [F.adaptive_avg_pool2d(image.float(), SQUARES) for image in (batch.lr, sr)]
    return {"contrast": spread, "colour_error": (casts[0] - casts[1]).abs().mean()}
