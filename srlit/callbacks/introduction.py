"""The first and the last lines of a training: what runs where, how long, and what comes next."""

import logging
import time
from datetime import timedelta
from pathlib import Path

from lightning import Callback, LightningModule, Trainer

from srlit.data.datamodule import PhotoDataModule
from srlit.phases.base import Phase

log = logging.getLogger(__name__)

TIMED = 5  # iterations after which a CPU's pace is known


class Introduction(Callback):
    """Five lines before a training, its length on a CPU, and three commands to go on with.

    Args:
        folder: the run's folder.
    """

    def __init__(self, *, folder: str) -> None:
        self.folder = Path(folder)
        self._started = (0.0, 0)  # when, and at which iteration

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say what is trained, on what, by what, and where it goes."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(pl_module, Phase)
        if not trainer.is_global_zero or not isinstance(data, PhotoDataModule):
            return
        parameters = sum(p.numel() for p in pl_module.generator.parameters())
        photos = ", ".join(f"{count} for {split}" for split, count in data.counts.items())
        device = f"{trainer.world_size} x {pl_module.device}"
        log.info("device       %s, precision %s", device, trainer.precision)
        network = type(pl_module.generator).__name__
        log.info("network      %s, %s parameters", network, f"{parameters:,}")
        log.info("photos       %s", photos)
        log.info(
            "degradation  %s", f"{data.degradation.name}, {data.eval_degradation.name} for val"
        )
        log.info("folder       %s", self.folder)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Start the clock."""
        assert isinstance(pl_module, Phase)
        self._started = time.monotonic(), pl_module.iteration

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, *_: object, **__: object
    ) -> None:
        """On a CPU: say how long all takes, once that is known."""
        assert isinstance(pl_module, Phase)
        begin, first = self._started
        if pl_module.iteration - first == TIMED and trainer.is_global_zero:
            left = pl_module.iterations - pl_module.iteration
            seconds = (time.monotonic() - begin) / TIMED * left
            if pl_module.device.type == "cpu" and seconds > 3600:
                log.warning(
                    "about %s on this CPU: model=edsr_small or unet_small, fewer iterations and "
                    "loss=l1 take minutes",
                    timedelta(seconds=round(seconds)),
                )


def log_next_commands(folder: Path) -> None:
    """Name the commands that most people want after a training."""
    for command in ("report {}", "evaluate checkpoints=[{}]", "upscale input=PHOTO checkpoint={}"):
        log.info("next         srlit %s", command.format(folder))
