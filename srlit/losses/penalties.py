"""What else a discriminator minimises."""

from collections.abc import Callable

import torch

from srlit.types import Images, Scalar


class R1:
    """Gradient penalty on real images, weight / 2 * E |grad D|^2 (Mescheder et al. 2018, eq. 9).

    Args:
        weight: gamma of the paper, > 0.
        every: computed in each so many of the discriminator's updates only, and then so many times
            as heavy: lazy regularisation (Karras et al. 2020, appendix B), >= 1.

    Raises:
        ValueError: a number out of range.
    """

    def __init__(self, *, weight: float, every: int = 16) -> None:
        if weight <= 0 or every < 1:
            msg = f"phase.penalty: weight={weight}, every={every}: expected above 0, at least 1"
            raise ValueError(msg)
        self.weight, self.every = weight, every

    def is_due(self, number: int) -> bool:
        """Whether the discriminator's update of this number, counted from 0, carries it."""
        return number % self.every == 0

    def __call__(self, logits: Callable[[Images], torch.Tensor], real: Images) -> Scalar:
        """The penalty, in float32: a second derivative in bfloat16 is mostly rounding.

        What torch.compile makes has no second derivative, so compiled networks run eagerly here.

        Args:
            logits: the discriminator.
            real: real images as the discriminator sees them.
        """
        full_precision = torch.autocast(real.device.type, enabled=False)
        with full_precision, torch.compiler.set_stance("force_eager"):
            images = real.detach().float().requires_grad_()
            [gradient] = torch.autograd.grad(logits(images).sum(), images, create_graph=True)
            squared = gradient.square().sum(dim=(1, 2, 3)).mean()
        return self.every * self.weight / 2 * squared
