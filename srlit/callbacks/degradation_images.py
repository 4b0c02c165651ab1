"""Figures of a training's degradation, made before the first iteration."""

from pathlib import Path

import torch
import torch.nn.functional as F
from lightning import Callback, LightningModule, Trainer
from torchvision.utils import save_image

from srlit.callbacks.loggers import log_image
from srlit.data.datamodule import PhotoDataModule
from srlit.data.transforms import training_pair
from srlit.degradation.preview import figure_pixels, histograms
from srlit.ops.image_grid import side_by_side, stacked
from srlit.ops.rng import make_keys
from srlit.phases.base import Phase
from srlit.types import Photos
from srlit.utils.atomic import atomic_file


class DegradationImages(Callback):
    """Writes `degradation/pairs.png` and `degradation/draws.png`, and gives them to the loggers.

    Args:
        folder: the run's folder.
        pairs: how many of the first batch's LR-HR pairs to show.
        draws: samples in the histograms.
    """

    def __init__(self, *, folder: str, pairs: int = 4, draws: int = 512) -> None:
        self.folder, self.pairs, self.draws = Path(folder) / "degradation", pairs, draws

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the figures, unless an earlier start of the run has."""
        assert isinstance(pl_module, Phase)
        data = trainer.datamodule  # type: ignore[attr-defined]
        if not trainer.is_global_zero or (self.folder / "draws.png").exists():
            return
        assert isinstance(data, PhotoDataModule)
        images = {"pairs": self._pairs(data), "draws": self._histograms(data)}
        for name, image in images.items():
            with atomic_file(self.folder / f"{name}.png") as path:
                save_image(image, path)
            for logger in trainer.loggers:
                log_image(logger, f"degradation/{name}", image, pl_module.iteration)

    def _pairs(self, data: PhotoDataModule) -> torch.Tensor:
        """LR (enlarged) and HR patches of the first batch, one pair per row."""
        photos = data.train_dataloader().dataset[data.first_iteration]
        shown = Photos(photos.pixels[: self.pairs], photos.keys[: self.pairs])
        batch = training_pair(shown, data.augmentation, data.degradation)
        large = F.interpolate(batch.lr, size=batch.hr.shape[-2:])
        rows = zip(large, batch.hr, strict=True)
        return stacked([side_by_side(list(pair)) for pair in rows])

    def _histograms(self, data: PhotoDataModule) -> torch.Tensor:
        keys = make_keys(data.seed, (), torch.arange(self.draws))
        return figure_pixels(histograms(data.degradation, data.degradation.sample(keys)))
