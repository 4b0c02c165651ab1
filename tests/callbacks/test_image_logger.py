from PIL import Image

from srlit.callbacks.image_logger import ImageLogger
from srlit.callbacks.lpips_checkpoint import LPIPSCheckpoint
from tests.phases.tiny_phases import fit, restoration


def test_panels_show_lr_sr_hr(tmp_path):
    selector = LPIPSCheckpoint(folder=str(tmp_path), metric="loss")
    images = ImageLogger(folder=str(tmp_path), count=1, crop=24)
    fit(restoration(iterations=2), tmp_path, callbacks=[images, selector])
    (panel,) = (tmp_path / "panels").iterdir()
    assert panel.name == "iteration_0000002.png"
    assert Image.open(panel).size == (3 * 24 + 2 * 4, 24)
