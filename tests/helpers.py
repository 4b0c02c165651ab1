"""What several tests share."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
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
    "trainer.num_sanity_val_steps=0",  # the validation before the training has its own test
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


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[Path]:
    """A small file system of its own; skips where that is not allowed."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(folder)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"needs root and mounts for a small disk: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def no_network(net: str) -> None:
    """Takes the place of `torchvision_state` where no weights shall be found."""
    raise OSError(f"{net}: no network")
