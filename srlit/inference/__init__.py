"""Inference: upscalers and image files."""
