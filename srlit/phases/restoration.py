"""Phases 1 and 2: a generator trained by pixel and perceptual losses."""

from typing import Any

from lightning.pytorch.utilities.types import OptimizerLRScheduler

from srlit.phases.base import MakeOptimizer, Phase, Restored, clone_buffers
from srlit.types import Batch, Scalar


class RestorationPhase(Phase):
    """One network, one optimizer.

    Args:
        optimizer: makes the optimizer from the generator's parameters.
        shared: the arguments of `Phase`.

    Raises:
        ValueError: the loss table has a weight for an adversarial term.
    """

    def __init__(self, *, optimizer: MakeOptimizer, **shared: Any) -> None:  # noqa: ANN401
        super().__init__(**shared)
        if self.loss.is_adversarial:
            raise ValueError("loss.weights has 'adversarial': expected phase=adversarial")
        self.make_optimizer = optimizer

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The generator's optimizer and its schedule."""
        return self.with_schedules([self.make_optimizer(self.generator.parameters())])

    def training_step(self, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002
        """Update the generator."""
        [optimizer] = self.trainer.optimizers
        buffers = clone_buffers(self.generator)
        parts = batch.parts(self.micro_batches)
        losses = (self.generator_loss(self.generate(part)) for part in parts)
        self.update("generator", self.generator, optimizer, losses, buffers)
        self.update_ema()
        self.finish_iteration()

    def generator_loss(self, restored: Restored) -> Scalar:
        """The weighted sum of all terms."""
        batch, sr, _ = restored
        inputs = self.loss_inputs(restored)
        parts = self.loss(sr, batch.hr, loss_inputs=inputs, iteration=self.iteration)
        self.record_losses(parts, batch, sr)
        return parts.total
