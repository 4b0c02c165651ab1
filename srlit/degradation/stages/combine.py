"""Stages made of stages: in a row, sometimes, one of several, in a random order."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial, reduce

import torch
from jaxtyping import Bool
from torch import Tensor

from srlit.degradation.argument_types import choice_weights
from srlit.degradation.stage import FULL_SIZE, RelativeSize, Stage
from srlit.ops.ragged_batch import Params, RaggedBatch, apply_to_rows
from srlit.ops.rng import RowGenerator
from srlit.types import Fraction


class Sequential(Stage):
    """Stages in a row.

    Args:
        stages: name to stage, in order of application.
    """

    def __init__(self, *, stages: Mapping[str, Stage]) -> None:
        self.stages = dict(stages)
        self.names = {
            f"{name}.{key}": value
            for name, stage in stages.items()
            for key, value in stage.names.items()
        }

    def sample(self, rows: RowGenerator) -> Params:
        """Draw every stage's parameters, `NAME.PARAMETER`, each stage from its own stream."""
        return {
            f"{name}.{key}": value
            for name, stage in self.stages.items()
            for key, value in stage.sample(rows.child(name)).items()
        }

    def apply(self, batch: RaggedBatch, params: Params) -> RaggedBatch:
        """Apply one after the other.

        Raises:
            ValueError: the images do not suit a stage, which is named.
        """
        for name in self.stages:
            batch = self.apply_stage(name, batch, self.own(params, name))
        return batch

    def apply_stage(self, name: str, batch: RaggedBatch, params: Params) -> RaggedBatch:
        """Apply one stage; its errors say which one it is."""
        try:
            return self.stages[name].apply(batch, params)
        except ValueError as error:
            raise ValueError(f"stage {name!r}: {error}") from error

    def apply_to_chosen(
        self, chosen: Bool[Tensor, " n"], name: str, batch: RaggedBatch, params: Params
    ) -> RaggedBatch:
        """Apply one stage to some samples."""
        return apply_to_rows(chosen, partial(self.apply_stage, name), batch, params)

    @staticmethod
    def own(params: Params, name: str) -> Params:
        """The parameters of one stage."""
        prefix = f"{name}."
        return {key.removeprefix(prefix): v for key, v in params.items() if key.startswith(prefix)}

    def relative_size_after(self, before: RelativeSize) -> RelativeSize:
        """That after the last one."""
        return _size_after_all(self.stages.values(), before)


def _size_after_all(stages: Iterable[Stage], before: RelativeSize) -> RelativeSize:
    """The relative size after stages in a row."""
    return reduce(lambda size, stage: stage.relative_size_after(size), stages, before)


class RandomApply(Sequential):
    """Stages that are left out for some samples.

    Args:
        p: probability that they are applied.
        stages: name to stage, in order of application.
    """

    def __init__(self, *, p: Fraction, stages: Mapping[str, Stage]) -> None:
        super().__init__(stages=stages)
        self.p = p

    def sample(self, rows: RowGenerator) -> Params:
        """Draw `used` (n,) and the stages' parameters."""
        return {"used": rows.bernoulli(self.p), **super().sample(rows)}

    def apply(self, batch: RaggedBatch, params: Params) -> RaggedBatch:
        """Degrade the samples whose `used` is true."""
        return apply_to_rows(params["used"], super().apply, batch, params)

    def relative_size_after(self, before: RelativeSize) -> RelativeSize:
        """The same where the stages keep the size, else it varies."""
        return before if super().relative_size_after(before) == before else None


class RandomChoice(Sequential):
    """One of several stages.

    Args:
        stages: name to stage.
        weights: relative frequency of each; equal without it.
    """

    def __init__(
        self, *, stages: Mapping[str, Stage], weights: Sequence[float] | None = None
    ) -> None:
        super().__init__(stages=stages)
        self.names = {"choice": list(stages), **self.names}
        self.weights = choice_weights("RandomChoice.weights", weights, list(stages))

    def sample(self, rows: RowGenerator) -> Params:
        """Draw `choice` (n,) and every stage's parameters."""
        return {"choice": rows.categorical(self.weights), **super().sample(rows)}

    def apply(self, batch: RaggedBatch, params: Params) -> RaggedBatch:
        """Apply each sample's own stage."""
        for index, name in enumerate(self.stages):
            chosen = params["choice"] == index
            batch = self.apply_to_chosen(chosen, name, batch, self.own(params, name))
        return batch

    def relative_size_after(self, before: RelativeSize) -> RelativeSize:
        """The same where all stages agree, else it varies."""
        sizes = {stage.relative_size_after(before) for stage in self.stages.values()}
        return sizes.pop() if len(sizes) == 1 else None


class RandomOrder(Sequential):
    """Stages in an order drawn per sample, all orders equally likely.

    Args:
        stages: name to stage.
        keep_order: names of stages that keep this order among themselves; all that change the size
            must be among them.
    """

    def __init__(self, *, stages: Mapping[str, Stage], keep_order: Sequence[str] = ()) -> None:
        super().__init__(stages=stages)
        self.names = {"order": list(stages), **self.names}
        unknown = sorted({*keep_order} - {*stages})
        resizing = [n for n, s in stages.items() if s.relative_size_after(FULL_SIZE) != FULL_SIZE]
        if unknown or (len(resizing) > 1 and not {*resizing} <= {*keep_order}):
            raise ValueError(
                f"RandomOrder.keep_order={list(keep_order)}: expected names of {list(stages)}, "
                f"among them all that change the size ({resizing})"
            )
        self.kept = [list(stages).index(name) for name in keep_order]

    def sample(self, rows: RowGenerator) -> Params:
        """Draw `order` (n, stages), the stage at each step, and every stage's parameters."""
        places = [rows.uniform() for _ in self.stages]
        if self.kept:
            in_order = torch.stack([places[stage] for stage in self.kept], 1).sort(1).values
            for stage, place in zip(self.kept, in_order.unbind(1), strict=True):
                places[stage] = place
        return {"order": torch.stack(places, 1).argsort(1), **super().sample(rows)}

    def apply(self, batch: RaggedBatch, params: Params) -> RaggedBatch:
        """Cycle through the stages; each sample takes the one that is next in its order.

        count * (count - 1) + 1 turns are enough for every order: a sample's next stage comes later
        in the same cycle, or in the next one.
        """
        order, count = params["order"], len(self.stages)
        stages = [(name, self.own(params, name)) for name in self.stages]
        done = torch.zeros_like(order[:, 0])
        for turn in range(count * (count - 1) + 1):
            upcoming = order.gather(1, done.clamp(max=count - 1)[:, None])[:, 0]
            chosen = (upcoming == turn % count) & (done < count)
            name, own = stages[turn % count]
            batch = self.apply_to_chosen(chosen, name, batch, own)
            done = done + chosen
        return batch

    def relative_size_after(self, before: RelativeSize) -> RelativeSize:
        """That of the last stage which changes the size."""
        stages = list(self.stages.values())
        kept = [stages[index] for index in self.kept]
        return _size_after_all([*kept, *(s for s in stages if s not in kept)], before)
