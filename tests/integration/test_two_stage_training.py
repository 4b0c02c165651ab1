"""Experiment B's phases on real photos, with a network for a CPU."""

import csv

import pytest

from srlit.train import train
from tests.helpers import TINY, compose_config

NARROW = (
    "model.num_feat=16", "model.num_block=1", "model.num_grow_ch=8", "data=bsds400",
    "data.batch_size=4", "iterations=50", "validate_every=50", "log_every=10",
    "metrics.names=[mae]", "callbacks.lpips_checkpoint.metric=mae", "callbacks.panels=null",
    "init_from=null",
)  # fmt: skip
PHASES = {
    1: ("phase.optimizer.lr=1e-3",),
    2: ("phase.optimizer.lr=1e-3",),
    3: ("phase.generator_optimizer.lr=1e-3", "discriminator.width=8", "discriminator.hidden=32"),
}


@pytest.mark.slow
@pytest.mark.parametrize("number", PHASES)
def test_fifty_iterations_lower_the_loss(number, tmp_path, shared_data):
    name = f"two_stage_phase{number}"
    usual = (*TINY, *NARROW, *PHASES[number])
    cfg = compose_config(
        "train",
        f"+experiment={name}",
        *[
            text
            for text in usual
            if text not in {"iterations=2", "validate_every=1", "log_every=1"}
        ],
        f"paths.data={shared_data}",
        f"paths.runs={tmp_path}",
    )
    train(cfg)
    with (tmp_path / name / "metrics.csv").open() as file:
        losses = [float(row["train/loss"]) for row in csv.DictReader(file) if row.get("train/loss")]
    assert len(losses) == 5
    assert losses[-1] < 0.95 * losses[0], losses
