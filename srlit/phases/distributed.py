"""Several processes: how they are started, made one training, and ended together."""

import atexit
import logging
import os
import secrets
import socket
import subprocess
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from lightning import LightningModule
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher
from torch import nn
from torch.optim import Optimizer

from srlit.phases.gradient_sync import average_gradients, control_group, share
from srlit.phases.watchdog import (
    SILENCE_SECONDS,
    ChildWatch,
    Ending,
    Heartbeats,
    ParentWatch,
    process_name,
)

# Tells a started process who started it.
STARTER = "SRLIT_STARTED_BY"
PATIENCE_SECONDS = 60.0

Command = Callable[[int], tuple[list[str], str]]


class NetworksDDP(DDPStrategy):
    """Data-parallel training of a phase, whatever its networks do within an iteration.

    The phase is not wrapped: gradients are averaged before each optimizer step, by what the
    optimizer holds (see `srlit.phases.gradient_sync`). So there is nothing to be found unused, and
    checkpoints keep the names of one process.

    Buffers that change in training, such as batch statistics, are the first process's after each
    step of their network's optimizer.

    Args:
        command: gives the command line of this machine's process of a rank, and its folder.
    """

    def __init__(self, command: Command) -> None:
        super().__init__()
        self.command = command
        self.ending = Ending()
        self._heartbeats: Heartbeats | None = None
        self._owners: dict[int, list[nn.Module]] = {}

    # -- from the start to the end --------------------------------------------------------------

    def _configure_launcher(self) -> None:
        assert self.cluster_environment is not None
        self._launcher = Starter(
            self.cluster_environment, self.num_processes, self.num_nodes, self.ending, self.command
        )

    def setup_environment(self) -> None:
        """Connect the processes, watch over them, and start all from the first one's weights.

        Now, as callbacks copy the generator before Lightning's own set-up.
        """
        super().setup_environment()
        if self.global_rank > 0:  # one voice; errors and warnings are everybody's
            for name in ("srlit", "__main__"):
                logging.getLogger(name).setLevel(logging.WARNING)
        if self.world_size > 1:
            self._heartbeats = start_heartbeats(self.ending)
        assert self.model is not None
        share([*self.model.parameters(), *self.model.buffers()], control_group())

    def configure_ddp(self) -> None:
        """Leave the phase unwrapped.

        Raises:
            TypeError: the module leaves optimisation to Lightning, which this strategy does not do.
        """
        assert self.lightning_module is not None
        if self.lightning_module.automatic_optimization:
            msg = f"{type(self).__name__} needs a phase that optimises manually"
            raise TypeError(msg)

    def on_exception(self, exception: BaseException) -> None:
        """Tell the other processes, and end those that this one started."""
        if self._heartbeats is not None:
            self._tell(self._heartbeats, exception)
            self._heartbeats = None
        if isinstance(self._launcher, Starter) and not isinstance(exception, SystemExit):
            self._launcher.end_children()

    @staticmethod
    def _tell(heartbeats: Heartbeats, exception: BaseException) -> None:
        """All stop together by SystemExit; a second Ctrl-C does not wait for anybody."""
        if isinstance(exception, SystemExit):
            heartbeats.leave(PATIENCE_SECONDS)
        elif isinstance(exception, KeyboardInterrupt):
            heartbeats.leave(0)
        else:
            heartbeats.fail(exception)

    def teardown(self) -> None:
        """Stop watching: how the others end is no matter from here on."""
        if self._heartbeats is not None:
            self._heartbeats.finish()
            self._heartbeats = None
        if isinstance(self._launcher, Starter):
            self._launcher.stop_watching()
        super().teardown()

    # -- in training ----------------------------------------------------------------------------

    def optimizer_step(
        self,
        optimizer: Optimizer,
        closure: Callable[[], Any],
        model: LightningModule | nn.Module | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """One step by the mean gradient; mixed precision unscales and clipping measures the mean.

        A gradient that overflowed in one process is infinite in all, so all leave the step out.
        """
        parameters = (p for group in optimizer.param_groups for p in group["params"])
        average_gradients(parameters, self._judged_beside())
        share([buffer for module in self._trained_by(optimizer) for buffer in own_buffers(module)])
        return super().optimizer_step(optimizer, closure, model, **kwargs)

    def _judged_beside(self) -> list[torch.Tensor]:
        """The loss by which a phase decides about a step: a decision must be that of all."""
        loss = getattr(self.lightning_module, "descending", None)
        return [] if loss is None else [loss]

    def _trained_by(self, optimizer: Optimizer) -> list[nn.Module]:
        """The modules with buffers in the networks that an optimizer trains."""
        if id(optimizer) not in self._owners:
            assert self.lightning_module is not None
            held = {id(p) for group in optimizer.param_groups for p in group["params"]}
            self._owners[id(optimizer)] = [
                module
                for network in self.lightning_module.children()
                if held & {id(p) for p in network.parameters()}
                for module in network.modules()
                if own_buffers(module)
            ]
        return self._owners[id(optimizer)]


def own_buffers(module: nn.Module) -> list[torch.Tensor]:
    """A module's buffers without its children's."""
    return list(module.buffers(recurse=False))


def start_heartbeats(ending: Ending) -> Heartbeats:
    """Watch over the processes of the default group, by its store; collective.

    The store is asked on a connection of its own, as the group's may be blocked for long.
    """
    mine = (socket.gethostname(), os.getpid(), secrets.token_hex(4))
    everybody: list[tuple[str, int, str]] = [mine] * dist.get_world_size()
    dist.all_gather_object(everybody, mine, group=control_group())
    store = dist.TCPStore(  # type: ignore[attr-defined]
        os.environ["MASTER_ADDR"],
        int(os.environ["MASTER_PORT"]),
        is_master=False,
        wait_for_workers=False,
        timeout=timedelta(seconds=SILENCE_SECONDS),
    )
    heartbeats = Heartbeats(
        store,
        rank=dist.get_rank(),
        names=[process_name(rank, host, pid) for rank, (host, pid, _) in enumerate(everybody)],
        ending=ending,
        key=f"srlit/heartbeats/{everybody[0][2]}",
    )
    heartbeats.start()
    return heartbeats


# -- starting processes ---------------------------------------------------------------------------


class Starter(_SubprocessScriptLauncher):
    """Starts this machine's other processes, unless a launcher did, and watches them from then on.

    Args:
        cluster_environment: who is who.
        num_processes: on this machine.
        num_nodes: machines.
        ending: what happens to this process when a started one fails.
        command: gives the command line of a rank's process, and its folder.
    """

    def __init__(
        self,
        cluster_environment: Any,  # noqa: ANN401 - Lightning does not export its type
        num_processes: int,
        num_nodes: int,
        ending: Ending,
        command: Command,
    ) -> None:
        super().__init__(cluster_environment, num_processes, num_nodes)
        self.ending = ending
        self.command = command
        self._watches: list[ChildWatch | ParentWatch] = []

    def launch(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Start the others and call the function."""
        environment = self.cluster_environment
        environment.validate_settings(num_devices=self.num_processes, num_nodes=self.num_nodes)
        first = environment.node_rank() * self.num_processes
        if starter := os.environ.get(STARTER):
            self._watch(ParentWatch(int(starter), first, self.ending))
        elif not environment.creates_processes_externally:
            self._start_children(first)
        share_cores(self.num_processes)
        kwargs.pop("trainer", None)
        return function(*args, **kwargs)

    def _start_children(self, first: int) -> None:
        """Run this command again for each further device of this machine."""
        self._check_can_spawn_children()
        environment = self._group_environment()
        os.environ |= environment
        for local_rank in range(1, self.num_processes):
            own = {"LOCAL_RANK": str(local_rank), STARTER: str(os.getpid())}
            command, folder = self.command(first + local_rank)
            self.procs.append(subprocess.Popen(command, env=os.environ | own, cwd=folder))  # noqa: S603 - this very command
        if self.procs:
            children = {first + number: child for number, child in enumerate(self.procs, 1)}
            self._watch(ChildWatch(children, self.ending))
            atexit.register(self._await_children)

    def _group_environment(self) -> dict[str, str]:
        """How the processes find each other."""
        environment = self.cluster_environment
        return {
            "MASTER_ADDR": environment.main_address,
            "MASTER_PORT": str(environment.main_port),
            "NODE_RANK": str(environment.node_rank()),
            "LOCAL_RANK": "0",
            "WORLD_SIZE": str(self.num_processes * self.num_nodes),
        }

    def _watch(self, watch: ChildWatch | ParentWatch) -> None:
        self._watches.append(watch)
        watch.start()

    def _await_children(self, seconds: float = 30.0) -> None:
        """Be the last to go: who started this command waits for all of it."""
        for child in self.procs:
            try:
                child.wait(seconds)
            except subprocess.TimeoutExpired:
                child.kill()

    def stop_watching(self) -> None:
        """How the started processes and the starter end is no matter any more."""
        for watch in self._watches:
            watch.stop()

    def end_children(self) -> None:
        """Kill what was started here."""
        for watch in self._watches:
            if isinstance(watch, ChildWatch):
                watch.kill()

    def kill(self, signum: int) -> None:
        """Send the started processes a signal and expect their end."""
        self.stop_watching()
        for child in self.procs:
            child.send_signal(signum)


def share_cores(processes: int) -> None:
    """Give torch this process's share of the cores, unless the user chose."""
    if processes > 1 and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(len(os.sched_getaffinity(0)) // processes, 1))


# -- choosing -------------------------------------------------------------------------------------


def choose_strategy(trainer: Mapping[str, Any], *, command: Command, multirun: bool) -> Any:  # noqa: ANN401 - an instance or a name
    """What `trainer.strategy` means: 'auto' and 'ddp' are this module's, where there are several.

    Args:
        trainer: the configuration of Lightning's trainer.
        command: gives the command line of a rank's process, and its folder.
        multirun: whether this is one job of several of a command line.

    Raises:
        ValueError: a multirun would have to start processes, whose command line is not one job's.
    """
    strategy = trainer.get("strategy", "auto")
    if strategy not in {"auto", "ddp"} or count_processes(trainer) == 1:
        return strategy
    if multirun and not _started_by_launcher():
        msg = (
            "trainer.devices: several processes in a multirun (-m) need torchrun: "
            "torchrun --nproc-per-node=N -m srlit.train -m ... trainer.devices=N"
        )
        raise ValueError(msg)
    return NetworksDDP(command)


def count_processes(trainer: Mapping[str, Any]) -> int:
    """How many processes the trainer will have, on all machines."""
    if _started_by_launcher():
        return int(os.environ.get("SLURM_NTASKS", os.environ.get("WORLD_SIZE", "1")))
    devices = count_devices(trainer.get("devices", "auto"), str(trainer.get("accelerator", "auto")))
    return devices * int(trainer.get("num_nodes") or 1)


def count_devices(devices: Any, accelerator: str) -> int:  # noqa: ANN401 - as the user wrote it
    """How many devices of this machine Lightning will take: a number, a list of them, or all."""
    if devices in {"auto", -1, "-1"} if isinstance(devices, str | int) else False:
        return max(torch.cuda.device_count(), 1) if accelerator != "cpu" else 1
    if isinstance(devices, str):
        return int(devices) if devices.isdigit() else len(devices.strip(", ").split(","))
    return devices if isinstance(devices, int) else len(devices)


def _started_by_launcher() -> bool:
    """Whether torchrun, srun or a starter made this process one of several."""
    return dist.is_torchelastic_launched() or "SLURM_NTASKS" in os.environ or STARTER in os.environ
