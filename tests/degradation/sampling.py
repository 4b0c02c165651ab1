"""Drawing and applying in tests of degradations."""

import torch

from srlit.config import CONF_DIR, build
from srlit.degradation import kernels
from srlit.degradation.pipeline import Degradation
from srlit.degradation.stage import Stage
from srlit.ops.ragged_batch import Params, RaggedBatch
from srlit.ops.rng import RowGenerator, make_keys
from tests.helpers import compose_config

PRESETS = sorted(path.stem for path in (CONF_DIR / "degradation").glob("*.yaml"))

FAMILIES = {
    "gaussian": kernels.GaussianKernel(sizes=[3, 5, 7], sigma=[0.2, 1.2]),
    "box": kernels.BoxKernel(sizes=[3, 5]),
    "anisotropic_gaussian": kernels.AnisotropicGaussian(sizes=[7, 9], variance=[0.1, 8]),
    "generalised_gaussian": kernels.GeneralisedGaussian(sizes=[9], sigma=[0.3, 3], beta=[0.5, 4]),
    "isotropic_plateau": kernels.Plateau(sizes=[7], sigma=[0.3, 3], beta=[1, 2], isotropic=True),
    "sinc": kernels.Sinc(sizes=[7, 21], cutoff=[1, 3.14]),
    "motion": kernels.Motion(length=[2, 9], bend=[0, 1]),
    "defocus": kernels.Defocus(radius=[1, 4]),
}


def preset(name: str, scale: int = 2) -> Degradation:
    """A preset of conf/degradation."""
    return build(compose_config("train", f"degradation={name}", f"scale={scale}").degradation)


def keys(n: int, seed: int = 0) -> torch.Tensor:
    """Keys of n samples."""
    return make_keys(seed, (), torch.arange(n))


def rows(n: int, seed: int = 0) -> RowGenerator:
    """Random draws for n samples."""
    return RowGenerator(keys(n, seed))


def apply(stage: Stage, x: torch.Tensor, params: Params) -> torch.Tensor:
    """A stage on images of one size."""
    return stage.apply(RaggedBatch.of(x), params).pixels
