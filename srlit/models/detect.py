"""Which network a bare table of weights belongs to: those of ESRGAN's and BasicSR's families.

Only names and shapes are looked at, and what they tell is one of srlit's own networks and its
numbers; a file has no other say in what is built.
"""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from srlit.models.rrdb import basicsr_names

Weights = Mapping[str, Tensor]

BLOCK = re.compile(r"body\.(\d+)\.rdb1\.conv1\.weight")
STEP = re.compile(r"conv_up\d\.weight")
LAYER = re.compile(r"body\.(\d+)\.weight")

EXPECTED = {
    "RRDBNet (ESRGAN, BSRGAN, Real-ESRGAN)": (
        "conv_first.weight (f, 3 u^2, 3, 3), body.0.rdb1.conv1.weight (g, f, 3, 3), ..., "
        "conv_last.weight (3, f, 3, 3), or older names of the same"
    ),
    "Compact (SRVGGNetCompact)": (
        "body.0.weight (f, 3, 3, 3), body.1.weight (f), ..., body.N.weight (3 s^2, f, 3, 3)"
    ),
}


def recognise(weights: Weights) -> dict[str, Any] | None:
    """The configuration of the network that a table of weights belongs to.

    Args:
        weights: name to tensor, as another project stored them.

    Returns:
        `_target_` and arguments, as in `conf/model`; None where they are of none of `EXPECTED`.
    """
    named = basicsr_names(weights)
    return _rrdbnet(named) or _compact(named)


def _rrdbnet(weights: Weights) -> dict[str, Any] | None:
    ends = ("conv_first.weight", "body.0.rdb1.conv1.weight", "conv_last.weight")
    if not all(name in weights and weights[name].ndim == 4 for name in ends):
        return None
    num_feat, inputs = weights["conv_first.weight"].shape[:2]
    unshuffle = {3: 1, 12: 2, 48: 4}.get(inputs)
    enlarged = 2 ** sum(1 for name in weights if STEP.fullmatch(name))
    if unshuffle is None or enlarged % unshuffle or len(weights["conv_last.weight"]) != 3:
        return None
    return {
        "_target_": "srlit.models.rrdb.RRDBNet",
        "scale": enlarged // unshuffle,
        "num_feat": num_feat,
        "num_block": sum(1 for name in weights if BLOCK.fullmatch(name)),
        "num_grow_ch": len(weights["body.0.rdb1.conv1.weight"]),
        "unshuffle": unshuffle,
    }


def _compact(weights: Weights) -> dict[str, Any] | None:
    layers = sorted(int(match[1]) for match in map(LAYER.fullmatch, weights) if match)
    # Convolutions and activations in turn, from a convolution to a convolution.
    if layers != list(range(len(layers))) or len(layers) < 3 or len(layers) % 2 == 0:
        return None
    first, last = weights["body.0.weight"], weights[f"body.{layers[-1]}.weight"]
    if (first.ndim, last.ndim) != (4, 4):
        return None
    scale = round((len(last) / 3) ** 0.5)
    if first.shape[1] != 3 or len(last) != 3 * scale**2:
        return None
    return {
        "_target_": "srlit.models.compact.Compact",
        "scale": scale,
        "num_feat": len(first),
        "num_conv": (len(layers) - 3) // 2,
    }
