import pytest
from PIL import Image

from srlit.checkpoint import CheckpointError
from srlit.train import train
from tests.helpers import TINY, compose_config


def test_a_training_writes_figures_of_its_degradation_once(tmp_path):
    overrides = [one for one in TINY if not one.startswith("callbacks.degradation")]
    small = ("model=edsr_small", "model.width=8", "model.blocks=1", "logger.csv=null")
    cfg = compose_config("train", *overrides, *small, f"paths.runs={tmp_path}", "data.batch_size=5")
    train(cfg)
    folder = tmp_path / "custom" / "degradation"
    with Image.open(folder / "pairs.png") as pairs:
        assert pairs.size == (2 * 48 + 4, 4 * 48 + 3 * 4)  # LR enlarged beside HR, four pairs
    draws = (folder / "draws.png").stat().st_mtime_ns
    cfg.iterations, cfg.resume = 3, "auto"
    with pytest.raises(CheckpointError, match="iterations"):
        train(cfg)
    assert (folder / "draws.png").stat().st_mtime_ns == draws
