"""Weighted means of networks' weights: interpolations and soups."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from srlit.checkpoint.messages import weight_differences

Weights = Mapping[str, Tensor]


def interpolate_weights(states: Sequence[Weights], alphas: Sequence[float]) -> dict[str, Tensor]:
    """The weighted mean of several networks' weights.

    It makes sense for networks that were trained on from the same weights: between one of low
    distortion and one that looks sharp lies a continuous trade-off (network interpolation), and the
    mean of a training's best checkpoints is often better than each of them (model soup).

    Args:
        states: state dicts of networks of one configuration.
        alphas: the weight of each; their sum is 1.

    Returns:
        Floating-point tensors are averaged; others are the first network's.

    Raises:
        ValueError: the networks differ, or the sum of alphas is not 1.

    Source: Wang et al. 2018, ESRGAN, section 3.4; Wortsman et al. 2022, Model Soups.
    """
    if len(states) != len(alphas) or abs(sum(alphas) - 1) > 1e-6:
        raise ValueError(f"alphas={list(alphas)}: expected {len(states)} numbers whose sum is 1")
    for other in states[1:]:
        if differences := weight_differences(states[0], other):
            msg = f"networks with different weights cannot be blended: {'; '.join(differences)}"
            raise ValueError(msg)
    return {name: _mean([state[name] for state in states], alphas) for name in states[0]}


def _mean(values: Sequence[Tensor], alphas: Sequence[float]) -> Tensor:
    first = values[0]
    if not first.is_floating_point():
        return first.clone()
    # In float64, so that alpha 0 and 1 return the networks themselves to the bit.
    used = [alpha * v.double() for v, alpha in zip(values, alphas, strict=True) if alpha]
    return torch.stack(used).sum(0).to(first.dtype)
