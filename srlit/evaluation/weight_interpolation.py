"""Networks between networks: their weights averaged, where they grew from the same one."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from srlit.checkpoint.messages import weight_differences

Weights = Mapping[str, Tensor]


def blended(states: Sequence[Weights], alphas: Sequence[float]) -> dict[str, Tensor]:
    """The weighted mean of several networks' weights.

    Networks that were trained on from the same weights can be mixed so: between one of little
    distortion and one that looks sharp lie those in between (network interpolation), and the mean
    of a training's last checkpoints is often better than each of them (a soup).

    Args:
        states: name to tensor, each of the same network.
        alphas: how much of each; their sum is 1.

    Returns:
        Name to tensor; what is no floating-point number is the first one's.

    Raises:
        ValueError: the networks differ, or alphas do not sum up to 1.

    Source: Wang et al. 2018, ESRGAN, section 3.4; Wortsman et al. 2022, Model Soups.
    """
    if len(states) != len(alphas) or abs(sum(alphas) - 1) > 1e-6:
        msg = f"alphas={list(alphas)}: expected {len(states)} numbers whose sum is 1"
        raise ValueError(msg)
    for other in states[1:]:
        if differences := weight_differences(states[0], other):
            msg = f"networks of different weights cannot be blended: {'; '.join(differences)}"
            raise ValueError(msg)
    return {name: _mean([state[name] for state in states], alphas) for name in states[0]}


def _mean(values: Sequence[Tensor], alphas: Sequence[float]) -> Tensor:
    first = values[0]
    if not first.is_floating_point():
        return first.clone()
    # In float64: the ends of an interpolation are then what they were, to the bit.
    total = torch.zeros_like(first, dtype=torch.float64)
    for value, alpha in zip(values, alphas, strict=True):
        if alpha:
            total += alpha * value.double()
    return total.to(first.dtype)
