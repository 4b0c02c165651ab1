"""A network that fails on some images, as real ones do."""

import numpy as np
import torch
from torch import nn


class Hungry(nn.Module):
    """Nearest x2; of wide images it asks for more memory than there is, of high ones it gives NaN.

    Args:
        width: from this width on torch finds no memory.
        widest: from this width on NumPy finds none.
        height: from this height on the result is NaN.
    """

    def __init__(self, width: int = 70, widest: int = 80, height: int = 70) -> None:
        super().__init__()
        self.limits = width, widest, height
        self.scale = 2
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, lr: torch.Tensor) -> torch.Tensor:
        """Enlarge."""
        width, widest, height = self.limits
        if lr.shape[-1] >= widest:
            np.empty(1 << 55)
        if lr.shape[-1] >= width:
            torch.empty(1 << 55)
        sr = lr.repeat_interleave(2, -2).repeat_interleave(2, -1) * self.gain
        return sr * float("nan") if lr.shape[-2] >= height else sr
