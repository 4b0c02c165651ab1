"""A degradation is a list of stages; its draws are a table that can be recorded and replayed."""

import math
from collections.abc import Mapping

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from srlit.degradation.checks import check_range
from srlit.degradation.stages import Params, Stage
from srlit.ops.rng import RowGenerator
from srlit.ops.rows import apply_to_rows

Draws = Mapping[str, Params]


class CoinFlip:
    """Two stages whose order is drawn per sample.

    Args:
        first: applied first where the coin says so, else second.
        second: the other one.
        p: probability that `first` comes first.
    """

    shrink = 1

    def __init__(self, *, first: Stage, second: Stage, p: float = 0.5) -> None:
        if (first.shrink, second.shrink) != (1, 1):
            msg = "CoinFlip: expected two stages that keep the size"
            raise ValueError(msg)
        check_range("CoinFlip.p", (0, p), 0, 1)
        self.first, self.second, self.p = first, second, p

    def sample(self, rows: RowGenerator) -> Params:
        """Draw the coin, `first_leads` (n,), and both stages' parameters."""
        draws = {"first_leads": rows.bernoulli(self.p)}
        for name, stage in (("first", self.first), ("second", self.second)):
            drawn = stage.sample(rows.child(name))
            draws.update({f"{name}.{key}": value for key, value in drawn.items()})
        return draws

    def apply(self, x: Float[Tensor, "n 3 h w"], params: Params) -> Float[Tensor, "n 3 h w"]:
        """`first`, `second`, `first` in a row; each sample takes one turn of `first`."""
        leads = params["first_leads"]
        first, second = _part(params, "first."), _part(params, "second.")
        x = apply_to_rows(leads, self.first.apply, x, first)
        x = self.second.apply(x, second)
        return apply_to_rows(~leads, self.first.apply, x, first)


def _part(params: Params, prefix: str) -> Params:
    """The parameters below a prefix."""
    return {k.removeprefix(prefix): v for k, v in params.items() if k.startswith(prefix)}


class Degradation:
    """A preset: stages in order.

    Args:
        name: the preset's name, for reports.
        scale: by how much the stages shrink an image together.
        stages: name to stage, in order of application.
    """

    def __init__(self, *, name: str, scale: int, stages: Mapping[str, Stage]) -> None:
        self.name = name
        self.scale = scale
        self.stages = dict(stages)
        shrink = math.prod(stage.shrink for stage in self.stages.values())
        if shrink != scale:
            msg = (
                f"degradation {name!r} shrinks by {shrink}, but scale={scale}: "
                "exactly one stage must carry the scale"
            )
            raise ValueError(msg)

    def sample(self, keys: Int64[Tensor, " n"]) -> Draws:
        """Draw every stage's parameters, a row a key; row i depends on key i alone."""
        rows = RowGenerator(keys)
        with torch.autocast(keys.device.type, enabled=False):
            return {name: stage.sample(rows.child(name)) for name, stage in self.stages.items()}

    def apply(self, hr: Float[Tensor, "n 3 h w"], draws: Draws) -> Float[Tensor, "n 3 oh ow"]:
        """Degrade with recorded draws.

        Args:
            hr: images in [0, 1] whose sizes are multiples of the scale.
            draws: from `sample`, for the same number of images.

        Raises:
            ValueError: a size is no multiple of the scale.
        """
        h, w = hr.shape[-2:]
        if h % self.scale or w % self.scale:
            msg = f"degradation {self.name!r}: {h}x{w} pixels are no multiple of scale={self.scale}"
            raise ValueError(msg)
        x = hr.float()
        with torch.autocast(hr.device.type, enabled=False):  # levels of 1/255 need float32
            for name, stage in self.stages.items():
                x = stage.apply(x, draws[name])
        return x

    def __call__(
        self, hr: Float[Tensor, "n 3 h w"], keys: Int64[Tensor, " n"]
    ) -> Float[Tensor, "n 3 oh ow"]:
        """Draw and apply."""
        return self.apply(hr, self.sample(keys))
