"""The precision of a part, whatever precision the training runs in."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def float64_device(device: torch.device) -> torch.device:
    """The device itself, or the CPU where it has no float64 (Apple's GPUs, some of Intel's)."""
    if device.type == "xpu" and torch.xpu.get_device_properties(device).has_fp64:
        return device
    return torch.device("cpu") if device.type in {"mps", "xpu"} else device


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """No autocast, and on GPUs no TensorFloat-32 (10 bits) in products and convolutions.

    For what is compared pixel by pixel: a level of 1/255 does not survive less.
    """
    products, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(products)
        torch.backends.cudnn.allow_tf32 = convolutions


def feature_precision(device: torch.device) -> torch.autocast:
    """Bfloat16 on GPUs that compute it natively, float32 everywhere else.

    For the convolutions of a frozen network whose features are compared. These are compared as
    means over thousands of numbers, and relative to their own size; a rounding of 0.4 % in each
    does not matter there, and a VGG19 is the most expensive part of an iteration. The comparison
    itself (squares of small differences) belongs into float32. float16 would overflow in a network
    made for inputs of 0 to 255. CPUs stay in float32, so that all of them give the same numbers.
    """
    native = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=native)
