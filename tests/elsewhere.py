"""A device that is no CPU, for machines without one: tensors that say so but compute like a CPU.

What asks `is_cpu` takes the way of other devices (whole canvases, the tensor JPEG codec); numbers
can still be compared.
"""

import torch


class Elsewhere(torch.Tensor):
    """A tensor of a pretended other device."""

    @property
    def is_cpu(self):
        return False

    def cpu(self):
        return here(self)


def elsewhere(x: torch.Tensor) -> torch.Tensor:
    """The same numbers on the pretended device."""
    return x.as_subclass(Elsewhere)


def here(x: torch.Tensor) -> torch.Tensor:
    """Back again."""
    return x.as_subclass(torch.Tensor)
