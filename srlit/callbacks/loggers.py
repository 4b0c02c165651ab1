"""Loggers with srlit's defaults."""

import netrc
import os
import secrets
from pathlib import Path

import torch
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger

from srlit.callbacks.csv_logger import CSVLogger
from srlit.phases.base import Phase
from srlit.utils.atomic import write_text
from srlit.utils.small_files import read_text

WANDB_ID = "wandb_id"


def logged_in() -> bool:
    """Whether Weights & Biases has a key on this machine."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return netrc.netrc().authenticators("api.wandb.ai") is not None
    except (OSError, netrc.NetrcParseError):
        return False


class EndingWandbLogger(WandbLogger):
    """Ends its run when the training fails, or a sweep's next job would log into it."""

    def finalize(self, status: str) -> None:
        """Called by Lightning at the end of the training."""
        super().finalize(status)
        if status == "failed" and self._experiment is not None:
            self.experiment.finish(exit_code=1)


def wandb_logger(*, folder: str, project: str, name: str, offline: bool | None = None) -> Logger:
    """Weights & Biases, offline unless the user is logged in; a resumed run continues there.

    Args:
        folder: the run's folder.
        project: name of the project.
        name: name of the run.
        offline: None: offline unless this machine has a key.
    """
    chosen = not logged_in() if offline is None else offline
    known = Path(folder) / WANDB_ID
    number = read_text(known) if known.is_file() else secrets.token_hex(4)
    return EndingWandbLogger(
        name=name, save_dir=folder, project=project, offline=chosen, id=number, resume="allow"
    )


def rewind(logger: Logger, folder: Path, phase: Phase) -> None:
    """Remove from a logger what a killed run logged after its checkpoint.

    Weights & Biases forgets nothing: iterations made again are there twice.

    Args:
        logger: of the run.
        folder: the run's.
        phase: at the checkpoint.
    """
    if isinstance(logger, CSVLogger):
        logger.rewind(phase.iteration, phase.validated, phase.rows_written)
    elif isinstance(logger, TensorBoardLogger):
        logger._kwargs["purge_step"] = phase.iteration + 1  # noqa: SLF001 - it is only read at first use
    elif isinstance(logger, WandbLogger):
        write_text(folder / WANDB_ID, str(logger.version))


def log_image(logger: Logger, name: str, image: torch.Tensor, iteration: int) -> None:
    """Log an image, (3, h, w) in [0, 1], where the logger shows images."""
    if isinstance(logger, TensorBoardLogger):
        logger.experiment.add_image(name, image, iteration)
    elif isinstance(logger, WandbLogger):
        logger.log_image(name, [image], step=iteration)
