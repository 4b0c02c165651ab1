"""What several tests share."""

import os
import subprocess
import sys
from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from srlit.config import CONF_DIR

REPOSITORY = Path(__file__).parents[1]

# A training of a few seconds: two iterations of tiny patches, validated on small crops.
TINY = (
    "iterations=2",
    "validate_every=1",
    "log_every=1",
    "data.patch_size=48",
    "data.batch_size=2",
    "data.workers=0",
    "data.eval_crop=64",
    "weights.allow_untrained=true",
    "trainer.accelerator=cpu",
    "trainer.devices=1",
    "trainer.precision=32-true",
    "paths.store=null",
    "callbacks.degradation=null",  # a second of plotting; it has its own test
)
TINY_TRAINING = ("model=edsr_small", "model.width=8", "model.blocks=1", *TINY)


def compose_config(name: str, *overrides: str) -> DictConfig:
    """Compose a root file without running Hydra's main."""
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        return compose(name, list(overrides))


def run(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m ...` as a user would."""
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def no_network(net: str) -> None:
    """Takes the place of `torchvision_state` where no weights shall be found."""
    raise OSError(f"{net}: no network")
