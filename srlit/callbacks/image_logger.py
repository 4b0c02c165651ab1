"""LR, SR and HR side by side, after each validation."""

from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torchvision.utils import save_image

from srlit.callbacks.loggers import log_image
from srlit.data.decode import read_photo
from srlit.ops.image_grid import columns_of, rows_of, side_by_side, stacked
from srlit.phases.base import Phase
from srlit.types import Batch
from srlit.utils.atomic import atomic_file


class ImageLogger(Callback):
    """Writes `panels/iteration_N.png` and gives the image to the loggers.

    Args:
        folder: the run's folder.
        count: how many validation photos to show.
        crop: side of the centre that is shown, in HR pixels.
    """

    def __init__(self, *, folder: str, count: int = 3, crop: int = 256) -> None:
        self.folder, self.count, self.crop = Path(folder) / "panels", count, crop
        self._rows: list[torch.Tensor] = []

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ANN401, ARG002
        batch: Batch,
        *_: Any,  # noqa: ANN401
        **__: Any,  # noqa: ANN401
    ) -> None:
        """Restore the centres of the first photos."""
        assert isinstance(pl_module, Phase)
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        scale = batch.hr.shape[-1] // batch.lr.shape[-1]
        for lr, hr in zip(batch.lr, batch.hr, strict=True):
            if len(self._rows) == self.count:
                return
            small = centre(lr, self.crop // scale)
            sr = pl_module.restore(small[None])[0]
            self._rows.append(side_by_side([small, sr, centre(hr, self.crop)]).cpu())

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the image."""
        assert isinstance(pl_module, Phase)
        if not self._rows:
            return
        image, self._rows = stacked(self._rows), []
        with atomic_file(self.folder / panel_name(pl_module.iteration)) as path:
            save_image(image, path)
        for logger in trainer.loggers:
            log_image(logger, "panels/lr_sr_hr", image, pl_module.iteration)


def panel_name(iteration: int) -> str:
    """File name of an iteration's image."""
    return f"iteration_{iteration:07d}.png"


def read_panel(path: Path) -> list[list[torch.Tensor]]:
    """LR (enlarged), SR and HR of each photo in a panel of photos of one size.

    Raises:
        PhotoError: not an image.
        ValueError: not a panel, or one of photos of different sizes.
    """
    panel = read_photo(path).float() / 255
    return [columns_of(row, 3) for row in rows_of(panel)]


def centre(image: torch.Tensor, side: int) -> torch.Tensor:
    """The central square of (3, h, w), or less where the image is smaller."""
    h, w = image.shape[1:]
    top, left = (max(0, size - side) // 2 for size in (h, w))
    return image[:, top : top + side, left : left + side]
