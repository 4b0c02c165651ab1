"""Networks that a file describes: built without memory first, to see how large they become."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_parameter_registration_hook,
)
from torch.overrides import TorchFunctionMode

from srlit.checkpoint.foreign_weights import bytes_of

Built = TypeVar("Built")

# Tables that networks compute and files need not hold, such as the masks of shifted windows.
MAX_COMPUTED_NUMBERS = 1 << 24


def build_within(weights: Mapping[str, Tensor], build: Callable[[], Built]) -> Built:
    """Build a network twice: on the meta device, which takes no memory, and if it fits as it is.

    Args:
        weights: of the file that describes the network; its parameters may be no more than these,
            its buffers `MAX_COMPUTED_NUMBERS` more.
        build: makes the network.

    Raises:
        ValueError: it has more parameters or larger buffers.
        Exception: whatever `build` raises.
    """
    try_build(weights, build)
    return build()


def try_build(weights: Mapping[str, Tensor], build: Callable[[], Any]) -> None:
    """Build a network on the meta device only; arguments and errors as in `build_within`."""
    with warnings.catch_warnings(action="ignore"), _limit(weights), torch.device("meta"), _Meta():
        build()


class _Meta(TorchFunctionMode):
    """Lets networks be built on the meta device that ask for values or name the CPU.

    Rates that grow from layer to layer are read from `linspace` as Python's numbers; tables made
    from lists lie on the CPU and meet others of the meta device.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,  # noqa: ANN401 - torch's signature
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        kwargs = kwargs or {}
        if func is torch.linspace:
            return func(*args, **{"device": "cpu"} | kwargs)
        if any(isinstance(value, Tensor) and value.is_meta for value in args):
            args = tuple(v.to("meta") if isinstance(v, Tensor) else v for v in args)
        return func(*args, **kwargs)


class _Counter(dict[tuple[nn.Module, str], int]):
    """Numbers by the tensor that holds them; one that is registered again replaces the former."""

    total = 0

    def add(self, tensor: tuple[nn.Module, str], numbers: int) -> int:
        """Count a tensor, and give the total."""
        self.total += numbers - self.get(tensor, 0)
        self[tensor] = numbers
        return self.total


@contextmanager
def _limit(weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Raise a ValueError as soon as a network that is being built exceeds the weights."""
    # Tensors of a file may share memory; networks' do not.
    numbers = min(sum(weight.numel() for weight in weights.values()), bytes_of(weights))
    parameters, buffers = _Counter(), _Counter()

    def count_parameter(module: nn.Module, name: str, parameter: Tensor) -> None:
        total = parameters.add((module, name), parameter.numel())
        if total > numbers or len(parameters) > len(weights):
            raise ValueError(f"it has more parameters than the {len(weights)} weights in the file")

    def count_buffer(module: nn.Module, name: str, buffer: Tensor | None) -> None:
        size = 0 if buffer is None else buffer.numel()
        if buffers.add((module, name), size) > numbers + MAX_COMPUTED_NUMBERS:
            raise ValueError(
                f"its buffers, such as {name}, are larger than the weights in the file"
            )

    hooks = (
        register_module_parameter_registration_hook(count_parameter),
        register_module_buffer_registration_hook(count_buffer),
    )
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
