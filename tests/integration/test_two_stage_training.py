"""Experiment B's phases on real photos, with a network for a CPU."""

import pytest

from srlit.callbacks.csv_logger import read_rows
from srlit.train import train
from tests.helpers import TINY, compose_config

NARROW = (
    "model.num_feat=16", "model.num_block=1", "model.num_grow_ch=8", "data=bsds400",
    "data.batch_size=4", "metrics.names=[mae]", "callbacks.lpips_checkpoint.metric=mae",
    "callbacks.image_logger=null", "callbacks.ema=null", "init_from=null",
)  # fmt: skip
LENGTH = ("iterations=50", "validate_every=5", "log_every=5")
PHASES = {
    1: ("phase.optimizer.lr=2e-3",),
    2: ("phase.optimizer.lr=2e-3",),
    3: ("phase.generator_optimizer.lr=2e-3", "discriminator.width=8", "discriminator.hidden=32"),
}


@pytest.mark.slow
@pytest.mark.parametrize("number", PHASES)
def test_fifty_iterations_lower_the_loss(number, tmp_path, shared_data):
    """On the validation photos, as batches differ in what can be restored of them.

    The adversarial part is left out there, as in every validation.
    """
    name = f"two_stage_phase{number}"
    overrides = (*TINY, *NARROW, *PHASES[number], *LENGTH)
    paths = (f"paths.data={shared_data}", f"paths.runs={tmp_path}")
    train(compose_config("train", f"+experiment={name}", *overrides, *paths))
    rows = read_rows(tmp_path / name / "metrics.csv")
    losses = [float(row["val/loss"]) for row in rows if "val/loss" in row]
    assert len(losses) == 10
    assert losses[-1] < 0.99 * losses[0], losses
