"""What else a discriminator minimises: penalties of its gradient by the images it sees."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from srlit.types import Images, Scalar

Discriminator = Callable[[Images], Tensor]

# Below the square of any gradient that matters: the root of one that is exactly 0 has no slope.
TINY = 1e-12


@runtime_checkable
class Penalty(Protocol):
    """A loss of the discriminator that is not computed in every update."""

    def is_due(self, number: int) -> bool:
        """Whether the discriminator's update of this number, counted from 0, carries it."""
        ...

    def __call__(self, logits: Discriminator, real: Images, fake: Images) -> Scalar:
        """The penalty in float32, of images as the discriminator sees them."""
        ...


def squared_gradient(logits: Discriminator, images: Images) -> Float[Tensor, " n"]:
    """|grad D|^2 of each image, in float32: a second derivative in bfloat16 is mostly rounding.

    What torch.compile makes has no second derivative, so compiled networks run eagerly here.
    """
    full_precision = torch.autocast(images.device.type, enabled=False)
    with full_precision, torch.compiler.set_stance("force_eager"):
        images = images.detach().float().requires_grad_()
        [gradient] = torch.autograd.grad(logits(images).sum(), images, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3))


class Lazy:
    """A weighted penalty that is computed in some updates only, and then so many times as heavy.

    Source: lazy regularisation (Karras et al. 2020, appendix B).

    Args:
        weight: of the penalty, > 0.
        every: computed in each so many of the discriminator's updates, >= 1.

    Raises:
        ValueError: a number out of range.
    """

    def __init__(self, *, weight: float, every: int) -> None:
        if weight <= 0 or every < 1:
            msg = f"phase.penalty: weight={weight}, every={every}: expected above 0, at least 1"
            raise ValueError(msg)
        self.weight, self.every = weight, every

    def is_due(self, number: int) -> bool:
        """Whether the discriminator's update of this number, counted from 0, carries it."""
        return number % self.every == 0


class R1(Lazy):
    """Gradient penalty on real images, weight / 2 * E |grad D|^2 (Mescheder et al. 2018, eq. 9).

    Args:
        weight: gamma of the paper, > 0.
        every: as for `Lazy`.

    Raises:
        ValueError: a number out of range.
    """

    def __init__(self, *, weight: float, every: int = 16) -> None:
        super().__init__(weight=weight, every=every)

    def __call__(self, logits: Discriminator, real: Images, fake: Images) -> Scalar:  # noqa: ARG002
        """The penalty.

        Args:
            logits: the discriminator.
            real: real images as the discriminator sees them.
            fake: restored ones; not looked at.
        """
        return self.every * self.weight / 2 * squared_gradient(logits, real).mean()


class GradientPenalty(Lazy):
    """Weight * E (|grad D| - 1)^2 between real and restored images (Gulrajani et al. 2017, eq. 3).

    With `Wasserstein` this is WGAN-GP. The gradient is taken at a random point on the line between
    a real and a restored image, drawn from PyTorch's generator of the device, which a phase seeds
    from (seed, iteration, rank).

    Args:
        weight: lambda of the paper, > 0.
        every: as for `Lazy`; 1 in the paper.

    Raises:
        ValueError: a number out of range.
    """

    def __init__(self, *, weight: float = 10.0, every: int = 1) -> None:
        super().__init__(weight=weight, every=every)

    def __call__(self, logits: Discriminator, real: Images, fake: Images) -> Scalar:
        """The penalty.

        Args:
            logits: the discriminator.
            real: real images as the discriminator sees them.
            fake: restored images, as many.
        """
        share = torch.rand(len(real), 1, 1, 1, device=real.device)
        norm = torch.sqrt(squared_gradient(logits, torch.lerp(fake, real, share)) + TINY)
        return self.every * self.weight * (norm - 1).square().mean()
