"""Progress of a training: iteration, images per second, losses, time left."""

import logging
import time
from datetime import timedelta
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from srlit.phases.base import Phase
from srlit.types import Batch, NonNegative

log = logging.getLogger(__name__)


class IterationProgress(ProgressBar):
    """A bar on a terminal; elsewhere a log line every few seconds.

    Args:
        every_seconds: time between two lines where there is no terminal.
    """

    def __init__(self, *, every_seconds: NonNegative = 30.0) -> None:
        super().__init__()
        self.every_seconds = every_seconds
        self._console = Console()
        self._bar: Progress | None = None
        self._images = 0
        self._since = self._logged = 0.0
        self._enabled = True

    def disable(self) -> None:
        """Lightning calls this on every process but the first."""
        self._enabled = False

    def enable(self) -> None:
        """Show it again."""
        self._enabled = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Open the bar."""
        assert isinstance(pl_module, Phase)
        self._since = self._logged = time.monotonic()
        self._images = 0
        if self._enabled and self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]:.0f} images/s"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[losses]}"),
                console=self._console,
            )
            self._bar.add_task(
                "training",
                total=pl_module.iterations,
                completed=pl_module.iteration,
                rate=0.0,
                losses="",
            )
            self._bar.start()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ANN401, ARG002
        batch: Batch,
        *_: Any,  # noqa: ANN401
        **__: Any,  # noqa: ANN401
    ) -> None:
        """Move the bar, or log a line when it is time."""
        assert isinstance(pl_module, Phase)
        self._images += len(batch.lr) * trainer.world_size
        now = time.monotonic()
        rate = self._images / max(now - self._since, 1e-9)
        if self._bar is not None:
            self._bar.update(
                self._bar.task_ids[0],
                completed=pl_module.iteration,
                rate=rate,
                losses=_losses(pl_module.running_means.latest),
            )
        elif self._enabled and now - self._logged >= self.every_seconds:
            self._logged = now
            left = (pl_module.iterations - pl_module.iteration) * len(batch.lr) / rate
            log.info(
                "iteration %d of %d, %.0f images/s, %s left  %s",
                pl_module.iteration,
                pl_module.iterations,
                rate,
                timedelta(seconds=round(left * trainer.world_size)),
                _losses(pl_module.running_means.latest),
            )

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the validation; its time does not count as training's."""
        assert isinstance(pl_module, Phase)
        if not trainer.sanity_checking and self._enabled:
            found = "  ".join(f"{name} {value:.4f}" for name, value in pl_module.validation.items())
            log.info("iteration %d validated: %s", pl_module.iteration, found)
        self._since, self._images = time.monotonic(), 0

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Close the bar."""
        self._close()

    def on_exception(
        self,
        trainer: Trainer,  # noqa: ARG002
        pl_module: LightningModule,  # noqa: ARG002
        exception: BaseException,  # noqa: ARG002
    ) -> None:
        """Leave the terminal as it was."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _losses(latest: dict[str, float]) -> str:
    """The losses of the last logged row, briefly."""
    shown = {k: v for k, v in latest.items() if k in {"loss", "discriminator"} or "raw/" in k}
    return "  ".join(f"{name.removeprefix('raw/')} {value:.4g}" for name, value in shown.items())
