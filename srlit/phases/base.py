"""What all phases share: the clock, the update, validation, logging.

`iteration` counts finished generator updates and is the only clock. Lightning's `global_step`
counts every optimizer's steps and its epochs depend on the data; nothing here reads them: a whole
training is one Lightning epoch whose batches are numbered by the iteration. All phases optimise
manually, so that schedules, clipping and counting are one piece of code.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torchmetrics import MeanMetric

from srlit.losses.composite import CompositeLoss
from srlit.metrics.suite import MetricSuite
from srlit.ops.rng import make_keys
from srlit.phases.finite_check import FiniteCheck, skips_on_device
from srlit.phases.image_stats import appearance
from srlit.phases.running_means import RunningMeans
from srlit.phases.schedule import Schedule
from srlit.types import AnyImages, Batch, Images, Scalar

MakeOptimizer = Callable[..., Optimizer]


class Restored(NamedTuple):
    """A part of a batch and what came out, with its graph.

    Attributes:
        part: what was restored.
        sr: the result.
        stage1: what stage 1 of the generator made of lr, where a loss term looks at it.
    """

    part: Batch
    sr: Images
    stage1: Images | None = None


class Phase(LightningModule):
    """A generator in training.

    Args:
        generator: maps lr to sr and has `scale`.
        loss: the table of weighted terms.
        metrics: what validation measures.
        schedule: learning rate over the training, the same for every optimizer.
        iterations: length of the training.
        seed: of what the networks draw themselves (dropout).
        grad_clip_norm: largest gradient norm of each network; None does not clip.
        log_every: iterations between two logged rows.
        micro_batches: equal parts that a batch is computed in, one after the other: the same
            gradient in less memory, >= 1.
        card: plain description of the run that every checkpoint carries; `card['model']` is the
            generator's configuration.

    Raises:
        ValueError: no micro-batch, or a loss of a stage for a generator that has none.
    """

    def __init__(
        self,
        *,
        generator: nn.Module,
        loss: CompositeLoss,
        metrics: MetricSuite,
        schedule: Schedule,
        iterations: int,
        seed: int,
        grad_clip_norm: float | None,
        log_every: int,
        card: Mapping[str, Any],
        micro_batches: int = 1,
    ) -> None:
        super().__init__()
        if micro_batches < 1:
            msg = f"phase.micro_batches={micro_batches}: expected at least 1"
            raise ValueError(msg)
        if "stage1_output" in loss.may_need and not hasattr(generator, "forward_stages"):
            msg = "loss.terms has one of stage 1, but model has no stages; model=two_stage has"
            raise ValueError(msg)
        self.automatic_optimization = False
        self.generator = generator.to(memory_format=torch.channels_last)
        self.loss = loss
        self.metrics = metrics
        self.schedule = schedule
        self.iterations = iterations
        self.seed = seed
        self.grad_clip_norm = grad_clip_norm
        self.micro_batches = micro_batches
        self.journal = RunningMeans(log_every)
        self.card = dict(card)
        self.iteration = 0
        self.validated = 0
        self.guard = FiniteCheck(log_every)
        self.descending = torch.zeros(())
        self.validation: dict[str, float] = {}
        self._means: dict[str, MeanMetric] = {}
        # In a tuple: the moving average is the EMA callback's to store, no part of this module.
        self._judged: tuple[nn.Module] = (self.generator,)

    # -- the networks ---------------------------------------------------------------------------

    @property
    def judged(self) -> nn.Module:
        """The generator that is validated and shipped: its moving average, where there is one."""
        return self._judged[0]

    def judge(self, average: nn.Module) -> None:
        """Validate this copy of the generator from now on."""
        self._judged = (average,)

    def compile_networks(self) -> None:
        """Let torch.compile each network in training; their names and copies stay as they are."""
        for network in self.children():
            if any(parameter.requires_grad for parameter in network.parameters()):
                network.compile()

    def forward(self, lr: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 sh sw"]:
        """Restore and enlarge, lr to sr."""
        sr: Tensor = self.generator(lr.contiguous(memory_format=torch.channels_last))
        return sr.float()

    def generate(self, part: Batch) -> Restored:
        """Restore a part of a batch."""
        if "stage1_output" not in self.loss.needs(self.iteration):
            return Restored(part, self(part.lr))
        lr = part.lr.contiguous(memory_format=torch.channels_last)
        outputs = self.generator.forward_stages(lr)  # type: ignore[operator]
        return Restored(part, outputs.sr.float(), outputs.stage1_output.float())

    # -- the clock and the update ---------------------------------------------------------------

    def on_train_start(self) -> None:
        """Let Lightning count batches from the iteration on, so that validations fall on time."""
        self.trainer.fit_loop.epoch_loop.batch_progress.total.ready = self.iteration
        if self.owes_validation:
            self._validate_now()

    @property
    def owes_validation(self) -> bool:
        """Whether the training was stopped between an iteration and its validation."""
        every = self.trainer.val_check_interval
        on_time = self.iteration % every == 0 or self.iteration >= self.iterations
        return 0 < self.iteration != self.validated and bool(on_time)

    def _validate_now(self) -> None:
        """Run the validation that a stop left out, as Lightning does within its loop."""
        self.trainer.validating = True
        self.trainer.fit_loop.epoch_loop.val_loop.run()
        self.trainer.training = True

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> int | None:  # noqa: ARG002
        """Make dropout a function of (seed, iteration, rank); -1 where nothing is left to do."""
        if self.iteration >= self.iterations:
            return -1
        key = make_keys(self.seed, (self.iteration,), torch.tensor([self.global_rank]))
        torch.manual_seed(int(key[0]))
        return None

    def descend(self, losses: Iterable[Scalar], optimizer: Any) -> None:  # noqa: ANN401 - LightningOptimizer
        """One update of one network, unless loss or gradient are not finite.

        Clipping and the decision happen in `on_before_optimizer_step`.

        Args:
            losses: of the batch's parts; each is asked for when the one before has been freed.
            optimizer: of the network.
        """
        optimizer.zero_grad()
        self.descending = torch.zeros((), device=self.device)
        for loss in losses:
            share = loss / self.micro_batches
            self.manual_backward(share)
            self.descending = self.descending + share.detach()
        optimizer.step()

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Measure, judge and clip the gradient of a whole network.

        Under fp16 gradients overflow until the scale of the loss has settled, and the scaler leaves
        those updates out by itself: they are sick only where the scale has fallen below 1.
        """
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        if scaler is not None and skips_on_device(optimizer):
            scaler.unscale_(optimizer)  # Lightning leaves it to optimizers that could do it alone
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        limit = float("inf") if self.grad_clip_norm is None else self.grad_clip_norm
        norm = nn.utils.clip_grad_norm_(parameters, limit)
        network = self._name_of(optimizer)
        overflows = scaler is not None and scaler._get_scale_async() >= 1  # noqa: SLF001 - on the device
        finite = self.descending.isfinite() & (norm.isfinite() | overflows)
        self.guard.judge(network, self.iteration, finite)
        self.journal.record({f"grad_clip_norm/{network}": norm})
        if skips_on_device(optimizer):
            optimizer.found_inf = (~finite).float()  # type: ignore[attr-defined]
        elif not finite:
            for parameter in parameters:
                parameter.grad = None  # what has no gradient is left alone, its moments too

    def _name_of(self, optimizer: Optimizer) -> str:
        position = [*self.trainer.optimizers].index(optimizer)
        return list(self.make_optimizers())[position]

    def observe(self, batch: Batch, sr: Images) -> None:
        """Where an interval ends: what alarms look at besides the losses."""
        if self.journal.ends_at(self.iteration + 1):
            self.journal.record(appearance(batch, sr.detach()))

    def finish_iteration(self) -> None:
        """Count the update, step the schedules, log, and stop at the end."""
        self.iteration += 1
        for scheduler in self._schedulers():
            if not isinstance(scheduler, ReduceLROnPlateau):
                scheduler.step()
        if self.journal.ends_at(self.iteration):
            means = self.journal.flush()
            self.write_row(
                {f"train/{name}": value for name, value in (means | shares(means)).items()}
                | {"learning_rate": self.trainer.optimizers[0].param_groups[0]["lr"]}
            )
        if self.iteration >= self.iterations:
            self.trainer.should_stop = True  # Lightning validates once more, then ends

    def write_row(self, row: Mapping[str, float]) -> None:
        """Give a row to every logger; its x axis is the iteration."""
        for logger in self.loggers:
            logger.log_metrics(dict(row), step=self.iteration)

    # -- optimizers and schedules ---------------------------------------------------------------

    def make_optimizers(self) -> dict[str, Callable[[], Optimizer]]:
        """Name of each network in training to what makes its optimizer, in order of their steps."""
        raise NotImplementedError

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimizers and their schedules; Lightning stores both, this class steps them."""
        optimizers = [make() for make in self.make_optimizers().values()]
        schedulers = [self.schedule(o, iterations=self.iterations) for o in optimizers]
        return optimizers, schedulers

    def _schedulers(self) -> list[LRScheduler]:
        return [config.scheduler for config in self.trainer.lr_scheduler_configs]

    # -- validation -----------------------------------------------------------------------------

    def on_validation_epoch_start(self) -> None:
        """Forget the last validation."""
        self._means = {}

    def validation_step(self, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002
        """Measure every image of a batch, on the judged generator."""
        sr = self.restore(batch.lr)
        # An adversarial part depends on a moving opponent and is left out of the loss here.
        loss_inputs = {"lr": batch.lr, "ema_sr": sr}
        if "stage1_output" in self.loss.needs(None):
            loss_inputs["stage1_output"] = self.restore_first(batch.lr)
        loss = self.loss(sr, batch.hr, loss_inputs=loss_inputs).total.expand(len(sr))
        for name, value in (self.metrics(sr, batch.hr, batch.lr) | {"loss": loss}).items():
            mean = self._means.setdefault(name, MeanMetric(nan_strategy="disable").to(value.device))
            mean.update(value)

    @torch.no_grad()
    def restore(self, lr: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 sh sw"]:
        """What the judged generator makes of `lr`, in float32."""
        with torch.autocast(lr.device.type, enabled=False):
            return self.generate_with_ema(lr)

    @torch.no_grad()
    def restore_first(self, lr: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """What stage 1 of the judged generator makes of `lr`, in float32."""
        with torch.autocast(lr.device.type, enabled=False):
            stage1: Tensor = self.judged.forward_stages(lr).stage1_output  # type: ignore[operator]
        return stage1

    @torch.no_grad()
    def generate_with_ema(self, lr: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 sh sw"]:
        """What the judged generator makes of `lr`, in the training's precision."""
        network = self.judged
        was_training = network.training
        network.eval()
        sr: Tensor = network(lr.contiguous(memory_format=torch.channels_last))
        network.train(was_training)
        return sr.float()

    def loss_inputs(self, restored: Restored) -> dict[str, AnyImages]:
        """What loss terms may see besides sr and hr; the average restores only if one asks for it.

        Without a moving average the restored image itself stands for what it would restore.
        """
        part, sr, stage1 = restored
        found: dict[str, AnyImages] = {"lr": part.lr}
        if stage1 is not None:
            found["stage1_output"] = stage1
        if "ema_sr" in self.loss.needs(self.iteration):
            own = self.judged is self.generator
            found["ema_sr"] = sr.detach() if own else self.generate_with_ema(part.lr)
        return found

    def on_validation_epoch_end(self) -> None:
        """Means over all images and processes; they go to callbacks, loggers and the schedule."""
        self.validation = {name: float(mean.compute()) for name, mean in self._means.items()}
        if self.trainer.sanity_checking:
            return
        row = {f"val/{name}": value for name, value in self.validation.items()}
        self.log_dict(row, logger=False)  # for Lightning's callbacks, such as EarlyStopping
        self.write_row(row)
        for scheduler in self._schedulers():
            if isinstance(scheduler, ReduceLROnPlateau):
                scheduler.step(self.validation["loss"])
        self.validated = self.iteration

    def is_finite(self) -> bool:
        """Whether all that is trained, judged and remembered by the optimizers is finite."""
        states = [
            state for optimizer in self.trainer.optimizers for state in optimizer.state.values()
        ]
        tensors = [
            *self.state_dict().values(),
            *self.judged.state_dict().values(),
            *(part for state in states for part in state.values() if isinstance(part, Tensor)),
        ]
        # One synchronisation: each tensor's verdict is a number on the device.
        verdicts = [tensor.isfinite().all().to(self.device) for tensor in tensors]
        return bool(torch.stack(verdicts).all())

    # -- checkpoints ----------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the clock and the card; Lightning's own counters are not kept."""
        checkpoint["iteration"] = checkpoint["global_step"] = self.iteration
        checkpoint["validated"] = self.validated
        checkpoint["journal"] = self.journal.state_dict()
        checkpoint["guard"] = self.guard.state_dict()
        checkpoint["card"] = self.card
        checkpoint.pop("loops", None)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Set the clock."""
        self.iteration = checkpoint["iteration"]
        self.validated = checkpoint["validated"]
        self.journal.load_state_dict(checkpoint["journal"], self.device)
        self.guard.load_state_dict(checkpoint["guard"], self.device)


def shares(means: Mapping[str, float]) -> dict[str, float]:
    """What part of the generator's loss each weighted term makes up."""
    prefix, total = "weighted/", means.get("loss", 0.0)
    weighted = {k.removeprefix(prefix): v for k, v in means.items() if k.startswith(prefix)}
    return (
        {f"loss_fraction/{name}": value / total for name, value in weighted.items()}
        if total
        else {}
    )
