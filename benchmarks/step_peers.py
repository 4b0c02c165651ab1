"""The networks, loops and trainers that `step.py` sets beside srlit's training step."""

import logging
from collections.abc import Callable
from functools import partial
from itertools import cycle
from typing import Any

import torch
import torch.nn.functional as F
from common.peers import import_basicsr
from torch import Tensor, nn

from srlit.types import Batch

INSTALL = (
    "pip install --no-deps --no-build-isolation --target build/peers "
    "basicsr==1.4.2 opencv-python-headless lmdb"
)
RRDBNET = {"num_in_ch": 3, "num_out_ch": 3, "num_feat": 32, "num_block": 4, "num_grow_ch": 16}
DISCRIMINATOR = {"num_in_ch": 3, "num_feat": 32}
RATE = 1e-4

basicsr = partial(import_basicsr, hint=INSTALL)


class RRDBNet(nn.Module):
    """BasicSR's RRDBNet as a generator of srlit.

    Args:
        scale: between LR and HR.
    """

    def __init__(self, *, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.body = basicsr("basicsr.archs.rrdbnet_arch").RRDBNet(scale=scale, **RRDBNET)

    def forward(self, lr: Tensor) -> Tensor:
        """Lr to sr."""
        sr: Tensor = self.body(lr)
        return sr


def unet_discriminator() -> nn.Module:
    """Real-ESRGAN's U-Net discriminator with spectral normalisation, by BasicSR."""
    network: nn.Module = basicsr("basicsr.archs.discriminator_arch").UNetDiscriminatorSN(
        **DISCRIMINATOR
    )
    return network


# -- the bare limit -------------------------------------------------------------------------------


def autocast(precision: str) -> torch.autocast:
    """What `trainer.precision` means for a loop without a trainer."""
    return torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed")


def bare_restoration(
    network: nn.Module, batches: list[Batch], precision: str
) -> Callable[[], None]:
    """Forward, L1, backward, Adam: nothing else."""
    network = network.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE, fused=True)
    coming = cycle(batches)

    def step() -> None:
        batch = next(coming)
        optimizer.zero_grad()
        with autocast(precision):
            sr = network(batch.lr.contiguous(memory_format=torch.channels_last))
        F.l1_loss(sr.float(), batch.hr).backward()
        optimizer.step()

    return step


def bare_adversarial(
    network: nn.Module,
    discriminator: nn.Module,
    perceptual: nn.Module,
    batches: list[Batch],
    precision: str,
) -> Callable[[], None]:
    """One G forward, one D forward over both, D's update, G's update with D frozen."""
    network = network.to(memory_format=torch.channels_last).train()
    discriminator = discriminator.to(memory_format=torch.channels_last).train()
    generator_optimizer = torch.optim.Adam(network.parameters(), lr=RATE, fused=True)
    discriminator_optimizer = torch.optim.Adam(discriminator.parameters(), lr=RATE, fused=True)
    coming = cycle(batches)

    def logits(images: Tensor) -> Tensor:
        with autocast(precision):
            given: Tensor = discriminator(images.contiguous(memory_format=torch.channels_last))
        return given.float()

    def step() -> None:
        lr, hr = next(coming)
        with autocast(precision):
            sr = network(lr.contiguous(memory_format=torch.channels_last)).float()
        discriminator_optimizer.zero_grad()
        real, fake = logits(torch.cat([hr, sr.detach()])).chunk(2)
        (F.softplus(-real).mean() + F.softplus(fake).mean()).backward()
        discriminator_optimizer.step()
        discriminator.requires_grad_(requires_grad=False).eval()
        generator_optimizer.zero_grad()
        pixel, features = F.l1_loss(sr, hr), perceptual(sr, hr)
        (pixel + features + 0.1 * F.softplus(-logits(sr)).mean()).backward()
        generator_optimizer.step()
        discriminator.requires_grad_(requires_grad=True).train()

    return step


# -- BasicSR --------------------------------------------------------------------------------------


def basicsr_trainer(kind: str, scale: int, batches: list[Batch]) -> Callable[[], None]:
    """`feed_data` and `optimize_parameters` of SRModel or SRGANModel, as its train.py calls them.

    Its VGG19 has random weights here, where nothing can be downloaded: as fast as any.
    """
    module = basicsr(f"basicsr.models.{kind.lower().removesuffix('model')}_model")
    logging.getLogger("basicsr").setLevel(logging.ERROR)
    vgg = basicsr("basicsr.archs.vgg_arch").vgg
    original = vgg.vgg19
    vgg.vgg19 = lambda pretrained: original(weights=None)  # noqa: ARG005 - its argument's name
    try:
        model = getattr(module, kind)(options(kind, scale))
    finally:
        vgg.vgg19 = original
    data = cycle([{"lq": batch.lr, "gt": batch.hr} for batch in batches])
    iteration = 0

    def step() -> None:
        nonlocal iteration
        iteration += 1
        model.update_learning_rate(iteration, warmup_iter=-1)
        model.feed_data(next(data))
        model.optimize_parameters(iteration)

    return step


def options(kind: str, scale: int) -> dict[str, Any]:
    """BasicSR's option file for the same training."""
    adam = {"type": "Adam", "lr": RATE, "weight_decay": 0, "betas": [0.9, 0.999]}
    train: dict[str, Any] = {
        "ema_decay": 0.999,
        "optim_g": dict(adam),
        "scheduler": {"type": "MultiStepLR", "milestones": [10**6], "gamma": 0.5},
        "pixel_opt": {"type": "L1Loss", "loss_weight": 1.0, "reduction": "mean"},
    }
    networks = {"network_g": {"type": "RRDBNet", "scale": scale, **RRDBNET}}
    if kind == "SRGANModel":
        networks["network_d"] = {"type": "UNetDiscriminatorSN", **DISCRIMINATOR}
        train |= {
            "optim_d": dict(adam),
            "perceptual_opt": {
                "type": "PerceptualLoss",
                "layer_weights": {"conv5_4": 1},
                "vgg_type": "vgg19",
                "use_input_norm": True,
                "range_norm": False,
                "perceptual_weight": 1.0,
                "style_weight": 0,
                "criterion": "l1",
            },
            "gan_opt": {
                "type": "GANLoss",
                "gan_type": "vanilla",
                "real_label_val": 1.0,
                "fake_label_val": 0.0,
                "loss_weight": 0.1,
            },
        }
    return {
        "num_gpu": 0,
        "dist": False,
        "is_train": True,
        "model_type": kind,
        "scale": scale,
        "path": {"pretrain_network_g": None},
        "train": train,
    } | networks
