"""A moving average of the generator, and of the generator only."""

from typing import Any

from lightning import Callback, LightningModule, Trainer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from srlit.checkpoint.loading import EMA_KEY
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
        self._average: AveragedModel | None = None
        self._seen = 0

    @property
    def state_key(self) -> str:
        """The name under which checkpoints keep the average."""
        return EMA_KEY

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:  # noqa: ARG002
        """Start from the generator as it is."""
        if self._average is None and isinstance(pl_module, Phase):
            self._average = AveragedModel(pl_module.generator)
            self._average.requires_grad_(requires_grad=False)
            pl_module.judge(self._average.module)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Follow the generator to its device."""
        assert self._average is not None
        self._average.to(pl_module.device)

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
        self._average.multi_avg_fn = get_ema_multi_avg_fn(decay)
        self._average.update_parameters(pl_module.generator)

    def state_dict(self) -> dict[str, Any]:
        """The average and its clock."""
        assert self._average is not None
        return {"averaged": self._average.state_dict(), "seen": self._seen}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where the checkpoint stood."""
        assert self._average is not None
        self._average.load_state_dict(state_dict["averaged"])
        self._seen = state_dict["seen"]
