"""What travels between the layers: batches and the names of their shapes.

Images are RGB float32 in [0, 1], shape (n, 3, h, w), everywhere between the device and the
image file. uint8 appears in files, in the store and on the way to the device, nowhere else.
"""

from typing import NamedTuple

from jaxtyping import Float, Int64, UInt8
from torch import Tensor

Images = Float[Tensor, "n 3 h w"]
Scalar = Float[Tensor, ""]


class Photos(NamedTuple):
    """High-resolution pixels on their way from a worker to the device.

    Attributes:
        pixels: uint8 RGB, (n, 3, H, W).
        keys: one random key an image, (n,); every later draw for that image derives from it.
    """

    pixels: UInt8[Tensor, "n 3 h w"]
    keys: Int64[Tensor, " n"]


class Batch(NamedTuple):
    """One training or evaluation pair: what the network sees and what it should give.

    Attributes:
        lr: degraded low-resolution images in [0, 1], (n, 3, h, w).
        hr: the targets in [0, 1], (n, 3, s*h, s*w).
    """

    lr: Float[Tensor, "n 3 h w"]
    hr: Float[Tensor, "n 3 sh sw"]
