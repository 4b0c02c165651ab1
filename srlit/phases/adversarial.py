"""Phase 3: a generator against pixel and perceptual losses and a discriminator."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from srlit.losses.composite import GIVEN
from srlit.losses.criteria import AdversarialCriterion
from srlit.losses.diff_augment import DiscriminatorAugment
from srlit.losses.penalties import Penalty
from srlit.phases.base import MakeOptimizer, Phase, Restored
from srlit.types import Batch, Images, Scalar


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
        d_start_iteration: iterations of the generator alone before the game begins, >= 0.
        d_updates_per_g_update: > 0; below 1 some iterations have no discriminator update.
        d_augment: what the discriminator's images go through, real and restored alike.
        penalty: what else the discriminator minimises; None: nothing.
        shared: the arguments of `Phase`.

    Raises:
        ValueError: the loss table weighs no adversarial part, or a number is out of range.
    """

    def __init__(
        self,
        *,
        discriminator: nn.Module,
        criterion: AdversarialCriterion,
        generator_optimizer: MakeOptimizer,
        discriminator_optimizer: MakeOptimizer,
        d_start_iteration: int = 0,
        d_updates_per_g_update: float = 1.0,
        d_augment: Sequence[DiscriminatorAugment] = (),
        penalty: Penalty | None = None,
        **shared: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**shared)
        if not self.loss.is_adversarial:
            msg = "phase=adversarial needs a weight for 'adversarial' in loss.weights"
            raise ValueError(msg)
        if d_start_iteration < 0 or not 0 < d_updates_per_g_update < math.inf:
            msg = (
                f"phase.d_start_iteration={d_start_iteration}, phase.d_updates_per_g_update="
                f"{d_updates_per_g_update}: expected at least 0, above 0"
            )
            raise ValueError(msg)
        self.discriminator = discriminator.to(memory_format=torch.channels_last)
        self.criterion = criterion
        self.make_generator_optimizer = generator_optimizer
        self.make_discriminator_optimizer = discriminator_optimizer
        self.d_start_iteration, self.d_updates_per_g_update = (
            d_start_iteration,
            d_updates_per_g_update,
        )
        self.d_augment = list(d_augment)
        self.penalty = penalty

    def make_optimizers(self) -> dict[str, Callable[[], Optimizer]]:
        """The discriminator steps first, so it stands last and first is the generator's rate."""
        return {
            "generator": lambda: self.make_generator_optimizer(self.generator.parameters()),
            "discriminator": lambda: self.make_discriminator_optimizer(
                self.discriminator.parameters()
            ),
        }

    def training_step(self, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002
        """The discriminator's updates, then one generator update, on one restoration."""
        generator_optimizer, discriminator_optimizer = self.optimizers()  # type: ignore[attr-defined]
        restored = self.restored(batch.parts(self.micro_batches))
        for number in self.discriminator_updates(self.iteration):
            self.update_discriminator(restored(), discriminator_optimizer, number)
        self.update_generator(restored(), generator_optimizer)
        self.finish_iteration()

    def restored(self, parts: list[Batch]) -> Callable[[], Iterable[Restored]]:
        """Gives the parts with their restorations, for each update anew.

        One part is restored once for all updates. Several are restored each time: to keep their
        graphs would take the memory that parts are there to save.
        """
        if len(parts) == 1:
            once = [self.generate(parts[0])]
            return lambda: once
        return lambda: (self.generate(part) for part in parts)

    def discriminator_updates(self, iteration: int) -> range:
        """The numbers of the discriminator's updates in an iteration: a function of nothing else.

        They count from 0 at the end of the warm-up.
        """
        played = iteration - self.d_start_iteration
        if played < 0:
            return range(0)
        return range(
            math.floor(played * self.d_updates_per_g_update),
            math.floor((played + 1) * self.d_updates_per_g_update),
        )

    def update_discriminator(
        self,
        restored: Iterable[Restored],
        optimizer: Any,  # noqa: ANN401
        number: int = 0,
    ) -> None:
        """Tell real from restored.

        Args:
            restored: parts of the batch with their restorations.
            optimizer: of the discriminator.
            number: of the update, counted from 0; the penalty goes by it.
        """
        losses = (self.discriminator_loss(sr.detach(), part.hr, number) for part, sr, _ in restored)
        self.descend(losses, optimizer)

    def discriminator_loss(self, sr: Images, hr: Images, number: int) -> Scalar:
        """The criterion in one forward pass over both, and the penalty when it is due."""
        seen = self.augmented(torch.cat([hr, sr]))
        real_logits, fake_logits = self.logits(seen).chunk(2)
        loss = self.criterion.discriminator(real_logits, fake_logits)
        if self.criterion.chance is not None:
            self.journal.record({"d_loss_vs_chance": loss / self.criterion.chance})
        self.journal.record(
            {
                "discriminator": loss,
                "logits/real": real_logits.mean(),
                "logits/fake": fake_logits.mean(),
                "logits/gap": real_logits.mean() - fake_logits.mean(),
            }
        )
        if self.penalty is not None and self.penalty.is_due(number):
            penalty = self.penalty(self.logits, *seen.chunk(2))
            self.journal.record({"penalty": penalty})
            loss = loss + penalty
        return loss

    def update_generator(self, restored: Iterable[Restored], optimizer: Any) -> None:  # noqa: ANN401
        """Lower the weighted sum of all terms; the discriminator stays as it is."""
        with frozen(self.discriminator):
            self.descend((self.generator_loss(part) for part in restored), optimizer)

    def generator_loss(self, restored: Restored) -> Scalar:
        """The weighted sum of all terms."""
        part, sr, _ = restored
        loss_inputs, adversarial = self.loss_inputs(restored), self.adversarial(sr, part.hr)
        loss = self.loss(
            sr, part.hr, adversarial, loss_inputs=loss_inputs, iteration=self.iteration
        )
        self.journal.record({"loss": loss.total} | loss.named())
        self.observe(part, sr)
        return loss.total

    def adversarial(self, sr: Images, hr: Images) -> Scalar | None:
        """The generator's side of the game; None while it weighs nothing.

        Real images are looked at for a relativistic criterion only: no other asks for a pass more.
        No gradient of the generator's goes through them.
        """
        if (
            self.iteration < self.d_start_iteration
            or not self.loss.weights_at(self.iteration)[GIVEN]
        ):
            return None
        real_logits = None
        if self.criterion.relativistic:
            with torch.no_grad():
                real_logits = self.logits(self.augmented(hr))
        return self.criterion.generator(self.logits(self.augmented(sr)), real_logits)

    def augmented(self, images: Images) -> Images:
        """Images as the discriminator sees them."""
        for disguise in self.d_augment:
            images = disguise(images, self.iteration)
        return images

    def logits(self, image: Images) -> torch.Tensor:
        """The discriminator's opinion, in float32 for the criterion.

        Its layers run in the training's precision: half the time of a step is theirs.
        """
        logits: torch.Tensor = self.discriminator(
            image.contiguous(memory_format=torch.channels_last)
        )
        return logits.float()
