"""What travels between the layers: batches and the names of their shapes.

Images are RGB float32 in [0, 1], shape (n, 3, h, w), everywhere between the device and the
image file. uint8 appears in files, in the store and on the way to the device, nowhere else.
"""

from collections.abc import Callable
from typing import Annotated, NamedTuple

from annotated_types import Ge, Gt, Interval
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

Images = Float[Tensor, "n 3 h w"]
AnyImages = Float[Tensor, "n 3 _ _"]  # beside others of another size
Scalar = Float[Tensor, ""]

# Ranges of constructors' arguments, checked by `srlit.config` before anything is built.
Count = Annotated[int, Ge(1)]
NonNegativeInt = Annotated[int, Ge(0)]
Positive = Annotated[float, Gt(0), Interval(lt=float("inf"))]
NonNegative = Annotated[float, Interval(ge=0, lt=float("inf"))]
Fraction = Annotated[float, Interval(ge=0, le=1)]


class Photos(NamedTuple):
    """High-resolution pixels on their way from a worker to the device.

    Attributes:
        pixels: uint8 RGB, (n, 3, H, W).
        keys: one random key an image, (n,); every later draw for that image derives from it.
        lr: uint8 RGB of real low-resolution partners, (n, 3, h, w); None where there are none.
        real: (n,), which of them are; None: all. The others are to be degraded.
    """

    pixels: UInt8[Tensor, "n 3 h w"]
    keys: Int64[Tensor, " n"]
    lr: UInt8[Tensor, "n 3 lh lw"] | None = None
    real: Bool[Tensor, " n"] | None = None

    def each(self, act: Callable[[Tensor], Tensor]) -> "Photos":
        """Do the same with every part that there is, such as moving it to a device."""
        lr, real = (None if part is None else act(part) for part in self[2:])
        return Photos(act(self.pixels), act(self.keys), lr, real)


class Batch(NamedTuple):
    """One training or evaluation pair: what the network sees and what it should give.

    Attributes:
        lr: degraded low-resolution images in [0, 1], (n, 3, h, w).
        hr: the targets in [0, 1], (n, 3, s*h, s*w).
    """

    lr: Float[Tensor, "n 3 h w"]
    hr: Float[Tensor, "n 3 sh sw"]

    def parts(self, count: int) -> "list[Batch]":
        """The batch in equal parts.

        Raises:
            ValueError: its size is no multiple of the count.
        """
        size = len(self.lr)
        if size % count:
            raise ValueError(f"phase.micro_batches={count} does not divide the batch of {size}")
        return [Batch(*p) for p in zip(self.lr.chunk(count), self.hr.chunk(count), strict=True)]
