"""Loggers with srlit's defaults."""

import netrc
import os
import secrets
from pathlib import Path

import torch
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger

from srlit.callbacks.csv_logger import CSVLogger
from srlit.utils.atomic import write_text

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
    """Ends its run when the training fails: a sweep's next job would write into it too."""

    def finalize(self, status: str) -> None:
        """Lightning says how the training ended."""
        super().finalize(status)
        if status == "failed" and self._experiment is not None:
            self.experiment.finish(exit_code=1)


def wandb_logger(
    *, folder: str, project: str, name: str, offline: bool | None = None
) -> WandbLogger:
    """Weights & Biases, offline unless the user is logged in; a resumed training goes on there too.

    Args:
        folder: of the run; files go there.
        project: name of the project.
        name: name of the run.
        offline: True or False decide, None looks for a key.
    """
    chosen = not logged_in() if offline is None else offline
    known = Path(folder) / WANDB_ID
    number = known.read_text() if known.is_file() else secrets.token_hex(4)
    return EndingWandbLogger(
        name=name, save_dir=folder, project=project, offline=chosen, id=number, resume="allow"
    )


def rewind(logger: Logger, folder: Path, iteration: int, validated: int) -> None:
    """Let a logger go on with a run, without what a killed one logged after its checkpoint.

    Weights & Biases forgets nothing: what is made again stands there twice.

    Args:
        logger: of the run.
        folder: the run's.
        iteration: of the checkpoint.
        validated: iteration of the last validation that the checkpoint knows.
    """
    if isinstance(logger, CSVLogger):
        logger.rewind(iteration, validated)
    elif isinstance(logger, TensorBoardLogger):
        logger._kwargs["purge_step"] = iteration + 1  # noqa: SLF001 - it is only read at first use
    elif isinstance(logger, WandbLogger):
        write_text(folder / WANDB_ID, str(logger.version))


def log_picture(logger: Logger, name: str, picture: torch.Tensor, iteration: int) -> None:
    """Give a picture, (3, h, w) in [0, 1], to a logger that can show one."""
    if isinstance(logger, TensorBoardLogger):
        logger.experiment.add_image(name, picture, iteration)
    elif isinstance(logger, WandbLogger):
        logger.log_image(name, [picture], step=iteration)
