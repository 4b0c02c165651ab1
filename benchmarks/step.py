"""Speed of a training step, compared with a bare PyTorch loop and with BasicSR.

Two sections, each of which `--sections` can choose:

    restoration  RRDBNet x2 (32 features, 4 blocks, growth 16), LR 64, batch 8, L1
    adversarial  the same network x4, UNetDiscriminatorSN (32 features), VGG19 conv5_4, HR 128,
                 batch 4

Three contestants in each, on the same ready-made batches: `srlit` is `srlit.train`'s real path
(its phase in its trainer with its callbacks: EMA, divergence, progress, rows), between two
validations; `bare loop` is PyTorch without anything around it: forward, loss, backward, fused Adam,
channels_last, in the same precision; `BasicSR` is SRModel's and SRGANModel's own step with EMA, in
float32. Nothing is asserted; the aim is 0.97 of the bare loop.

Both networks are BasicSR's own. It is kept apart from srlit's environment:

    pip install --no-deps --no-build-isolation --target build/peers \
        basicsr==1.4.2 opencv-python-headless lmdb

`times` is the time of a row as a multiple of srlit's: 2 means that srlit needs half as long, 0.97
that it needs 1/0.97 of the bare loop's time. Machines are noisy, so contestants take turns in
rounds of blocks of iterations; a row's value is its median block, `times` the median of the rounds'
ratios, `min` and `max` the extremes. Memory that is freed is kept for all of them (srlit's entry
points see to that; BasicSR's do not). In full it takes 10 minutes on two cores without
AVX512-BF16, with `--quick` two.

On such cores (Xeon at 2.8 GHz, two of them, float32) a quick run gave: restoration 1.74
iterations/s, 0.99 of the bare loop, 1.29 times BasicSR; adversarial 0.45 iterations/s, 0.98 and
1.30.
"""

import argparse
import logging
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle, islice
from typing import Any, NamedTuple

import step_peers as peers
import torch
from common.race import Block, gather, take_turns
from common.results import Row, make_parser, rate, report, timed_rows
from hydra import compose, initialize_config_dir
from lightning import Callback, LightningDataModule
from omegaconf import OmegaConf
from torch.utils.data import IterableDataset

from srlit.config import CONF_DIR, build, quieten
from srlit.ops.malloc import keep_freed_memory
from srlit.train import build_phase, build_trainer, resolve_precision
from srlit.types import Batch


class Section(NamedTuple):
    """What is trained.

    Attributes:
        scale: between LR and HR.
        batch: images.
        basicsr: its class that trains so.
    """

    scale: int
    batch: int
    basicsr: str


PATCH = 128  # pixels of HR
SECTIONS = {
    "restoration": Section(scale=2, batch=8, basicsr="SRModel"),
    "adversarial": Section(scale=4, batch=4, basicsr="SRGANModel"),
}
SHARED = (
    "iterations=1000000",
    "logger.tensorboard=null",
    "callbacks.image_logger=null",
    "callbacks.degradation=null",
    "weights.allow_untrained=true",
    "schedule=constant",
    "trainer.accelerator=cpu",
    "+trainer.limit_val_batches=0",
)
ADAM = {"_target_": "torch.optim.Adam", "_partial_": True, "fused": True, "lr": peers.RATE}
PERCEPTUAL = {
    "_target_": "srlit.losses.perceptual_loss.PerceptualLoss",
    "net": "vgg19",
    "layers": {"conv5_4": 1.0},
    "distance": "l1",
    "weights_dir": None,
    "allow_untrained": True,
}
CHOICES = {
    "restoration": ("loss=l1",),
    "adversarial": ("loss=l1_vgg_gan", "phase=adversarial", "phase.grad_clip_norm=null"),
}
# Whole nodes, which would be merged with what they replace on a command line.
NODES: dict[str, dict[str, Any]] = {
    "restoration": {"phase.optimizer": ADAM},
    "adversarial": {
        "loss.terms.perceptual": PERCEPTUAL,
        "phase.criterion": {"_target_": "srlit.losses.criteria.NonSaturating"},
        "phase.discriminator": {"_target_": "step_peers.unet_discriminator"},
        "phase.generator_optimizer": ADAM,
        "phase.discriminator_optimizer": ADAM,
    },
}


class ReadyMade(IterableDataset[Batch]):
    """The same few batches, over and over."""

    def __init__(self, batches: list[Batch], count: int) -> None:
        self.batches, self.count = batches, count

    def __iter__(self) -> Iterator[Batch]:
        """So many of them."""
        return islice(cycle(self.batches), self.count)


class Ready(LightningDataModule):
    """Hands out ready-made batches."""

    def __init__(self, batches: list[Batch], count: int) -> None:
        super().__init__()
        self.batches, self.count = batches, count

    def train_dataloader(self) -> "torch.utils.data.DataLoader[Batch]":
        """No workers: there is nothing to do."""
        return torch.utils.data.DataLoader(ReadyMade(self.batches, self.count), batch_size=None)


class Stopwatch(Callback):
    """Times the iterations after the first."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_batch_end(self, *_: Any) -> None:
        """An iteration is over."""
        self.ends.append(time.perf_counter())

    @property
    def seconds(self) -> float:
        """Seconds an iteration."""
        return (self.ends[-1] - self.ends[0]) / (len(self.ends) - 1)


def srlit_block(section: str, batches: list[Batch], count: int) -> Block:
    """Blocks of srlit's training: a trainer each, whose first iteration is left out."""
    folder = tempfile.mkdtemp(prefix="srlit-bench-")
    options = SECTIONS[section]
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        cfg = compose(
            "train", [*SHARED, *CHOICES[section], f"scale={options.scale}", f"paths.runs={folder}"]
        )
    network = {"_target_": "step_peers.RRDBNet", "scale": options.scale}
    for key, node in {"model": network, **NODES[section]}.items():
        OmegaConf.update(cfg, key, node, merge=False)
    phase = build_phase(cfg)

    def block() -> float:
        trainer = build_trainer(cfg)
        watch = Stopwatch()
        trainer.callbacks.append(watch)  # type: ignore[attr-defined]
        trainer.fit(phase, Ready(batches, count + 1))
        return watch.seconds

    return block


def block_of(step: Callable[[], None], count: int) -> Block:
    """Blocks of calls of a step, the first of which is left out as srlit's is."""

    def block() -> float:
        step()
        started = time.perf_counter()
        for _ in range(count):
            step()
        return (time.perf_counter() - started) / count

    return block


def bare_block(section: str, batches: list[Batch], precision: str, count: int) -> Block:
    """The loop without a trainer."""
    network = peers.RRDBNet(scale=SECTIONS[section].scale)
    if section == "restoration":
        return block_of(peers.bare_restoration(network, batches, precision), count)
    perceptual = build(OmegaConf.create(PERCEPTUAL))
    step = peers.bare_adversarial(
        network, peers.unet_discriminator(), perceptual, batches, precision
    )
    return block_of(step, count)


def measure(section: str, *, rounds: int, count: int) -> list[Row]:
    """All contestants of a section."""
    options = SECTIONS[section]
    draws = torch.Generator().manual_seed(0)
    batches = [
        Batch(
            torch.rand(options.batch, 3, *[PATCH // options.scale] * 2, generator=draws),
            torch.rand(options.batch, 3, PATCH, PATCH, generator=draws),
        )
        for _ in range(4)
    ]
    precision = resolve_precision("auto", "cpu")
    factories: dict[str, Callable[[], Block]] = {
        "srlit": partial(srlit_block, section, batches, count),
        "bare loop": partial(bare_block, section, batches, precision, count),
        "BasicSR": lambda: block_of(
            peers.basicsr_trainer(options.basicsr, options.scale, batches), count
        ),
    }
    ready, missing = gather(f"{section}, {precision}", factories)
    if "srlit" not in ready:
        return missing
    for block in ready.values():
        block()  # does not count
    blocks = take_turns(ready, rounds)
    return timed_rows(f"{section}, {precision}", blocks, rate(1, "iterations")) + missing


def main() -> None:
    """Command line."""
    parser = make_parser(__doc__, SECTIONS, "two rounds of three iterations")
    args: argparse.Namespace = parser.parse_args()
    quieten()
    warnings.filterwarnings("ignore", message=".*no `val_dataloader`.*")
    keep_freed_memory()
    logging.getLogger("lightning").setLevel(logging.ERROR)
    rounds, count = (2, 3) if args.quick else (7, 8)
    report(
        args,
        partial(measure, rounds=rounds, count=count),
        {"threads": torch.get_num_threads(), "precision": resolve_precision("auto", "cpu")},
    )


if __name__ == "__main__":
    main()
