"""GAN criteria: what discriminator and generator each minimise, on logits of any shape."""

import math
from typing import Protocol, runtime_checkable

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from srlit.types import Scalar

Logits = Float[Tensor, "..."]


@runtime_checkable
class AdversarialCriterion(Protocol):
    """Both sides of a GAN's game.

    Attributes:
        chance: the discriminator's loss where it cannot tell real from fake, at its best constant
            logit; None where a loss of 0 is no end, so that nothing can be measured by it.
        relativistic: whether the generator's side needs real logits, which cost a pass.
    """

    chance: float | None
    relativistic: bool

    def discriminator(self, real_logits: Logits, fake_logits: Logits) -> Scalar:
        """What the discriminator minimises."""
        ...

    def generator(self, fake_logits: Logits, real_logits: Logits | None) -> Scalar:
        """What the generator minimises; `real_logits` is None unless `relativistic`."""
        ...


class LeastSquares:
    """LSGAN (Mao et al. 2017, eq. 9) with one-sided label smoothing.

    Args:
        real_label: the discriminator's target for real images, above 0, at most 1; the generator's
            is 1.

    Raises:
        ValueError: a label out of range.
    """

    relativistic = False

    def __init__(self, *, real_label: float = 0.9) -> None:
        _check_label(real_label)
        self.real_label = real_label
        self.chance = real_label**2 / 4

    def discriminator(self, real_logits: Logits, fake_logits: Logits) -> Scalar:
        """1/2 E (D(real) - label)^2 + 1/2 E D(fake)^2."""
        return ((real_logits - self.real_label).square().mean() + fake_logits.square().mean()) / 2

    def generator(self, fake_logits: Logits, real_logits: Logits | None) -> Scalar:  # noqa: ARG002
        """E (D(fake) - 1)^2."""
        return (fake_logits - 1).square().mean()


class NonSaturating:
    """The vanilla GAN in its non-saturating form (Goodfellow et al. 2014, section 3).

    Args:
        real_label: the discriminator's target for real images: one-sided label smoothing
            (Salimans et al. 2016, section 3.4), above 0, at most 1.

    Raises:
        ValueError: a label out of range.
    """

    relativistic = False

    def __init__(self, *, real_label: float = 1.0) -> None:
        _check_label(real_label)
        self.real_label = real_label
        # Two cross entropies, to a target of `real_label` and to 0, at one logit for both.
        guess = real_label / 2
        self.chance = -real_label * math.log(guess) - (2 - real_label) * math.log(1 - guess)

    def discriminator(self, real_logits: Logits, fake_logits: Logits) -> Scalar:
        """-E [label log D(real) + (1 - label) log(1 - D(real))] - E log(1 - D(fake))."""
        real = self.real_label * F.softplus(-real_logits)
        smoothed = (1 - self.real_label) * F.softplus(real_logits)
        return (real + smoothed).mean() + F.softplus(fake_logits).mean()

    def generator(self, fake_logits: Logits, real_logits: Logits | None) -> Scalar:  # noqa: ARG002
        """-E log sigmoid(D(fake))."""
        return F.softplus(-fake_logits).mean()


class Hinge:
    """The hinge criterion (Lim and Ye 2017; Miyato et al. 2018, eq. 16-17); it has no labels."""

    chance = 2.0
    relativistic = False

    def discriminator(self, real_logits: Logits, fake_logits: Logits) -> Scalar:
        """E max(0, 1 - D(real)) + E max(0, 1 + D(fake))."""
        return F.relu(1 - real_logits).mean() + F.relu(1 + fake_logits).mean()

    def generator(self, fake_logits: Logits, real_logits: Logits | None) -> Scalar:  # noqa: ARG002
        """-E D(fake)."""
        return -fake_logits.mean()


class RelativisticAverage:
    """The relativistic average GAN (Jolicoeur-Martineau 2019; ESRGAN, Wang et al. 2018, eq. 1-2).

    Both sides ask by how much one kind looks more real than the other kind does on average. The
    averages run over all logits that are handed in: those of a process's own part of a batch
    (`phase.micro_batches`), so here, unlike elsewhere, parts and batch mates matter.
    """

    chance = 2 * math.log(2)
    relativistic = True

    def discriminator(self, real_logits: Logits, fake_logits: Logits) -> Scalar:
        """-E log s(D(real) - E D(fake)) - E log(1 - s(D(fake) - E D(real))), s the sigmoid."""
        real = F.softplus(fake_logits.mean() - real_logits).mean()
        return real + F.softplus(fake_logits - real_logits.mean()).mean()

    def generator(self, fake_logits: Logits, real_logits: Logits | None) -> Scalar:
        """The same with the roles exchanged.

        Raises:
            ValueError: no real logits.
        """
        if real_logits is None:
            msg = "RelativisticAverage: real_logits=None, expected the logits of real images"
            raise ValueError(msg)
        return self.discriminator(fake_logits, real_logits)


class Wasserstein:
    """The critic of Wasserstein GANs (Arjovsky et al. 2017, eq. 2 and 3).

    It must be kept Lipschitz: use it with `penalty@phase.penalty=wgan_gp`. Its loss has no lower
    bound, and is 0 for a critic that cannot tell real from fake.
    """

    chance = None
    relativistic = False

    def discriminator(self, real_logits: Logits, fake_logits: Logits) -> Scalar:
        """E D(fake) - E D(real), minus the estimated distance."""
        return fake_logits.mean() - real_logits.mean()

    def generator(self, fake_logits: Logits, real_logits: Logits | None) -> Scalar:  # noqa: ARG002
        """-E D(fake)."""
        return -fake_logits.mean()


def _check_label(real_label: float) -> None:
    if not 0 < real_label <= 1:
        msg = f"phase.criterion.real_label={real_label}: expected above 0, at most 1"
        raise ValueError(msg)
