from srlit.callbacks.lpips_checkpoint import LPIPSCheckpoint
from srlit.callbacks.progress import IterationProgress
from tests.phases.tiny_phases import fit, restoration


def test_log_lines_have_iteration_rate_losses_and_time_left(tmp_path, caplog):
    callbacks = [
        IterationProgress(every_seconds=0),
        LPIPSCheckpoint(folder=str(tmp_path), metric="loss"),
    ]
    with caplog.at_level("INFO", logger="srlit"):
        fit(restoration(), tmp_path, callbacks=callbacks)
    lines = [record.getMessage() for record in caplog.records]
    assert any(
        line.startswith("iteration 3 of 4, ")
        and "images/s" in line
        and "left" in line
        and "l1" in line
        for line in lines
    )
    assert any("iteration 4 validated: psnr_rgb_b0" in line for line in lines)
