"""Doing something to some samples of a batch."""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor

RowFunction = Callable[[Tensor, Mapping[str, Tensor]], Tensor]


def apply_to_rows(
    chosen: Bool[Tensor, " n"],
    function: RowFunction,
    x: Float[Tensor, "n c h w"],
    params: Mapping[str, Tensor],
) -> Float[Tensor, "n c h w"]:
    """function(x, params) for the chosen samples, x for the others.

    On a CPU only the chosen samples are computed. Elsewhere all are, as asking the device how many
    there are would wait for it. Both give the same numbers where `function` treats samples apart.

    Args:
        chosen: which samples.
        function: keeps the shape of its input.
        x: the batch.
        params: tensors of n rows that belong to the samples.
    """
    if not x.is_cpu:
        return torch.where(chosen.view(-1, 1, 1, 1), function(x, params), x)
    index = chosen.nonzero().flatten()
    if len(index) == 0:
        return x
    if len(index) == len(x):
        return function(x, params)
    part = function(x[index], {name: value[index] for name, value in params.items()})
    return x.index_copy(0, index, part)
