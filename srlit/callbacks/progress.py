"""Progress of a training: iteration, images per second, losses, time left."""

import logging
import time
from contextlib import suppress
from datetime import timedelta
from typing import Any

from lightning import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from srlit.phases.base import Phase
from srlit.types import Batch, NonNegative

log = logging.getLogger(__name__)


class IterationProgress(Callback):
    """A bar on a terminal; elsewhere a log line every few seconds.

    Args:
        every_seconds: time between two lines where there is no terminal.
    """

    def __init__(self, *, every_seconds: NonNegative = 30.0) -> None:
        self.every_seconds = every_seconds
        self._bar: Progress | None = None
        self._images = 0
        self._since = self._logged = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the bar."""
        assert isinstance(pl_module, Phase)
        self._since = self._logged = time.monotonic()
        self._images = 0
        console = Console()
        if trainer.is_global_zero and console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]:.0f} images/s"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[losses]}"),
                console=console,
            )
            done, total = pl_module.iteration, pl_module.iterations
            self._bar.add_task("training", total=total, completed=done, rate=0.0, losses="")
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
        iteration, losses = pl_module.iteration, _losses(pl_module.running_means.latest)
        if self._bar is not None:
            task = self._bar.task_ids[0]
            self._bar.update(task, completed=iteration, rate=rate, losses=losses)
        elif trainer.is_global_zero and now - self._logged >= self.every_seconds:
            self._logged = now
            left = (pl_module.iterations - iteration) * len(batch.lr) * trainer.world_size / rate
            log.info(
                "iteration %d of %d, %.0f images/s, %s left  %s",
                iteration,
                pl_module.iterations,
                rate,
                timedelta(seconds=round(left)),
                losses,
            )

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the validation, beside bicubic's; its time does not count as training's."""
        assert isinstance(pl_module, Phase)
        if trainer.is_global_zero:
            known = pl_module.baseline
            found = [
                f"{name} {_short(value)}" + (f" ({_short(known[name])})" if name in known else "")
                for name, value in pl_module.validation.items()
            ]
            bicubic = "  (bicubic)" if known else ""
            log.info("iteration %d  %s%s", pl_module.iteration, "  ".join(found), bicubic)
        self._since, self._images = time.monotonic(), 0

    def on_train_end(self, *_: Any, **__: Any) -> None:  # noqa: ANN401
        """Close the bar."""
        if self._bar is not None:
            with suppress(OSError):  # the terminal may be gone
                self._bar.stop()
            self._bar = None

    def on_exception(self, *_: Any, **__: Any) -> None:  # noqa: ANN401
        """Leave the terminal as it was."""
        self.on_train_end()


def _short(value: float) -> str:
    """As in tables: two decimals from 10 on, four below."""
    return f"{value:.2f}" if abs(value) >= 10 else f"{value:.4f}"


def _losses(latest: dict[str, float]) -> str:
    """The losses of the last logged row, briefly."""
    shown = {k: v for k, v in latest.items() if k in {"loss", "discriminator"} or "raw/" in k}
    return "  ".join(f"{name.removeprefix('raw/')} {value:.4g}" for name, value in shown.items())
