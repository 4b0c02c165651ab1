"""Callbacks: moving average, selection by LPIPS, panels, progress."""

from srlit.callbacks.ema import EMA
from srlit.callbacks.loggers import wandb_logger
from srlit.callbacks.lpips_checkpoint import LPIPSCheckpoint
from srlit.callbacks.panels import Panels
from srlit.callbacks.progress import IterationProgress

__all__ = ["EMA", "IterationProgress", "LPIPSCheckpoint", "Panels", "wandb_logger"]
