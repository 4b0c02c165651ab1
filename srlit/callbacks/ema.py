"""A moving average of the generator, and of the generator only."""

import copy
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from srlit.checkpoint.schema import EMA_KEY
from srlit.phases import Phase


class EMA(Callback):
    """Exponential moving average of the generator's weights; validation judges it.

    average <- decay * average + (1 - decay) * generator, after each iteration. The first
    iterations use a smaller decay, (1 + i) / (10 + i), so that the start does not linger.

    Args:
        decay: share of the average that is kept at each iteration, within 0 to 1.

    Raises:
        ValueError: the decay is out of range.
    """

    def __init__(self, *, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            msg = f"callbacks.ema.decay={decay}: expected a number from 0 to below 1"
            raise ValueError(msg)
        self.decay = decay
        self._average: nn.Module | None = None
        self._seen: int | None = None

    @property
    def state_key(self) -> str:
        """The name under which checkpoints keep the average."""
        return EMA_KEY

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:  # noqa: ARG002
        """Start from the generator as it is."""
        if self._average is None and isinstance(pl_module, Phase):
            self._average = copy.deepcopy(pl_module.generator).requires_grad_(requires_grad=False)
            pl_module.judge(self._average)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Follow the generator to its device; begin with it where no checkpoint held an average."""
        assert isinstance(pl_module, Phase)
        assert self._average is not None
        self._average.to(pl_module.device)
        if self._seen is None:
            self._average.load_state_dict(pl_module.generator.state_dict())
            self._seen = pl_module.iteration

    def on_train_batch_end(
        self,
        trainer: Trainer,  # noqa: ARG002
        pl_module: LightningModule,
        outputs: Any,  # noqa: ANN401, ARG002
        batch: Any,  # noqa: ANN401, ARG002
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        """Take the generator's new weights in, once an iteration."""
        assert isinstance(pl_module, Phase)
        assert self._average is not None
        if pl_module.iteration == self._seen:
            return
        self._seen = pl_module.iteration
        decay = min(self.decay, (1 + self._seen) / (10 + self._seen))
        self._move(pl_module.generator, 1 - decay)

    @torch.no_grad()
    def _move(self, generator: nn.Module, weight: float) -> None:
        """Average += weight * (generator - average), all parameters in one call; buffers follow.

        torch's AveragedModel does the same but reads its counter from the device each time.
        """
        assert self._average is not None
        averages, parameters = tuple(self._average.parameters()), tuple(generator.parameters())
        torch._foreach_lerp_(averages, parameters, weight)
        for average, buffer in zip(self._average.buffers(), generator.buffers(), strict=True):
            average.copy_(buffer)

    def state_dict(self) -> dict[str, Any]:
        """The average and its clock."""
        assert self._average is not None
        return {"averaged": self._average.state_dict(), "seen": self._seen}

    def return_to(self, weights: dict[str, Tensor]) -> None:
        """Take an older average back; its clock goes on with the training's."""
        assert self._average is not None
        self._average.load_state_dict(weights)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where the checkpoint stood."""
        assert self._average is not None
        self._average.load_state_dict(state_dict["averaged"])
        self._seen = state_dict["seen"]
