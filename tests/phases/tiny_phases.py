"""Phases with tiny networks, trained in seconds by Lightning's trainer."""

from functools import partial

import torch
from torch.nn import L1Loss
from torch.optim.lr_scheduler import ConstantLR
from torch.utils.data import DataLoader

from srlit.losses.composite import CompositeLoss
from srlit.losses.criteria import LeastSquares
from srlit.metrics.suite import MetricSuite
from srlit.models.edsr import EDSR
from srlit.models.patchgan import PatchGAN
from srlit.phases.adversarial import AdversarialPhase
from srlit.phases.restoration import RestorationPhase
from srlit.phases.trainer import Trainer
from srlit.types import Batch


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=1e-2)


def options(adversarial=False, **changes):
    weights = {"l1": 1.0} | ({"adversarial": 0.1} if adversarial else {})
    return {
        "generator": EDSR(scale=2, width=8, blocks=1),
        "loss": CompositeLoss(weights=weights, terms={"l1": L1Loss()}),
        "metrics": MetricSuite(names=["psnr_rgb_b0"]),
        "schedule": partial(ConstantLR, factor=1.0),
        "iterations": 4,
        "seed": 0,
        "grad_clip_norm": None,
        "log_every": 1,
        "card": {"model": {}},
    } | changes


def restoration(**changes):
    torch.manual_seed(0)
    return RestorationPhase(**{"optimizer": sgd} | options(**changes))


def adversarial(**changes):
    torch.manual_seed(0)
    networks = {
        "discriminator": PatchGAN(width=4, layers=1),
        "criterion": LeastSquares(),
        "generator_optimizer": sgd,
        "discriminator_optimizer": sgd,
    }
    return AdversarialPhase(**networks | options(adversarial=True, **changes))


def batches(count):
    draws = torch.Generator().manual_seed(0)
    return [
        Batch(torch.rand(2, 3, 16, 16, generator=draws), torch.rand(2, 3, 32, 32, generator=draws))
        for _ in range(count)
    ]


def fit(phase, folder, data=None, validate_every=2, callbacks=(), validation=None, **changes):
    """Train by one batch per iteration, all different unless `data` has others."""
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=1,
        val_check_interval=validate_every,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        logger=False,
        callbacks=list(callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=bool(callbacks),
        default_root_dir=folder,
        **changes,
    )
    data = batches(phase.iterations - phase.iteration) if data is None else data
    validation = batches(1) if validation is None else validation
    trainer.fit(phase, DataLoader(data, batch_size=None), DataLoader(validation, batch_size=None))
    return trainer


def rows_of(phase, folder, **changes):
    """Train, and give the logged rows."""
    rows = []
    phase.write_row = lambda row: rows.append(dict(row) | {"iteration": phase.iteration})
    fit(phase, folder, **changes)
    return rows


def training_rows(phase, folder, **changes):
    return [row for row in rows_of(phase, folder, **changes) if "learning_rate" in row]


def at_each_end(phase, read):
    """What `read` gives at the end of each iteration, filled by the training."""
    found, original = [], phase.finish_iteration
    phase.finish_iteration = lambda: (found.append(read()), original())
    return found


def copy_of(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def changed(before, network):
    return [k for k, v in network.state_dict().items() if not torch.equal(v, before[k])]
