"""Stages made of stages: in a row, sometimes, one of several, in an order drawn per sample."""

from collections.abc import Mapping, Sequence
from fractions import Fraction

import torch
from jaxtyping import Bool
from torch import Tensor

from srlit.degradation.checks import check_number, check_weights
from srlit.degradation.stages import Share, Stage, share_after_all
from srlit.ops.ragged_batch import Params, RaggedBatch, apply_to_rows
from srlit.ops.rng import RowGenerator

WHOLE = Fraction(1)


class Sequential(Stage):
    """Stages in a row.

    Args:
        stages: name to stage, in order of application.
    """

    def __init__(self, *, stages: Mapping[str, Stage]) -> None:
        self.stages = dict(stages)

    def sample(self, rows: RowGenerator) -> Params:
        """Draw every stage's parameters, `NAME.PARAMETER`, each stage from a stream of its own."""
        return {
            f"{name}.{key}": value
            for name, stage in self.stages.items()
            for key, value in stage.sample(rows.child(name)).items()
        }

    def apply(self, canvas: RaggedBatch, params: Params) -> RaggedBatch:
        """One after the other.

        Raises:
            ValueError: the images do not suit a stage, which is named.
        """
        for name, stage in self.stages.items():
            canvas = apply_named(name, stage, canvas, part(params, name))
        return canvas

    def share_after(self, share: Share) -> Share:
        """After the last one."""
        return share_after_all(list(self.stages.values()), share)

    def names(self) -> Mapping[str, Sequence[str]]:
        """Those of every stage."""
        return {
            f"{name}.{key}": value
            for name, stage in self.stages.items()
            for key, value in stage.names().items()
        }


def part(params: Params, name: str) -> Params:
    """The parameters of one stage."""
    prefix = f"{name}."
    return {key.removeprefix(prefix): v for key, v in params.items() if key.startswith(prefix)}


def apply_named(name: str, stage: Stage, canvas: RaggedBatch, params: Params) -> RaggedBatch:
    """Apply a stage; its errors say which one it is."""
    try:
        return stage.apply(canvas, params)
    except ValueError as error:
        msg = f"stage {name!r}: {error}"
        raise ValueError(msg) from error


def _apply_to_chosen(
    chosen: Bool[Tensor, " n"], name: str, stage: Stage, canvas: RaggedBatch, params: Params
) -> RaggedBatch:
    """Apply a stage to some samples."""

    def apply(rest: RaggedBatch, own: Params) -> RaggedBatch:
        return apply_named(name, stage, rest, own)

    return apply_to_rows(chosen, apply, canvas, params)


class RandomApply(Sequential):
    """Stages that are left out for some samples.

    Args:
        p: probability that they are applied.
        stages: name to stage, in order of application.
    """

    def __init__(self, *, p: float, stages: Mapping[str, Stage]) -> None:
        super().__init__(stages=stages)
        self.p = check_number("RandomApply.p", p, 0, 1)

    def sample(self, rows: RowGenerator) -> Params:
        """Draw `used` (n,) and the stages' parameters."""
        return {"used": rows.bernoulli(self.p), **super().sample(rows)}

    def apply(self, canvas: RaggedBatch, params: Params) -> RaggedBatch:
        """Degrade the samples that drew it."""
        return apply_to_rows(params["used"], super().apply, canvas, params)

    def share_after(self, share: Share) -> Share:
        """The same where the stages keep the size, else it varies."""
        return share if super().share_after(share) == share else None


class RandomChoice(Sequential):
    """One of several stages.

    Args:
        stages: name to stage.
        weights: how often each is taken; equally often without it.
    """

    def __init__(
        self, *, stages: Mapping[str, Stage], weights: Sequence[float] | None = None
    ) -> None:
        super().__init__(stages=stages)
        self.weights = check_weights("RandomChoice.weights", weights, len(self.stages))

    def sample(self, rows: RowGenerator) -> Params:
        """Draw `choice` (n,) and every stage's parameters."""
        return {"choice": rows.categorical(self.weights), **super().sample(rows)}

    def apply(self, canvas: RaggedBatch, params: Params) -> RaggedBatch:
        """Each sample goes through its own stage."""
        for index, (name, stage) in enumerate(self.stages.items()):
            own = part(params, name)
            canvas = _apply_to_chosen(params["choice"] == index, name, stage, canvas, own)
        return canvas

    def share_after(self, share: Share) -> Share:
        """The same where all stages agree, else it varies."""
        shares = {stage.share_after(share) for stage in self.stages.values()}
        return shares.pop() if len(shares) == 1 else None

    def names(self) -> Mapping[str, Sequence[str]]:
        """The stages, and those of every stage."""
        return {"choice": list(self.stages), **super().names()}


class RandomOrder(Sequential):
    """Stages in an order drawn per sample, all orders equally likely.

    Args:
        stages: name to stage.
        keep_order: names of stages that keep this order among themselves; all that change the size
            must be among them.
    """

    def __init__(self, *, stages: Mapping[str, Stage], keep_order: Sequence[str] = ()) -> None:
        super().__init__(stages=stages)
        unknown = sorted({*keep_order} - {*stages})
        resizing = [name for name, stage in stages.items() if stage.share_after(WHOLE) != WHOLE]
        if unknown or (len(resizing) > 1 and not {*resizing} <= {*keep_order}):
            msg = (
                f"RandomOrder.keep_order={list(keep_order)}: expected names of {list(stages)}, "
                f"among them all that change the size ({resizing})"
            )
            raise ValueError(msg)
        self.kept = [list(stages).index(name) for name in keep_order]

    def sample(self, rows: RowGenerator) -> Params:
        """Draw `order` (n, stages), the stage at each step, and every stage's parameters."""
        places = [rows.uniform() for _ in self.stages]
        if self.kept:
            in_order = torch.stack([places[stage] for stage in self.kept], 1).sort(1).values
            for stage, place in zip(self.kept, in_order.unbind(1), strict=True):
                places[stage] = place
        return {"order": torch.stack(places, 1).argsort(1), **super().sample(rows)}

    def apply(self, canvas: RaggedBatch, params: Params) -> RaggedBatch:
        """Go through the stages again and again; each sample takes the one that is its next.

        After (stages - 1) rounds and one stage more every order has had its turn: the next stage
        comes later in the same round, or one round on.
        """
        order, count = params["order"], len(self.stages)
        stages = [(name, stage, part(params, name)) for name, stage in self.stages.items()]
        done = torch.zeros_like(order[:, 0])
        for turn in range(count * (count - 1) + 1):
            name, stage, own = stages[turn % count]
            following = order.gather(1, done.clamp(max=count - 1)[:, None])[:, 0]
            chosen = (following == turn % count) & (done < count)
            canvas = _apply_to_chosen(chosen, name, stage, canvas, own)
            done = done + chosen
        return canvas

    def share_after(self, share: Share) -> Share:
        """That of the last stage which changes the size."""
        names = list(self.stages)
        kept = [names[stage] for stage in self.kept]
        rest = [name for name in names if name not in kept]
        return share_after_all([self.stages[name] for name in [*kept, *rest]], share)

    def names(self) -> Mapping[str, Sequence[str]]:
        """The stages, and those of every stage."""
        return {"order": list(self.stages), **super().names()}
