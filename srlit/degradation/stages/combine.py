"""Stages made of stages: in a row, sometimes, one of several, in a random order."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial, reduce

import torch
from torch import Tensor

from srlit.degradation.stage import FULL_SIZE, RelativeSize, Stage, choice_weights
from srlit.ops.ragged_batch import Params, RaggedBatch, apply_to_rows
from srlit.ops.rng import RowGenerator
from srlit.types import Fraction


class Sequential(Stage):
    """Stages in a row.

    Args:
        stages: name to stage, in order of application.
    """

    stages: Mapping[str, Stage]

    def __post_init__(self) -> None:
        self.names = {
            f"{name}.{key}": value
            for name, stage in self.stages.items()
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
            batch = self.apply_stage(name, batch, params)
        return batch

    def apply_stage(
        self, name: str, batch: RaggedBatch, params: Params, chosen: Tensor | None = None
    ) -> RaggedBatch:
        """Apply one stage, to the chosen samples only; its errors say which one it is."""
        prefix, apply = f"{name}.", self.stages[name].apply
        own = {key.removeprefix(prefix): v for key, v in params.items() if key.startswith(prefix)}
        if chosen is not None:
            apply = partial(apply_to_rows, chosen, apply)
        try:
            return apply(batch, own)
        except ValueError as error:
            raise ValueError(f"stage {name!r}: {error}") from error

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

    p: Fraction

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

    weights: Sequence[float] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.names = {"choice": list(self.stages), **self.names}
        self.frequencies = choice_weights(self.weights, list(self.stages))

    def sample(self, rows: RowGenerator) -> Params:
        """Draw `choice` (n,) and every stage's parameters."""
        return {"choice": rows.categorical(self.frequencies), **super().sample(rows)}

    def apply(self, batch: RaggedBatch, params: Params) -> RaggedBatch:
        """Apply each sample's own stage."""
        for index, name in enumerate(self.stages):
            batch = self.apply_stage(name, batch, params, params["choice"] == index)
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

    keep_order: Sequence[str] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        stages, kept = list(self.stages), list(self.keep_order)
        self.names = {"order": stages, **self.names}
        resizing = [n for n in stages if self.stages[n].relative_size_after(FULL_SIZE) != FULL_SIZE]
        if not {*kept} <= {*stages} or (len(resizing) > 1 and not {*resizing} <= {*kept}):
            expected = f"names of {stages}, among them all that change the size ({resizing})"
            raise ValueError(f"RandomOrder.keep_order={kept}: expected {expected}")
        self.kept = [stages.index(name) for name in kept]

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
        order, stages = params["order"], list(self.stages)
        count = len(stages)
        done = torch.zeros_like(order[:, 0])
        for turn in range(count * (count - 1) + 1):
            upcoming = order.gather(1, done.clamp(max=count - 1)[:, None])[:, 0]
            chosen = (upcoming == turn % count) & (done < count)
            batch = self.apply_stage(stages[turn % count], batch, params, chosen)
            done = done + chosen
        return batch

    def relative_size_after(self, before: RelativeSize) -> RelativeSize:
        """That of the last stage which changes the size."""
        stages = list(self.stages.values())
        kept = [stages[index] for index in self.kept]
        return _size_after_all([*kept, *(s for s in stages if s not in kept)], before)
