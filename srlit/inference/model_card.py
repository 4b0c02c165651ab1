"""What a network costs and sees, measured: parameters, multiply-adds, receptive field, memory."""

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

Watch = TypeVar("Watch", bound=AbstractContextManager[Any])

SIDE = 64  # of the image whose multiply-adds are counted
MEGAPIXEL = 1024  # side of an image of a megapixel
STRIP = 2048  # pixels among which the receptive field is looked for


class ModelCard(NamedTuple):
    """A generator in numbers, of low-resolution input.

    Attributes:
        parameters: how many numbers it has learned.
        multiply_adds: of convolutions and matrix products, for an image of 64x64.
        field: pixels in a row that one pixel of the result depends on; None: the whole image.
        memory: most bytes of activations alive at once for an image of 1024x1024, itself among
            them, in float32, without gradients; what a convolution takes to work in comes on top.
    """

    parameters: int
    multiply_adds: int
    field: int | None
    memory: int

    def text(self) -> str:
        """The card in a line, as the files of conf/model carry it."""
        sees = "the whole image" if self.field is None else f"{self.field} pixels"
        return (
            f"{self.parameters / 1e6:.2f} M parameters, {self.multiply_adds / 1e9:.2f} G "
            f"multiply-adds at 64x64, sees {sees}, {self.memory / 1e9:.2f} GB a megapixel"
        )


def model_card(generator: nn.Module) -> ModelCard:
    """Measure a generator.

    Args:
        generator: the network, on the CPU; it is left in evaluation mode.
    """
    generator.eval()
    return ModelCard(
        sum(parameter.numel() for parameter in generator.parameters()),
        multiply_adds(generator),
        receptive_field(generator),
        activation_memory(generator),
    )


def multiply_adds(generator: nn.Module, side: int = SIDE) -> int:
    """Half the floating-point operations for an image."""
    counter = watched(generator, side, lambda: FlopCounterMode(display=False))
    return int(counter.get_total_flops()) // 2


def activation_memory(generator: nn.Module, side: int = MEGAPIXEL) -> int:
    """Most bytes of activations alive at once for an image, itself among them."""
    return watched(generator, side, lambda: LivingStorages(ignored=generator)).most


@torch.no_grad()
def watched(generator: nn.Module, side: int, watch: Callable[[], Watch]) -> Watch:
    """Run a network under a watch, without computing anything where that can be.

    A few networks rewrite their own weights in every pass, which only a real pass allows.
    """
    traced = copy.deepcopy(generator)
    try:
        with FakeTensorMode(allow_non_fake_inputs=True), (watching := watch()):
            traced(torch.rand(1, 3, side, side))
    except RuntimeError:
        with (watching := watch()):
            generator(torch.rand(1, 3, side, side))
    return watching


def receptive_field(generator: nn.Module, length: int = STRIP) -> int | None:
    """Pixels of a strip that the central pixel of the result depends on; None: all of them.

    A pixel that is NaN spoils all that depends on it, through hundreds of layers and whatever the
    activations do. How many pixels from either end may be NaN is found by bisection.
    """
    pixels = range(length + 1)
    before = bisect_left(pixels, True, key=lambda n: spoils(generator, length, slice(0, n)))
    after = bisect_left(
        pixels, True, key=lambda n: spoils(generator, length, slice(length - n, length))
    )
    field = length - (before - 1) - (after - 1)
    return None if field == length else field


@torch.no_grad()
def spoils(generator: nn.Module, length: int, where: slice) -> bool:
    """Whether NaN in these pixels of a strip reaches the central pixel of the result."""
    strip = torch.rand(1, 3, length, 1)
    strip[:, :, where] = torch.nan
    sr = generator(strip)
    return bool(sr[:, :, sr.shape[2] // 2].isnan().any())


class LivingStorages(TorchDispatchMode):
    """Adds up the storages that operations make and that are still referred to.

    Args:
        ignored: the network, whose own tensors do not count.

    Attributes:
        most: the largest sum so far, in bytes.
    """

    def __init__(self, *, ignored: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        own = ignored.state_dict().values()
        self.ignored = {StorageWeakRef(tensor.untyped_storage()) for tensor in own}
        self.living: dict[StorageWeakRef, int] = {}
        self.most = 0

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 - an operation
        types: Any,  # noqa: ANN401
        args: Any = (),  # noqa: ANN401
        kwargs: Any = None,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Carry an operation out and count what is there after it."""
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                storage = leaf.untyped_storage()
                if (reference := StorageWeakRef(storage)) not in self.ignored:
                    self.living[reference] = storage.nbytes()
        self.living = {ref: size for ref, size in self.living.items() if not ref.expired()}
        self.most = max(self.most, sum(self.living.values()))
        return result
