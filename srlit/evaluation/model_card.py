"""The measured cost of a network: parameters, multiply-adds, receptive field, memory."""

import copy
from bisect import bisect_left
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

Mode = TypeVar("Mode", bound=AbstractContextManager[Any])


class ModelCard(NamedTuple):
    """A generator in numbers; sizes are those of its low-resolution input.

    Attributes:
        parameters: number of parameters.
        multiply_adds: of convolutions and matrix products, for an image of 64x64.
        field: receptive field in pixels along one axis; None: the whole image.
        memory: peak bytes of activations for an image of 1024x1024, the image included, in float32,
            without gradients; the workspace of convolutions comes on top.
    """

    parameters: int
    multiply_adds: int
    field: int | None
    memory: int

    def text(self) -> str:
        """The card in one line, as in the headers of conf/model."""
        field = "the whole image" if self.field is None else f"{self.field} pixels"
        return (
            f"{self.parameters / 1e6:.2f} M parameters, {self.multiply_adds / 1e9:.2f} G "
            f"multiply-adds at 64x64, sees {field}, {self.memory / 1e9:.2f} GB a megapixel"
        )


def model_card(generator: nn.Module) -> ModelCard:
    """Measure a generator on the CPU; it is left in evaluation mode."""
    generator.eval()
    return ModelCard(
        sum(parameter.numel() for parameter in generator.parameters()),
        multiply_adds(generator),
        receptive_field(generator),
        activation_memory(generator),
    )


def multiply_adds(generator: nn.Module, side: int = 64) -> int:
    """Half the floating-point operations for a square image."""
    counter = _run_under(generator, side, lambda: FlopCounterMode(display=False))
    return int(counter.get_total_flops()) // 2


def activation_memory(generator: nn.Module, side: int = 1024) -> int:
    """Peak bytes of activations for a square image, the image included."""
    return _run_under(generator, side, lambda: PeakMemory(ignored=generator)).peak


@torch.no_grad()
def _run_under(generator: nn.Module, side: int, make_mode: Callable[[], Mode]) -> Mode:
    """Run a network under a dispatch mode, on fake tensors where the network allows it.

    A few networks rewrite their own weights in every pass, which needs real tensors.
    """
    copied = copy.deepcopy(generator)
    try:
        with FakeTensorMode(allow_non_fake_inputs=True), (mode := make_mode()):
            copied(torch.rand(1, 3, side, side))
    except RuntimeError:
        with (mode := make_mode()):
            generator(torch.rand(1, 3, side, side))
    return mode


def receptive_field(generator: nn.Module, length: int = 2048) -> int | None:
    """Pixels of a strip that the central pixel of the output depends on; None: all of them.

    A NaN input pixel makes every dependent output NaN, through any number of layers and any
    activation, where a gradient would underflow. Bisection finds how many pixels from either end
    may be NaN.
    """
    x = torch.rand(1, 3, length, 1)

    @torch.no_grad()
    def reaches_centre(nan: Tensor) -> bool:
        sr = generator(x.masked_fill(nan[:, None], torch.nan))
        return bool(sr[:, :, sr.shape[2] // 2].isnan().any())

    i, counts = torch.arange(length), range(length + 1)
    left = bisect_left(counts, True, key=lambda n: reaches_centre(i < n)) - 1
    right = bisect_left(counts, True, key=lambda n: reaches_centre(i >= length - n)) - 1
    return None if left + right == 0 else length - left - right


class PeakMemory(TorchDispatchMode):
    """Tracks the storages that operations allocate and that are still referenced.

    Args:
        ignored: the network, whose own tensors do not count.

    Attributes:
        peak: the largest sum so far, in bytes.
    """

    def __init__(self, *, ignored: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        own = ignored.state_dict().values()
        self.ignored = {StorageWeakRef(tensor.untyped_storage()) for tensor in own}
        self.alive: dict[StorageWeakRef, int] = {}
        self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401 - an operation
        """Run an operation, then sum what is alive."""
        result = func(*args, **(kwargs or {}))
        storages = [x.untyped_storage() for x in tree_leaves(result) if isinstance(x, Tensor)]
        known = self.alive | {StorageWeakRef(each): each.nbytes() for each in storages}
        gone = {each for each in known if each.expired() or each in self.ignored}
        self.alive = {each: size for each, size in known.items() if each not in gone}
        self.peak = max(self.peak, sum(self.alive.values()))
        return result
