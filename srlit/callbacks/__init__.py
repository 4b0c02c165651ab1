"""Callbacks: moving average, selection by LPIPS, health, stopping, pictures, progress, rows."""

from srlit.callbacks.degradation import DegradationPictures
from srlit.callbacks.early_stopping import EarlyStopping
from srlit.callbacks.ema import EMA
from srlit.callbacks.health import Alarm, Health
from srlit.callbacks.loggers import wandb_logger
from srlit.callbacks.lpips_checkpoint import LPIPSCheckpoint
from srlit.callbacks.panels import Panels
from srlit.callbacks.preemption import Preemption
from srlit.callbacks.progress import IterationProgress
from srlit.callbacks.rows import RowLogger

__all__ = [
    "EMA",
    "Alarm",
    "DegradationPictures",
    "EarlyStopping",
    "Health",
    "IterationProgress",
    "LPIPSCheckpoint",
    "Panels",
    "Preemption",
    "RowLogger",
    "wandb_logger",
]
