"""Phase 3: a generator trained by pixel and perceptual losses and against a discriminator."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import nn

from srlit.losses.composite import GIVEN
from srlit.losses.criteria import AdversarialCriterion
from srlit.losses.diff_augment import DiscriminatorAugment
from srlit.losses.penalties import Penalty
from srlit.phases.base import MakeOptimizer, Phase, Restored, clone_buffers
from srlit.types import Batch, Images, NonNegativeInt, Positive, Scalar


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Let gradients flow through a network without changing it.

    In evaluation mode, as batch and spectral normalisation change buffers in training mode.
    """
    was_training = network.training
    network.requires_grad_(requires_grad=False).eval()
    try:
        yield
    finally:
        network.requires_grad_(requires_grad=True).train(was_training)


class AdversarialPhase(Phase):
    """Two networks, two optimizers; the discriminator is updated first.

    Args:
        discriminator: maps images to logits.
        criterion: the adversarial losses of both networks.
        generator_optimizer: makes the optimizer from the generator's parameters.
        discriminator_optimizer: makes the optimizer from the discriminator's parameters.
        d_start_iteration: the generator trains alone, without an adversarial loss, before it.
        d_updates_per_g_update: below 1, some iterations have no discriminator update.
        d_augment: augmentations of the discriminator's images, real and restored alike.
        penalty: what the discriminator minimises besides; None: nothing.
        shared: the arguments of `Phase`.

    Raises:
        ValueError: the loss table has no weight for an adversarial term.
    """

    def __init__(
        self,
        *,
        discriminator: nn.Module,
        criterion: AdversarialCriterion,
        generator_optimizer: MakeOptimizer,
        discriminator_optimizer: MakeOptimizer,
        d_start_iteration: NonNegativeInt = 0,
        d_updates_per_g_update: Positive = 1.0,
        d_augment: Sequence[DiscriminatorAugment] = (),
        penalty: Penalty | None = None,
        **shared: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**shared)
        if not self.loss.is_adversarial:
            raise ValueError("phase=adversarial needs a weight for 'adversarial' in loss.weights")
        self.discriminator = discriminator.to(memory_format=torch.channels_last)
        self.criterion = criterion
        self.make_generator_optimizer = generator_optimizer
        self.make_discriminator_optimizer = discriminator_optimizer
        self.d_start_iteration = d_start_iteration
        self.d_updates_per_g_update = d_updates_per_g_update
        self.d_augment = list(d_augment)
        self.penalty = penalty

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Both optimizers and their schedules; rows show the first one's learning rate."""
        generator = self.make_generator_optimizer(self.generator.parameters())
        discriminator = self.make_discriminator_optimizer(self.discriminator.parameters())
        return self.with_schedules([generator, discriminator])

    def training_step(self, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002
        """Update the discriminator, then the generator, by the same restored batch."""
        g_optimizer, d_optimizer = self.trainer.optimizers
        generator_buffers = clone_buffers(self.generator)
        restored = self.restored(batch.parts(self.micro_batches))

        for number in self.discriminator_updates(self.iteration):
            losses = (self.discriminator_loss(part, number) for part in restored())
            buffers = clone_buffers(self.discriminator)
            self.update("discriminator", self.discriminator, d_optimizer, losses, buffers)

        with frozen(self.discriminator):
            losses = (self.generator_loss(part) for part in restored())
            self.update("generator", self.generator, g_optimizer, losses, generator_buffers)

        self.update_ema()
        self.finish_iteration()

    def restored(self, batches: list[Batch]) -> Callable[[], Iterable[Restored]]:
        """A function that gives the restored micro-batches, called for each update.

        A whole batch is restored once for all updates. Micro-batches are restored in each update:
        keeping their graphs would take the memory that they are there to save.
        """
        if len(batches) == 1:
            once = [self.generate(batches[0])]
            return lambda: once
        return lambda: (self.generate(batch) for batch in batches)

    def discriminator_updates(self, iteration: int) -> range:
        """Numbers of the discriminator's updates in an iteration, counted from the first of all."""
        begin = max(0, iteration - self.d_start_iteration)
        end = max(0, iteration - self.d_start_iteration + 1)
        ratio = self.d_updates_per_g_update
        return range(math.floor(begin * ratio), math.floor(end * ratio))

    def discriminator_loss(self, restored: Restored, number: int) -> Scalar:
        """The criterion, by one forward pass over real and restored images, and the penalty.

        Args:
            restored: a micro-batch; no gradient reaches the generator.
            number: of the discriminator's update, counted from 0; the penalty depends on it.
        """
        images = self.augment(torch.cat([restored.batch.hr, restored.sr.detach()]))
        real_logits, fake_logits = self.logits(images).chunk(2)
        loss = self.criterion.discriminator(real_logits, fake_logits)
        if self.criterion.chance is not None:
            self.running_means.record({"d_loss_vs_chance": loss / self.criterion.chance})
        real, fake = real_logits.mean(), fake_logits.mean()
        logits = {"logits/real": real, "logits/fake": fake, "logits/gap": real - fake}
        self.running_means.record({"discriminator": loss} | logits)
        if self.penalty is not None and self.penalty.is_due(number):
            penalty = self.penalty(self.logits, *images.chunk(2))
            self.running_means.record({"penalty": penalty})
            loss = loss + penalty
        return loss

    def generator_loss(self, restored: Restored) -> Scalar:
        """The weighted sum of all terms."""
        batch, sr, _ = restored
        adversarial = self.adversarial_loss(sr, batch.hr)
        inputs = self.loss_inputs(restored)
        parts = self.loss(sr, batch.hr, adversarial, loss_inputs=inputs, iteration=self.iteration)
        self.record_losses(parts, batch, sr)
        return parts.total

    def adversarial_loss(self, sr: Images, hr: Images) -> Scalar | None:
        """The generator's adversarial criterion; None while its weight is 0.

        Only a relativistic criterion needs the logits of real images, without a gradient.
        """
        has_weight = self.loss.weights_at(self.iteration)[GIVEN] != 0
        if self.iteration < self.d_start_iteration or not has_weight:
            return None
        real_logits = None
        if self.criterion.relativistic:
            with torch.no_grad():
                real_logits = self.logits(self.augment(hr))
        return self.criterion.generator(self.logits(self.augment(sr)), real_logits)

    def augment(self, images: Images) -> Images:
        """Augment the discriminator's images."""
        for augmentation in self.d_augment:
            images = augmentation(images, self.iteration)
        return images

    def logits(self, images: Images) -> torch.Tensor:
        """The discriminator's logits, in float32 for the criterion.

        Its layers run in the training's precision: they take half of a step's time.
        """
        images = images.contiguous(memory_format=torch.channels_last)
        logits: torch.Tensor = self.discriminator(images)
        return logits.float()
