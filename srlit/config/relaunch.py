"""The command at hand: one job of several, and how another process runs it too."""

import sys
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import get_original_cwd


def in_multirun() -> bool:
    """Whether this is one job of a multirun (-m)."""
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def command_again(rank: int) -> tuple[list[str], str]:
    """This command line for another process, and the folder to run it in.

    By the module's name, however this process was started: as a script, `srlit/` would come first
    among the folders of modules, and its `select` or `types` before Python's.
    """
    if not HydraConfig.initialized():
        return [sys.executable, *sys.argv], str(Path.cwd())
    hydra = HydraConfig.get()
    own = [
        f'hydra.run.dir="{hydra.run.dir}"',
        f"hydra.job.name={hydra.job.name}_rank{rank}",
        "hydra.output_subdir=null",
    ]
    return [sys.executable, "-m", "srlit.train", *sys.argv[1:], *own], get_original_cwd()
