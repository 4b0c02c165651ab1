"""How large a network may become that a file describes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook


@contextmanager
def at_most(weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Networks that are built here may have as many parameters as there are weights, no more.

    Raises:
        ValueError: one has more tensors, or more numbers in them.
    """
    tensors = len(weights)
    numbers = sum(weight.numel() for weight in weights.values())

    def count(_module: nn.Module, _name: str, parameter: nn.Parameter) -> None:
        nonlocal tensors, numbers
        tensors -= 1
        numbers -= parameter.numel()
        if tensors < 0 or numbers < 0:
            msg = f"it has more parameters than the {len(weights)} weights in the file"
            raise ValueError(msg)

    handle = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()
