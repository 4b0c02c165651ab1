"""Learning-rate schedules that follow the iteration, or the validation loss."""

from typing import Protocol, runtime_checkable

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler, ReduceLROnPlateau


@runtime_checkable
class Schedule(Protocol):
    """Makes torch's scheduler for one optimizer.

    A `ReduceLROnPlateau` is stepped after each validation with the validation loss, every other
    scheduler after each iteration.
    """

    def __call__(self, optimizer: Optimizer, *, iterations: int) -> LRScheduler:
        """The scheduler of a training of so many iterations."""
        ...


class Constant:
    """The learning rate stays."""

    def __call__(self, optimizer: Optimizer, *, iterations: int) -> LRScheduler:  # noqa: ARG002
        """Factor 1 throughout."""
        return LambdaLR(optimizer, _one)


def _one(iteration: int) -> float:  # noqa: ARG001 - LambdaLR's signature
    return 1.0


class Cosine:
    """Half a cosine from the full learning rate to 0 at the last iteration."""

    def __call__(self, optimizer: Optimizer, *, iterations: int) -> LRScheduler:
        """Torch's CosineAnnealingLR (Loshchilov and Hutter 2017, eq. 5, without restarts)."""
        return CosineAnnealingLR(optimizer, T_max=iterations)


class HalveOnPlateau:
    """Halve the learning rate after validations without progress.

    Args:
        patience: how many validations may pass without a lower loss.
    """

    def __init__(self, *, patience: int) -> None:
        self.patience = patience

    def __call__(self, optimizer: Optimizer, *, iterations: int) -> LRScheduler:  # noqa: ARG002
        """Torch's ReduceLROnPlateau with factor 0.5."""
        return ReduceLROnPlateau(optimizer, factor=0.5, patience=self.patience)
