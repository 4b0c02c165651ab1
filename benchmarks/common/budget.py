"""Ends a training once it has used its minutes of this process's CPU time."""

import time
from typing import Any

from lightning import Callback, LightningModule, Trainer
from typing_extensions import override


class CPUTime(Callback):
    """A budget in CPU minutes, all cores together: what else the machine does costs it nothing."""

    def __init__(self, minutes: float) -> None:
        self.seconds = 60 * minutes
        self.begin = 0.0

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.begin = time.process_time()

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if time.process_time() - self.begin > self.seconds:
            trainer.should_stop = True
