"""Phase 3: a generator against pixel and perceptual losses and a discriminator."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from srlit.losses import AdversarialCriterion
from srlit.phases.base import MakeOptimizer, Phase
from srlit.types import Batch, Images


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Let gradients through a network but change nothing in it.

    Evaluation mode too, as spectral normalisation moves its vectors at each forward in training.
    """
    was_training = network.training
    network.requires_grad_(requires_grad=False).eval()
    try:
        yield
    finally:
        network.requires_grad_(requires_grad=True).train(was_training)


class AdversarialPhase(Phase):
    """Two networks, two optimizers, the discriminator first.

    Args:
        discriminator: maps images to logits.
        criterion: both sides of the game.
        generator_optimizer: makes the optimizer from the generator's parameters.
        discriminator_optimizer: makes the optimizer from the discriminator's parameters.
        shared: the arguments of `Phase`.

    Raises:
        ValueError: the loss table weighs no adversarial part.
    """

    def __init__(
        self,
        *,
        discriminator: nn.Module,
        criterion: AdversarialCriterion,
        generator_optimizer: MakeOptimizer,
        discriminator_optimizer: MakeOptimizer,
        **shared: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**shared)
        if not self.loss.is_adversarial:
            msg = "phase=adversarial needs a weight for 'adversarial' in loss.weights"
            raise ValueError(msg)
        self.discriminator = discriminator.to(memory_format=torch.channels_last)
        self.criterion = criterion
        self.make_generator_optimizer = generator_optimizer
        self.make_discriminator_optimizer = discriminator_optimizer

    def make_optimizers(self) -> dict[str, Callable[[], Optimizer]]:
        """The discriminator steps first, so it stands last and first is the generator's rate."""
        return {
            "generator": lambda: self.make_generator_optimizer(self.generator.parameters()),
            "discriminator": lambda: self.make_discriminator_optimizer(
                self.discriminator.parameters()
            ),
        }

    def training_step(self, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002
        """One discriminator update, then one generator update, on one restoration."""
        generator_optimizer, discriminator_optimizer = self.optimizers()  # type: ignore[attr-defined]
        sr = self(batch.lr)
        self.update_discriminator(sr.detach(), batch.hr, discriminator_optimizer)
        self.update_generator(sr, batch.hr, generator_optimizer)
        self.finish_iteration()

    def update_discriminator(self, sr: Images, hr: Images, optimizer: Any) -> None:  # noqa: ANN401
        """Tell real from restored, in one forward pass over both."""
        real_logits, fake_logits = self.logits(torch.cat([hr, sr])).chunk(2)
        loss = self.criterion.discriminator(real_logits, fake_logits)
        self.descend(loss, optimizer)
        self.journal.record(
            {
                "discriminator": loss,
                "logits/real": real_logits.mean(),
                "logits/fake": fake_logits.mean(),
            }
        )

    def update_generator(self, sr: Images, hr: Images, optimizer: Any) -> None:  # noqa: ANN401
        """Lower the weighted sum of all terms; the discriminator stays as it is."""
        with frozen(self.discriminator):
            adversarial = self.criterion.generator(self.logits(sr), None)
            parts = self.loss(sr, hr, adversarial)
            self.descend(parts.total, optimizer)
        self.journal.record({"loss": parts.total} | parts.named())

    def logits(self, image: Images) -> torch.Tensor:
        """The discriminator's opinion, in float32 as in the original."""
        with torch.autocast(image.device.type, enabled=False):
            logits: torch.Tensor = self.discriminator(
                image.float().contiguous(memory_format=torch.channels_last)
            )
        return logits
