"""Ends a training that no longer improves, resumed or not."""

import logging
import math
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping as LightningEarlyStopping

from srlit.metrics.registry import higher_is_better
from srlit.phases.base import Phase
from srlit.types import Count, NonNegative

log = logging.getLogger(__name__)


class EarlyStopping(LightningEarlyStopping):
    """Ends the training after `patience` validations without improvement.

    Unlike Lightning's own, it does not continue a run that it has ended when that is resumed, and
    the patience is the configuration's, not the checkpoint's.

    Args:
        monitor: column of a validation, such as `val/loss` or `val/lpips_alex`.
        patience: validations without improvement.
        min_delta: smallest change that counts as improvement.

    Raises:
        ValueError: a column of which neither higher nor lower is better.
    """

    def __init__(
        self, *, monitor: str = "val/loss", patience: Count = 15, min_delta: NonNegative = 0.0
    ) -> None:
        super().__init__(
            monitor,
            min_delta,
            patience,
            mode="max" if higher_is_better(monitor.removeprefix("val/")) else "min",
            check_finite=False,  # DivergenceGuard deals with NaN
            check_on_train_epoch_end=False,
        )

    @property
    def is_exhausted(self) -> bool:
        """Whether there were `patience` validations without improvement."""
        return self.wait_count >= self.patience

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End a run that was ended before, unless a validation is due."""
        assert isinstance(pl_module, Phase)
        if pl_module.validation_changed:
            self.wait_count = 0
            worst = math.inf if self.mode == "min" else -math.inf
            self.best_score = torch.tensor(worst)
        if self.is_exhausted and not pl_module.validation_is_due:
            self._log_end(pl_module)
            trainer.should_stop = True

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count, and log the end."""
        super().on_validation_end(trainer, pl_module)
        assert isinstance(pl_module, Phase)
        if self.is_exhausted and pl_module.iteration < pl_module.iterations:
            self._log_end(pl_module)

    def _log_end(self, phase: Phase) -> None:
        log.warning(
            "ends early, at iteration %d of %d: %s did not improve in the last %d validations "
            "(callbacks.early_stopping.patience=%d; callbacks.early_stopping=null continues)",
            phase.iteration,
            phase.iterations,
            self.monitor,
            self.wait_count,
            self.patience,
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue counting, against the configuration's patience."""
        super().load_state_dict(state_dict | {"patience": self.patience})
