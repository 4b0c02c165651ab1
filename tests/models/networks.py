"""The networks of conf/: what holds for all of them is tested of their small versions."""

import torch

from srlit.config.build import build
from srlit.config.composing import composed
from srlit.config.root import options


def small_options(group):
    """Names of a group's options, without those that have a small version and those of nothing."""
    names = options(group)
    return [name for name in names if name != "none" and f"{name}_small" not in names]


GENERATORS = small_options("model")
DISCRIMINATORS = small_options("discriminator")
NETWORKS = [("model", name) for name in GENERATORS] + [
    ("discriminator", name) for name in DISCRIMINATORS
]


def network(group, name, scale=2):
    """A network whose every parameter matters: none is zero."""
    torch.manual_seed(1)  # with 0 all four hidden units of an attention of RCAN are dead
    made = build(composed("train", group, name, f"scale={scale}")[group])
    for parameter in made.parameters():
        parameter.data.add_(0.01 * torch.randn_like(parameter))
    return made
