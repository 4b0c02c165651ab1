"""Ending a training that no longer gets better, also over a resume."""

import logging
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping as LightningEarlyStopping

from srlit.metrics.ranking import rises
from srlit.phases import Phase

log = logging.getLogger(__name__)


class EarlyStopping(LightningEarlyStopping):
    """Ends the training after `patience` validations without a better value.

    Lightning's own trains on when a run that it has ended is resumed, and brings the patience of
    the checkpoint back over that of the configuration.

    Args:
        monitor: column of a validation, such as `val/loss` or `val/lpips_alex`.
        patience: validations without a better value, >= 1.
        min_delta: what counts as better, >= 0.

    Raises:
        ValueError: a number out of range, or a column whose direction is unknown.
    """

    def __init__(
        self, *, monitor: str = "val/loss", patience: int = 15, min_delta: float = 0.0
    ) -> None:
        if patience < 1 or min_delta < 0:
            msg = (
                f"callbacks.early_stopping: patience={patience}, min_delta={min_delta}: "
                "expected at least 1 and at least 0"
            )
            raise ValueError(msg)
        super().__init__(
            monitor,
            min_delta,
            patience,
            mode="max" if rises(monitor.removeprefix("val/")) else "min",
            check_finite=False,  # NaN is the health callback's to judge
            check_on_train_epoch_end=False,
        )

    @property
    def is_exhausted(self) -> bool:
        """Whether there were too many validations without a better value."""
        return self.wait_count >= self.patience

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End a run that was ended before, unless it is to validate first."""
        assert isinstance(pl_module, Phase)
        if self.is_exhausted and not pl_module.owes_validation:
            self._tell(pl_module)
            trainer.should_stop = True

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count, and say so when it is enough."""
        super().on_validation_end(trainer, pl_module)
        assert isinstance(pl_module, Phase)
        if self.is_exhausted and pl_module.iteration < pl_module.iterations:
            self._tell(pl_module)

    def _tell(self, phase: Phase) -> None:
        log.warning(
            "ends early, at iteration %d of %d: %s was not better in the last %d validations "
            "(callbacks.early_stopping.patience=%d; callbacks.early_stopping=null goes on)",
            phase.iteration,
            phase.iterations,
            self.monitor,
            self.wait_count,
            self.patience,
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting, against the patience of now."""
        super().load_state_dict(state_dict | {"patience": self.patience})
