"""Callbacks: EMA, checkpoints, divergence, preemption, early stopping, images, progress, logs."""

from srlit.callbacks.csv_logger import CSVLogger
from srlit.callbacks.degradation_images import DegradationImages
from srlit.callbacks.divergence import Alarm, DivergenceGuard
from srlit.callbacks.early_stopping import EarlyStopping
from srlit.callbacks.ema import EMA
from srlit.callbacks.image_logger import ImageLogger
from srlit.callbacks.loggers import wandb_logger
from srlit.callbacks.lpips_checkpoint import LPIPSCheckpoint
from srlit.callbacks.preemption import Preemption
from srlit.callbacks.progress import IterationProgress

__all__ = [
    "EMA",
    "Alarm",
    "CSVLogger",
    "DegradationImages",
    "DivergenceGuard",
    "EarlyStopping",
    "ImageLogger",
    "IterationProgress",
    "LPIPSCheckpoint",
    "Preemption",
    "wandb_logger",
]
