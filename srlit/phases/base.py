"""What all phases share: the clock, one network's update, validation, logging.

`iteration` counts finished generator updates and is the only clock. Lightning's `global_step` and
epochs are not read: a whole training is one Lightning epoch whose batches are numbered by the
iteration. Optimisation is manual: `Phase.update` is one update of one network from zeroed gradients
to the optimizer's step.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from lightning import LightningModule
from lightning.pytorch.plugins import MixedPrecision
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torch.utils._pytree import tree_leaves
from torchmetrics import MeanMetric

from srlit.losses.composite import CompositeLoss, LossParts
from srlit.metrics.suite import MetricSuite
from srlit.ops.resize import imresize
from srlit.ops.rng import make_keys
from srlit.ops.tiling import Upscaler, upscale_batch, usual_overlap
from srlit.phases.finite_check import FiniteCheck
from srlit.phases.gradient_sync import average_gradients, broadcast
from srlit.phases.image_stats import image_stats
from srlit.phases.running_means import RunningMeans
from srlit.types import AnyImages, Batch, Count, Images, Positive, Scalar

log = logging.getLogger(__name__)

BICUBIC = "bicubic/"  # before the names of bicubic interpolation's values

MakeOptimizer = Callable[..., Optimizer]
MakeSchedule = Callable[[Optimizer], LRScheduler]


class Restored(NamedTuple):
    """A micro-batch and what the generator made of it, with its graph.

    Attributes:
        batch: the micro-batch.
        sr: the restored images.
        stage1_output: the generator's first stage, where a loss term needs it.
    """

    batch: Batch
    sr: Images
    stage1_output: Images | None = None


class Phase(LightningModule):
    """A generator in training.

    Args:
        generator: maps lr to sr and has `scale`.
        loss: the table of weighted terms.
        metrics: what validation measures.
        schedule: makes the schedule of an optimizer's learning rate. A ReduceLROnPlateau is stepped
            after each validation with its loss, every other schedule after each iteration.
        iterations: length of the training.
        seed: of what the networks draw themselves (dropout).
        grad_clip_norm: largest gradient norm of each network; None does not clip.
        log_every: iterations between two logged rows.
        micro_batches: equal parts in which a batch is computed, one after the other: the same
            gradient in less memory.
        val_tile: side of the tiles, in LR pixels, in which larger images are validated, to save
            memory; None takes images of any size whole.
        card: plain description of the run that every checkpoint carries; `card['model']` is the
            generator's configuration.

    Raises:
        ValueError: a loss of stage 1 for a generator that has no stages.
    """

    def __init__(
        self,
        *,
        generator: nn.Module,
        loss: CompositeLoss,
        metrics: MetricSuite,
        schedule: MakeSchedule,
        iterations: Count,
        seed: int,
        grad_clip_norm: Positive | None,
        log_every: Count,
        card: Mapping[str, Any],
        micro_batches: Count = 1,
        val_tile: Count | None = None,
    ) -> None:
        super().__init__()
        if "stage1_output" in loss.may_need and not hasattr(generator, "forward_stages"):
            raise ValueError("loss.terms has one of stage 1; expected model=two_stage, with stages")
        self.automatic_optimization = False
        self.generator = generator.to(memory_format=torch.channels_last)
        self.loss, self.metrics, self.schedule = loss, metrics, schedule
        self.iterations, self.seed = iterations, seed
        self.grad_clip_norm, self.micro_batches = grad_clip_norm, micro_batches
        self.val_tile = val_tile
        self.running_means = RunningMeans(log_every)
        self.finite_check = FiniteCheck(log_every)
        self.card = dict(card)
        self.iteration = self.validated = 0
        # Whether rates and schedules are the configuration's, and not those of the checkpoint.
        self.renews_optimizers = False
        # Names what validations measure on; those of another one are not compared.
        self.validation_id = ""
        self.validation_changed = False
        self.rows_written = 0
        self.baseline: dict[str, float] = {}
        self.validation: dict[str, float] = {}
        self._val_means: dict[str, MeanMetric] = {}
        # In a tuple: the EMA callback stores the average, it is no part of this module's state.
        self._ema: tuple[nn.Module] = (self.generator,)
        self._ema_decay = 0.0

    # -- the networks ---------------------------------------------------------------------------

    @property
    def ema(self) -> nn.Module:
        """The generator that is validated and shipped: its moving average, where there is one."""
        return self._ema[0]

    def use_ema(self, ema: nn.Module, decay: float) -> None:
        """Keep an exponential moving average of the generator in `ema`, and validate that.

        The first iterations use a smaller decay, (1 + i) / (10 + i), so that the start is soon
        forgotten.
        """
        self._ema = (ema,)
        self._ema_decay = decay

    @torch.no_grad()
    def update_ema(self) -> None:
        """Ema <- decay * ema + (1 - decay) * generator; its buffers are the generator's.

        torch's AveragedModel does the same but reads its counter from the device each time.
        """
        if self.ema is self.generator:
            return
        decay = min(self._ema_decay, (2 + self.iteration) / (11 + self.iteration))
        averages, parameters = tuple(self.ema.parameters()), tuple(self.generator.parameters())
        torch._foreach_lerp_(averages, parameters, 1 - decay)
        for average, buffer in zip(self.ema.buffers(), self.generator.buffers(), strict=True):
            average.copy_(buffer)

    def compile_networks(self) -> None:
        """Let torch.compile each network in training; their names and copies stay as they are."""
        for network in self.children():
            if any(parameter.requires_grad for parameter in network.parameters()):
                network.compile()

    def forward(self, lr: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 sh sw"]:
        """Restore and enlarge, lr to sr."""
        sr: Tensor = self.generator(lr.contiguous(memory_format=torch.channels_last))
        return sr.float()

    def generate(self, batch: Batch) -> Restored:
        """Restore a micro-batch."""
        if "stage1_output" not in self.loss.needs(self.iteration):
            return Restored(batch, self(batch.lr))
        lr = batch.lr.contiguous(memory_format=torch.channels_last)
        outputs = self.generator.forward_stages(lr)  # type: ignore[operator]
        return Restored(batch, outputs.sr.float(), outputs.stage1_output.float())

    # -- the clock ------------------------------------------------------------------------------

    def on_train_start(self) -> None:
        """Let Lightning count batches from the iteration on, so that validations fall on time."""
        self.trainer.fit_loop.epoch_loop.batch_progress.total.ready = self.iteration
        if self.renews_optimizers:
            self._renew_optimizers()
        if self.validation_changed:
            log.warning("validation changed: earlier ones are neither ranked nor compared with")
            for scheduler in self._schedulers():
                if isinstance(scheduler, ReduceLROnPlateau):
                    scheduler._reset()  # noqa: SLF001 - it has no public way to forget
        if self.validation_is_due:
            self._run_due_validation()

    def _renew_optimizers(self) -> None:
        """Take the configuration's rates and schedules, with the moments of the checkpoint."""
        made: Any = self.configure_optimizers()
        for optimizer, new, config in zip(
            self.trainer.optimizers, made[0], self.trainer.lr_scheduler_configs, strict=True
        ):
            for group, wanted in zip(optimizer.param_groups, new.param_groups, strict=True):
                group.update({key: value for key, value in wanted.items() if key != "params"})
                group["lr"] = wanted.get("initial_lr", wanted["lr"])  # a schedule starts from it
            config.scheduler = self.schedule(optimizer)
            if not isinstance(config.scheduler, ReduceLROnPlateau):
                for _ in range(self.iteration):
                    config.scheduler.step()

    @property
    def validation_is_due(self) -> bool:
        """Whether the training was stopped between an iteration and its validation."""
        every = self.trainer.val_check_interval
        on_time = self.iteration % every == 0 or self.iteration >= self.iterations
        return 0 < self.iteration != self.validated and bool(on_time)

    def _run_due_validation(self) -> None:
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

    # -- one update of one network --------------------------------------------------------------

    def update(
        self,
        name: str,
        network: nn.Module,
        optimizer: Optimizer,
        losses: Iterable[Scalar],
        buffers: Sequence[Tensor],
    ) -> None:
        """Update a network, unless its loss or gradient is not finite: then nothing changes.

        The decision is made on the device; the host does not wait for it where the optimizer is
        fused. Under fp16 the gradient overflows until the scale of the loss has settled: such
        updates are skipped too, but reported as not finite only where the scale is below 1.

        Args:
            name: of the network in logs.
            network: what is trained.
            optimizer: of its parameters.
            losses: of the micro-batches; each is computed when the one before has been freed.
            buffers: copies of the network's buffers from before this update's forward passes.
        """
        parameters = [p for p in network.parameters() if p.requires_grad]
        scaler = self._grad_scaler()
        optimizer.zero_grad()
        loss = torch.zeros((), device=self.device)
        for micro_batch_loss in losses:
            part = micro_batch_loss / self.micro_batches
            scaler.scale(part).backward()
            loss += part.detach()

        average_gradients(parameters, loss)
        broadcast(network.buffers())

        scaler.unscale_(optimizer)
        norm = get_total_norm([p.grad for p in parameters if p.grad is not None])
        if self.grad_clip_norm is not None:
            clip_grads_with_norm_(parameters, self.grad_clip_norm, norm)

        finite = loss.isfinite() & norm.isfinite()
        step_if(finite, optimizer)
        keep_buffers_if(finite, network, buffers)
        overflowed = loss.isfinite() & (scaler.scale(torch.ones_like(loss)) >= 1)
        scaler.update()

        self.finite_check.note(name, self.iteration, finite | (overflowed & scaler.is_enabled()))
        self.running_means.record({f"grad_norm/{name}": norm})

    def _grad_scaler(self) -> GradScaler:
        """Scales losses under fp16; does nothing otherwise."""
        precision = self.trainer.precision_plugin
        scaler = precision.scaler if isinstance(precision, MixedPrecision) else None
        return scaler or GradScaler("cpu", enabled=False)

    # -- the end of an iteration ----------------------------------------------------------------

    def record_losses(self, parts: LossParts, batch: Batch, sr: Images) -> None:
        """Record the generator's loss; at the end of an interval, statistics of its images too."""
        self.running_means.record({"loss": parts.total} | parts.named())
        if self.running_means.ends_at(self.iteration + 1):
            self.running_means.record(image_stats(batch, sr.detach()))

    def finish_iteration(self) -> None:
        """Count the update, step the schedules, log, and stop at the end."""
        self.iteration += 1
        for scheduler in self._schedulers():
            if not isinstance(scheduler, ReduceLROnPlateau):
                scheduler.step()
        if self.running_means.ends_at(self.iteration):
            means = self.running_means.flush()
            row = {f"train/{name}": mean for name, mean in (means | loss_fractions(means)).items()}
            rate = self.trainer.optimizers[0].param_groups[0]["lr"]
            self.write_row(row | {"learning_rate": rate})
        if self.iteration >= self.iterations:
            self.trainer.should_stop = True  # Lightning validates once more, then ends

    def write_row(self, row: Mapping[str, float]) -> None:
        """Give a row to every logger; its x axis is the iteration."""
        self.rows_written += 1
        for logger in self.loggers:
            logger.log_metrics(dict(row), step=self.iteration)

    def with_schedules(self, optimizers: Sequence[Optimizer]) -> OptimizerLRScheduler:
        """What `configure_optimizers` returns; Lightning stores both, the phase steps them."""
        schedules = [self.schedule(optimizer) for optimizer in optimizers]
        return list(optimizers), schedules

    def _schedulers(self) -> list[LRScheduler]:
        return [config.scheduler for config in self.trainer.lr_scheduler_configs]

    # -- validation -----------------------------------------------------------------------------

    def on_validation_epoch_start(self) -> None:
        """Forget the last validation."""
        self._val_means = defaultdict(lambda: MeanMetric(nan_strategy="disable").to(self.device))

    def validation_step(self, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002
        """Measure every image of a batch, restored by the EMA of the generator."""
        sr = self.restore(batch.lr)
        # The adversarial term depends on a changing discriminator and is left out here.
        inputs = {"lr": batch.lr, "ema_sr": sr}
        if "stage1_output" in self.loss.needs(None):
            inputs["stage1_output"] = self.restore_stage1(batch.lr)
        loss = self.loss(sr, batch.hr, loss_inputs=inputs).total.expand(len(sr))
        values = self.metrics(sr, batch.hr, batch.lr) | {"loss": loss}
        if self.trainer.sanity_checking:  # before the first iteration
            bicubic = imresize(batch.lr, batch.hr.shape[-1] / batch.lr.shape[-1])
            found = self.metrics(bicubic, batch.hr, batch.lr)
            values |= {f"{BICUBIC}{name}": value for name, value in found.items()}
        for name, value in values.items():
            self._val_means[name].update(value)

    @torch.no_grad()
    def restore(self, lr: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 sh sw"]:
        """Restore `lr` by the EMA of the generator, in float32; large images in tiles."""
        with torch.autocast(lr.device.type, enabled=False):
            return self._in_tiles(self.generate_with_ema, lr, int(self.ema.scale))  # type: ignore[arg-type]

    def _in_tiles(self, upscale: Upscaler, lr: Tensor, scale: int) -> Tensor:
        tile = self.val_tile
        return upscale_batch(upscale, lr, scale=scale, tile=tile, overlap=usual_overlap(tile))

    @torch.no_grad()
    def restore_stage1(self, lr: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """The output of stage 1 of the EMA of the generator, in float32."""
        with torch.autocast(lr.device.type, enabled=False):
            return self._in_tiles(lambda x: self.ema.forward_stages(x).stage1_output, lr, 1)  # type: ignore[operator]

    @torch.no_grad()
    def generate_with_ema(self, lr: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 sh sw"]:
        """Restore `lr` by the EMA of the generator, in the training's precision."""
        network = self.ema
        was_training = network.training
        network.eval()
        sr: Tensor = network(lr.contiguous(memory_format=torch.channels_last))
        network.train(was_training)
        return sr.float()

    def loss_inputs(self, restored: Restored) -> dict[str, AnyImages]:
        """What loss terms may need besides sr and hr; the EMA restores only where one asks for it.

        Without an EMA the restored image itself stands for what it would restore.
        """
        inputs: dict[str, AnyImages] = {"lr": restored.batch.lr}
        if restored.stage1_output is not None:
            inputs["stage1_output"] = restored.stage1_output
        if "ema_sr" in self.loss.needs(self.iteration):
            has_ema = self.ema is not self.generator
            lr, sr = restored.batch.lr, restored.sr.detach()
            inputs["ema_sr"] = self.generate_with_ema(lr) if has_ema else sr
        return inputs

    def on_validation_epoch_end(self) -> None:
        """Average over all images and processes, for callbacks, loggers and the schedule."""
        found = {name: float(mean.compute()) for name, mean in self._val_means.items()}
        self.validation = {k: v for k, v in found.items() if not k.startswith(BICUBIC)}
        row = {f"val/{name}": value for name, value in self.validation.items()}
        if self.trainer.sanity_checking:
            bicubic = {name: value for name, value in found.items() if name.startswith(BICUBIC)}
            self.baseline = {name.removeprefix(BICUBIC): value for name, value in bicubic.items()}
            self.write_row(row | bicubic)
            return
        self.log_dict(row, logger=False)  # for Lightning's callbacks, such as EarlyStopping
        self.write_row(row)
        for scheduler in self._schedulers():
            if isinstance(scheduler, ReduceLROnPlateau):
                scheduler.step(self.validation["loss"])
        self.validated = self.iteration

    def is_finite(self) -> bool:
        """Whether networks, EMA and optimizer states are finite; one synchronisation."""
        optimizers = [optimizer.state_dict() for optimizer in self.trainer.optimizers]
        values = tree_leaves([self.state_dict(), self.ema.state_dict(), optimizers])
        tensors = (value for value in values if isinstance(value, Tensor))
        finite = [tensor.isfinite().all().to(self.device) for tensor in tensors]
        return bool(torch.stack(finite).all())

    # -- checkpoints ----------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the clock and the card; Lightning's own counters are not kept."""
        checkpoint["iteration"] = checkpoint["global_step"] = self.iteration
        checkpoint["validated"] = self.validated
        checkpoint["validation_id"] = self.validation_id
        checkpoint["rows_written"] = self.rows_written
        checkpoint["baseline"] = self.baseline
        checkpoint["running_means"] = self.running_means.state_dict()
        checkpoint["finite_check"] = self.finite_check.state_dict()
        checkpoint["card"] = self.card
        checkpoint.pop("loops", None)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Set the clock."""
        self.iteration = checkpoint["iteration"]
        self.validated = checkpoint["validated"]
        self.validation_changed = self.validation_id != checkpoint["validation_id"]
        self.rows_written = checkpoint["rows_written"]
        self.baseline = {} if self.validation_changed else dict(checkpoint["baseline"])
        self.running_means.load_state_dict(checkpoint["running_means"], self.device)
        self.finite_check.load_state_dict(checkpoint["finite_check"], self.device)


@torch.no_grad()
def step_if(finite: Bool[Tensor, ""], optimizer: Optimizer) -> None:
    """Step, unless `finite` is false; a fused optimizer decides that on the device.

    `found_inf` and `grad_scale` are what torch's GradScaler hands to such optimizers.
    """
    if getattr(optimizer, "_step_supports_amp_scaling", False):
        optimizer.found_inf, optimizer.grad_scale = (~finite).float(), None  # type: ignore[attr-defined]
        optimizer.step()
        del optimizer.found_inf, optimizer.grad_scale  # type: ignore[attr-defined]
    elif finite:
        optimizer.step()


def clone_buffers(network: nn.Module) -> list[Tensor]:
    """Copies of a network's buffers, such as batch statistics and spectral norm's vectors."""
    return [buffer.clone() for buffer in network.buffers()]


@torch.no_grad()
def keep_buffers_if(finite: Bool[Tensor, ""], network: nn.Module, before: Sequence[Tensor]) -> None:
    """Set a network's buffers back to those of before, unless `finite`; on the device."""
    for buffer, old in zip(network.buffers(), before, strict=True):
        buffer.copy_(torch.where(finite, buffer, old))


def loss_fractions(means: Mapping[str, float]) -> dict[str, float]:
    """What fraction of the generator's loss each weighted term makes up."""
    prefix, total = "weighted/", means.get("loss", 0.0)
    weighted = {name: mean for name, mean in means.items() if total and name.startswith(prefix)}
    return {name.replace(prefix, "loss_fraction/"): mean / total for name, mean in weighted.items()}
