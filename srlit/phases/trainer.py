"""Lightning's trainer and the strategy by which its processes train one phase."""

import logging
import os
import signal
from datetime import timedelta
from typing import Any, Literal

import lightning
import torch.distributed as dist
from lightning.pytorch.strategies import DDPStrategy, StrategyRegistry
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher

from srlit.phases.gradient_sync import broadcast, open_control_group
from srlit.types import Positive


class PhaseDDP(DDPStrategy):
    """Data-parallel training of a phase, which averages its gradients itself in `Phase.update`.

    The phase is not wrapped, so checkpoints have the parameter names of one process.
    """

    def setup_environment(self) -> None:
        """Connect the processes; only the first one logs below warnings."""
        super().setup_environment()
        assert self._timeout is not None
        open_control_group(self._timeout)
        if self.global_rank > 0:
            for name in ("srlit", "__main__"):
                logging.getLogger(name).setLevel(logging.WARNING)

    def configure_ddp(self) -> None:
        """Start all processes from the first one's weights, instead of wrapping the phase."""
        assert self.model is not None
        broadcast([*self.model.parameters(), *self.model.buffers()])

    def on_exception(self, exception: BaseException) -> None:
        """End the processes that this one started; a SystemExit is one that all of them raise.

        Lightning's observer of these processes is told to forget them: where one has failed, it
        would kill this process before the run's record is written.
        """
        if isinstance(self._launcher, _SubprocessScriptLauncher):
            if not isinstance(exception, SystemExit):
                self._launcher.kill(getattr(signal, "SIGKILL", signal.SIGTERM))
            self._launcher.procs.clear()


class Trainer(lightning.Trainer):
    """Lightning's trainer with a limit to how long processes wait for each other.

    Args:
        timeout_s: seconds after which a process that does not answer the others is given up.
        strategy: 'auto' is 'ddp', by `PhaseDDP`, wherever there are several processes.
        options: of Lightning's trainer.

    Raises:
        ValueError: another number of processes than torchrun started.
    """

    def __init__(
        self,
        *,
        timeout_s: Positive = 300.0,
        strategy: Literal["auto", "ddp"] = "auto",
        **options: Any,  # noqa: ANN401
    ) -> None:
        self.timeout_s = timeout_s
        timeout = timedelta(seconds=timeout_s)
        StrategyRegistry.register("ddp", PhaseDDP, override=True, timeout=timeout)
        super().__init__(strategy=strategy, **options)
        started = int(os.environ["WORLD_SIZE"]) if dist.is_torchelastic_launched() else None
        if started not in {None, self.world_size}:
            raise ValueError(
                f"trainer.devices={options.get('devices')} x trainer.num_nodes="
                f"{options.get('num_nodes', 1)}: torchrun started {started} processes"
            )

    @property
    def starts_processes(self) -> bool:
        """Whether it starts processes by itself, as opposed to torchrun or srun."""
        if not isinstance(self.strategy, PhaseDDP):
            return False
        environment = self.strategy.cluster_environment
        return environment is not None and not environment.creates_processes_externally

    def fit(self, *args: Any, **options: Any) -> None:  # noqa: ANN401
        """Train.

        Raises:
            TimeoutError: a process did not answer within `timeout_s`.
            ConnectionError: another process has ended.
        """
        try:
            super().fit(*args, **options)
        except SystemExit as error:
            if isinstance(error.__context__, KeyboardInterrupt):  # Lightning exits with code 1
                raise KeyboardInterrupt from None
            raise
        except RuntimeError as error:
            text = str(error).lower()
            if not (isinstance(error, dist.DistError) or "gloo" in text):
                raise
            if "timed out" in text or "timeout" in text:
                msg = f"a process did not answer within trainer.timeout_s={self.timeout_s:g}"
                raise TimeoutError(msg) from error
            raise ConnectionError("another process has ended; its own output says why") from error
