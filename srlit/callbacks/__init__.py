"""Callbacks: moving average, selection by LPIPS, pictures, progress."""

from srlit.callbacks.degradation import DegradationPictures
from srlit.callbacks.ema import EMA
from srlit.callbacks.loggers import wandb_logger
from srlit.callbacks.lpips_checkpoint import LPIPSCheckpoint
from srlit.callbacks.panels import Panels
from srlit.callbacks.progress import IterationProgress

__all__ = [
    "EMA",
    "DegradationPictures",
    "IterationProgress",
    "LPIPSCheckpoint",
    "Panels",
    "wandb_logger",
]
