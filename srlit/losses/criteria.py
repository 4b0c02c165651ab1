"""GAN criteria: the losses of discriminator and generator, on logits of any shape."""

import math
from typing import Annotated, Protocol, runtime_checkable

import torch.nn.functional as F
from annotated_types import Interval
from jaxtyping import Float
from torch import Tensor

from srlit.types import Scalar

Logits = Float[Tensor, "..."]
# The discriminator's target for real images; below 1: one-sided label smoothing.
RealLabel = Annotated[float, Interval(gt=0, le=1)]


@runtime_checkable
class AdversarialCriterion(Protocol):
    """The losses of both networks.

    Attributes:
        chance: the discriminator's loss at its best constant logit, when it cannot tell real from
            fake; None if the loss has no lower bound to compare with.
        relativistic: whether the generator's loss needs real logits, which cost a forward pass.
    """

    chance: float | None
    relativistic: bool

    def discriminator(self, real_logits: Logits, fake_logits: Logits) -> Scalar:
        """The discriminator's loss."""
        ...

    def generator(self, fake_logits: Logits, real_logits: Logits | None) -> Scalar:
        """The generator's loss; `real_logits` is None unless `relativistic`."""
        ...


class LeastSquares:
    """LSGAN (Mao et al. 2017, eq. 9) with one-sided label smoothing.

    Args:
        real_label: the discriminator's target for real images; the generator's is 1.
    """

    relativistic = False

    def __init__(self, *, real_label: RealLabel = 0.9) -> None:
        self.real_label = real_label
        self.chance = real_label**2 / 4

    def discriminator(self, real_logits: Logits, fake_logits: Logits) -> Scalar:
        """1/2 E (D(real) - label)^2 + 1/2 E D(fake)^2."""
        return ((real_logits - self.real_label).square().mean() + fake_logits.square().mean()) / 2

    def generator(self, fake_logits: Logits, real_logits: Logits | None) -> Scalar:  # noqa: ARG002
        """E (D(fake) - 1)^2."""
        return (fake_logits - 1).square().mean()


class NonSaturating:
    """The original GAN in its non-saturating form (Goodfellow et al. 2014, section 3).

    Args:
        real_label: the discriminator's target for real images: one-sided label smoothing
            (Salimans et al. 2016, section 3.4).
    """

    relativistic = False

    def __init__(self, *, real_label: RealLabel = 1.0) -> None:
        self.real_label = real_label
        # Two cross entropies, with targets `real_label` and 0, at the same logit.
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
    """The hinge loss (Lim and Ye 2017; Miyato et al. 2018, eq. 16-17); it has no labels."""

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

    Each image is compared with the mean logit of the other class. The means run over the logits
    of one process's part of a batch (`phase.micro_batches`), so here, unlike elsewhere, the result
    depends on the other images of the part.
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
            raise ValueError("RelativisticAverage: real_logits=None, expected real images' logits")
        return self.discriminator(fake_logits, real_logits)


class Wasserstein:
    """The critic of Wasserstein GANs (Arjovsky et al. 2017, eq. 2 and 3).

    It must be kept Lipschitz: use it with `penalty=wgan_gp`. Its loss has no lower
    bound, and is 0 for a critic that cannot tell real from fake.
    """

    chance = None
    relativistic = False

    def discriminator(self, real_logits: Logits, fake_logits: Logits) -> Scalar:
        """E D(fake) - E D(real): minus the estimated distance."""
        return fake_logits.mean() - real_logits.mean()

    def generator(self, fake_logits: Logits, real_logits: Logits | None) -> Scalar:  # noqa: ARG002
        """-E D(fake)."""
        return -fake_logits.mean()
