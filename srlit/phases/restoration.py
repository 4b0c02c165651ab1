"""Phases 1 and 2: a generator against pixel and perceptual losses."""

from collections.abc import Callable
from typing import Any

from torch.optim import Optimizer

from srlit.phases.base import MakeOptimizer, Phase
from srlit.types import Batch, Scalar


class RestorationPhase(Phase):
    """One network, one optimizer.

    Args:
        optimizer: makes the optimizer from the generator's parameters.
        shared: the arguments of `Phase`.

    Raises:
        ValueError: the loss table weighs an adversarial part.
    """

    def __init__(self, *, optimizer: MakeOptimizer, **shared: Any) -> None:  # noqa: ANN401
        super().__init__(**shared)
        if self.loss.is_adversarial:
            msg = "loss.weights has 'adversarial', but phase=restoration has no discriminator"
            raise ValueError(msg)
        self.make_optimizer = optimizer

    def make_optimizers(self) -> dict[str, Callable[[], Optimizer]]:
        """The generator's."""
        return {"generator": lambda: self.make_optimizer(self.generator.parameters())}

    def training_step(self, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002
        """One generator update."""
        losses = (self.part_loss(part) for part in batch.parts(self.micro_batches))
        self.descend(losses, self.optimizers())
        self.finish_iteration()

    def part_loss(self, part: Batch) -> Scalar:
        """The weighted sum of all terms."""
        restored = self.generate(part)
        loss_inputs = self.loss_inputs(restored)
        loss = self.loss(restored.sr, part.hr, loss_inputs=loss_inputs, iteration=self.iteration)
        self.journal.record({"loss": loss.total} | loss.named())
        self.observe(part, restored.sr)
        return loss.total
