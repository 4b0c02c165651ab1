"""Gradient penalties of a discriminator."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from srlit.types import Count, Images, Positive, Scalar

Discriminator = Callable[[Images], Tensor]

# Added under the root of a squared norm, which has no derivative at 0.
TINY = 1e-12


@runtime_checkable
class Penalty(Protocol):
    """A loss of the discriminator that is not computed in every update."""

    def is_due(self, number: int) -> bool:
        """Whether to apply it in the discriminator's update of this number, counted from 0."""
        ...

    def __call__(self, logits: Discriminator, real: Images, fake: Images) -> Scalar:
        """The penalty in float32.

        Args:
            logits: the discriminator.
            real: real images as the discriminator sees them.
            fake: restored images, as many.
        """
        ...


def squared_gradient(logits: Discriminator, images: Images) -> Float[Tensor, " n"]:
    """|grad D|^2 of each image, in float32: a second derivative in bfloat16 is mostly rounding.

    Code from torch.compile has no second derivative, so compiled networks run eagerly here.
    """
    full_precision = torch.autocast(images.device.type, enabled=False)
    with full_precision, torch.compiler.set_stance("force_eager"):
        images = images.detach().float().requires_grad_()
        [gradient] = torch.autograd.grad(logits(images).sum(), images, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3))


@dataclass(kw_only=True, eq=False)
class LazyPenalty:
    """A penalty for every so many D updates, scaled by as much.

    Source: lazy regularisation (Karras et al. 2020, appendix B).
    """

    weight: Positive
    every: Count = 1

    def is_due(self, number: int) -> bool:
        """As in `Penalty`."""
        return number % self.every == 0


@dataclass(kw_only=True, eq=False)
class R1(LazyPenalty):
    """Gradient penalty on real images, weight / 2 * E |grad D|^2 (Mescheder et al. 2018, eq. 9).

    Args:
        weight: gamma of the paper.
        every: apply every so many D updates, scaled by as much.
    """

    every: Count = 16

    def __call__(self, logits: Discriminator, real: Images, fake: Images) -> Scalar:  # noqa: ARG002
        """As in `Penalty`; `fake` is not used."""
        return self.every * self.weight / 2 * squared_gradient(logits, real).mean()


@dataclass(kw_only=True, eq=False)
class GradientPenalty(LazyPenalty):
    """Weight * E (|grad D| - 1)^2 between real and restored images (Gulrajani et al. 2017, eq. 3).

    With `Wasserstein` this is WGAN-GP. The gradient is taken at a random point on the line between
    a real and a restored image, drawn from PyTorch's generator of the device, which a phase seeds
    from (seed, iteration, rank).

    Args:
        weight: lambda of the paper.
        every: as for `R1`; 1 in the paper.
    """

    weight: Positive = 10.0

    def __call__(self, logits: Discriminator, real: Images, fake: Images) -> Scalar:
        """As in `Penalty`."""
        position = torch.rand(len(real), 1, 1, 1, device=real.device)
        norm = torch.sqrt(squared_gradient(logits, torch.lerp(fake, real, position)) + TINY)
        return self.every * self.weight * (norm - 1).square().mean()
