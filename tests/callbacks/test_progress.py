import re

from srlit.callbacks.lpips_checkpoint import LPIPSCheckpoint
from srlit.callbacks.progress import IterationProgress
from tests.phases.tiny_phases import fit, restoration


def test_log_lines_have_iteration_rate_losses_and_time_left(tmp_path, caplog):
    selector = LPIPSCheckpoint(folder=str(tmp_path), metric="loss")
    with caplog.at_level("INFO", logger="srlit"):
        fit(restoration(), tmp_path, callbacks=[IterationProgress(every_seconds=0), selector])
    lines = [record.getMessage() for record in caplog.records]
    [third] = [line for line in lines if line.startswith("iteration 3 of 4, ")]
    assert re.search(r" images/s, .* left .*l1 ", third)
    assert any(line.startswith("iteration 4  psnr_rgb_b0 ") for line in lines)
