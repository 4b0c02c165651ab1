import json
from types import SimpleNamespace

import pytest
import torch

from srlit.callbacks.ema import EMA
from srlit.callbacks.lpips_checkpoint import LPIPSCheckpoint
from srlit.checkpoint import load_checkpoint
from srlit.checkpoint.io import AtomicCheckpointIO
from tests.phases.tiny_phases import fit, restoration


def selecting(folder, values, **options):
    """`best.json` of a training whose validations give these values of lpips_alex."""
    found = iter(values)
    phase = restoration(iterations=len(values))
    phase.metrics._metrics["lpips_alex"] = SimpleNamespace(
        needs=(), against=lambda hr: lambda sr: torch.full((len(sr),), next(found))
    )
    callbacks = [LPIPSCheckpoint(folder=str(folder), **options), EMA(decay=0.5)]
    fit(phase, folder, validate_every=1, callbacks=callbacks, plugins=[AtomicCheckpointIO()])
    return json.loads((folder / "best.json").read_text())


def test_the_best_k_and_the_last_are_kept(tmp_path):
    best = selecting(tmp_path, [0.5, 0.3, 0.4, 0.2, 0.6], top_k=2)
    assert best["iteration"] == 4
    assert best["rule"] == "lowest lpips_alex"
    assert [row["iteration"] for row in best["kept"]] == [4, 2]
    assert len(best["history"]) == 5
    files = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    kept = [f"iteration_000000{i}.safetensors" for i in (2, 4, 5)]  # the newest too, to go on from
    assert files == [*kept, "last.safetensors"]
    selected = load_checkpoint(tmp_path / best["checkpoint"])
    assert selected["iteration"] == 4
    assert load_checkpoint(tmp_path / "checkpoints" / "last.safetensors")["iteration"] == 5
    assert selected["callbacks"]["LPIPSCheckpoint"]["rows"][-1]["iteration"] == 4
    assert "loops" not in selected


def test_nan_is_never_selected_and_a_missed_minimum_is_recorded(tmp_path):
    best = selecting(tmp_path / "a", [float("nan"), 0.5, float("nan")])
    assert best["iteration"] == 2
    best = selecting(tmp_path / "b", [0.3, 0.2], minimum={"psnr_rgb_b0": 30.0})
    assert best["iteration"] == 2
    assert best["reaches_minimum"] is False


def test_a_metric_that_is_not_measured_is_refused_at_the_start(tmp_path):
    phase = restoration()
    callback = LPIPSCheckpoint(folder=str(tmp_path), metric="lpips_vgg")
    with pytest.raises(ValueError, match=r"'lpips_vgg'.*metrics\.names.*psnr_rgb_b0"):
        fit(phase, tmp_path, callbacks=[callback])
