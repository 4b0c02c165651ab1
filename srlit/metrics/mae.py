"""Mean absolute error."""

from jaxtyping import Float
from torch import Tensor


def mae(sr: Float[Tensor, "n c h w"], hr: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
    """Mean absolute error in units of [0, 1] images."""
    return (sr - hr).abs().mean((1, 2, 3))
