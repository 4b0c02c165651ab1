"""Small checkpoints for tests."""

import torch

from srlit.checkpoint import file_format
from srlit.checkpoint.runs import checkpoint_name
from srlit.models.edsr import EDSR

MODEL = {"_target_": "srlit.models.edsr.EDSR", "scale": 2, "width": 8, "blocks": 1}


def checkpoint(**more):
    """All that a training of a tiny EDSR would write, without its optimizers' states."""
    torch.manual_seed(0)
    weights = EDSR(scale=2, width=8, blocks=1).state_dict()
    return {
        "epoch": 0,
        "global_step": 3,
        "pytorch-lightning_version": "2.6.4",
        "state_dict": {f"generator.{name}": value for name, value in weights.items()},
        "callbacks": {},
        "optimizer_states": [],
        "lr_schedulers": [],
        "PhotoDataModule": {"photos": 2, "sha256": "0" * 64},
        "iteration": 3,
        "validated": 3,
        "validation_id": "",
        "rows_written": 0,
        "baseline": {},
        "running_means": {"sums": {}, "counts": {}},
        "finite_check": {},
        "card": {"model": MODEL, "name": "tiny", "label": "tiny", "scale": 2, "training": {}},
    } | more


def save(path, **more):
    """Write such a checkpoint."""
    file_format.save(checkpoint(**more), path)
    return path


def save_run(folder, *iterations):
    """Write one per iteration where a run would."""
    return [save(folder / checkpoint_name(i), iteration=i) for i in iterations]
