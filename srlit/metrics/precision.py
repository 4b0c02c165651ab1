"""Numerical conditions of a measurement."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor

from srlit.ops.compute_precision import full_precision


def to_8_bit(image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """Clamped to [0, 1] and rounded to multiples of 1/255, as in an image file."""
    return (image.float().clamp(0, 1) * 255).round_().div_(255)


@contextmanager
def exactly(device: torch.device) -> Iterator[None]:
    """No gradient, no autocast, no TensorFloat-32, no choice of algorithms by their speed.

    Half precision would ruin the variances in SSIM.
    """
    deterministic = torch.backends.cudnn.flags(enabled=True, benchmark=False, allow_tf32=False)
    with torch.no_grad(), full_precision(device), deterministic:
        yield
