"""Upscaling: networks and interpolators as upscalers, tiles, image files."""

from srlit.inference.image_files import find_images, output_path, read_image, write_image
from srlit.inference.upscalers import Interpolator, NetworkUpscaler, Upscaler, pick_device

__all__ = [
    "Interpolator",
    "NetworkUpscaler",
    "Upscaler",
    "find_images",
    "output_path",
    "pick_device",
    "read_image",
    "write_image",
]
