"""An exponential moving average of the generator's weights."""

import copy
from typing import Annotated, Any

from annotated_types import Interval
from lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from srlit.phases.base import Phase


class EMA(Callback):
    """Keeps the moving average of the generator, which `Phase.update_ema` updates, in checkpoints.

    Validation and everything after training uses the average.

    Args:
        decay: weight of the old average at each iteration.
    """

    def __init__(self, *, decay: Annotated[float, Interval(ge=0, lt=1)] = 0.999) -> None:
        self.decay = decay
        self._ema: nn.Module | None = None
        self._loaded = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:  # noqa: ARG002
        """Copy the generator."""
        if self._ema is None and isinstance(pl_module, Phase):
            self._ema = copy.deepcopy(pl_module.generator).requires_grad_(requires_grad=False)
            pl_module.use_ema(self._ema, self.decay)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Start from the generator as it is now, where no checkpoint held an average."""
        assert isinstance(pl_module, Phase)
        assert self._ema is not None
        self._ema.to(pl_module.device)
        if not self._loaded:
            self.load(pl_module.generator.state_dict())

    def load(self, weights: dict[str, Tensor]) -> None:
        """Replace the average."""
        assert self._ema is not None
        self._ema.load_state_dict(weights)
        self._loaded = True

    def state_dict(self) -> dict[str, Any]:
        """The average."""
        assert self._ema is not None
        return {"averaged": self._ema.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a checkpoint."""
        self.load(state_dict["averaged"])
