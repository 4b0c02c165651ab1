"""Add noise of a random kind."""

from collections.abc import Sequence
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from srlit.degradation.noise_kinds import NoiseKind
from srlit.degradation.stage import Stage, choice_weights, distinct, merge_choices
from srlit.ops.ragged_batch import Params, RaggedBatch, apply_to_rows
from srlit.ops.rng import RowGenerator, pixel_field


class Noise(Stage):
    """Noise of one of several kinds, clipped to [0, 1] as by a sensor or a file.

    Args:
        kinds: the kinds.
        weights: relative frequency of each; equal without it.
    """

    kinds: Sequence[NoiseKind]
    weights: Sequence[float] | None = None

    def __post_init__(self) -> None:
        self.frequencies = choice_weights(self.weights, self.kinds)
        self.names = {"kind": distinct([kind.name for kind in self.kinds])}

    def sample(self, rows: RowGenerator) -> Params:
        """Draw `kind` (n,), its strengths, `gray` (n,) and the `key` (n,) of the noise field."""
        kind = rows.categorical(self.frequencies)
        drawn = [dict(one.sample(rows)) for one in self.kinds]
        for one, params in zip(self.kinds, drawn, strict=True):
            if one.gray:
                params["gray"] = rows.bernoulli(one.gray)
        return {"kind": kind, **merge_choices(kind, drawn), "key": rows.keys()}

    def apply(self, batch: RaggedBatch, params: Params) -> RaggedBatch:
        """Add noise of each sample's own kind."""
        # A GPU computes every kind for every sample: strengths that were not drawn must be finite.
        params = {k: v.nan_to_num(1.0) if v.is_floating_point() else v for k, v in params.items()}
        for index, kind in enumerate(self.kinds):
            batch = apply_to_rows(params["kind"] == index, partial(_add, kind), batch, params)
        return batch


def _add(kind: NoiseKind, batch: RaggedBatch, params: Params) -> RaggedBatch:
    """Noise of one kind."""
    return batch.map(partial(_noisy, kind), params)


def _noisy(kind: NoiseKind, x: Float[Tensor, "n 3 h w"], params: Params) -> Tensor:
    """Noise of one kind, from random bits that follow from each sample's key."""
    _, c, h, w = x.shape
    bits = pixel_field(params["key"], (c, h, w))
    if kind.gray:
        bits = torch.where(params["gray"].view(-1, 1, 1, 1), bits[:, :1], bits)
    return kind.noisy(x, bits, params).clamp_(0, 1)
