"""Full precision, whatever a training runs in: a level of 1/255 does not survive less."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def float64_device(device: torch.device) -> torch.device:
    """The device itself, or the CPU where it has no float64 (Apple's GPUs)."""
    return torch.device("cpu") if device.type == "mps" else device


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """No autocast, and on GPUs no TensorFloat-32 (10 bits) in products and convolutions."""
    products, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(products)
        torch.backends.cudnn.allow_tf32 = convolutions
