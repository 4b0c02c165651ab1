"""Loggers with srlit's defaults."""

import netrc
import os

from lightning.pytorch.loggers import WandbLogger


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
