"""Loggers with srlit's defaults."""

import netrc
import os

import torch
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger

from srlit.callbacks.rows import RowLogger


def logged_in() -> bool:
    """Whether Weights & Biases has a key on this machine."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return netrc.netrc().authenticators("api.wandb.ai") is not None
    except (OSError, netrc.NetrcParseError):
        return False


def wandb_logger(
    *, folder: str, project: str, name: str, offline: bool | None = None
) -> WandbLogger:
    """Weights & Biases, offline unless the user is logged in.

    Args:
        folder: where its files go.
        project: name of the project.
        name: name of the run.
        offline: True or False decide, None looks for a key.
    """
    chosen = not logged_in() if offline is None else offline
    return WandbLogger(name=name, save_dir=folder, project=project, offline=chosen)


def rewind(logger: Logger, iteration: int, validated: int) -> None:
    """Let a logger forget what a killed run logged after the checkpoint that it goes on from.

    Args:
        logger: to go on with.
        iteration: of the checkpoint.
        validated: iteration of the last validation that the checkpoint knows.
    """
    if isinstance(logger, RowLogger):
        logger.rewind(iteration, validated)
    elif isinstance(logger, TensorBoardLogger):
        logger._kwargs["purge_step"] = iteration + 1  # noqa: SLF001 - it is only read at first use


def log_picture(logger: Logger, name: str, picture: torch.Tensor, iteration: int) -> None:
    """Give a picture, (3, h, w) in [0, 1], to a logger that can show one."""
    if isinstance(logger, TensorBoardLogger):
        logger.experiment.add_image(name, picture, iteration)
    elif isinstance(logger, WandbLogger):
        logger.log_image(name, [picture], step=iteration)
