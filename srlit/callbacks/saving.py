"""Saves the state of a training after an iteration."""

from pathlib import Path

from lightning import Trainer

from srlit.callbacks.csv_logger import CSVLogger
from srlit.checkpoint.runs import LAST, checkpoint_name
from srlit.phases.base import Phase
from srlit.utils.atomic import link_file


def save_iteration(trainer: Trainer, phase: Phase, folder: Path) -> Path:
    """Save everything under the iteration's name; `last.safetensors` is another name of the newest.

    Every process must call it.

    Args:
        trainer: of the training.
        phase: the phase in training.
        folder: the run's folder.

    Returns:
        The checkpoint.

    Raises:
        DiskError: it could not be written; older ones are untouched.
    """
    path = folder / checkpoint_name(phase.iteration)
    for logger in trainer.loggers:
        if isinstance(logger, CSVLogger):
            logger.flush()
    trainer.save_checkpoint(path)
    if trainer.is_global_zero:
        link_as_last(path, folder)
    return path


def link_as_last(path: Path, folder: Path) -> None:
    """Link a run's newest checkpoint as `last.safetensors`."""
    link_file(path, folder / LAST)
