"""Degradation: from a sharp image to what a camera, a resize and a codec leave of it.

A stage draws its parameters (`sample`, one row a sample) apart from using them (`apply`,
deterministic), so every degraded image can be recorded and replayed.
"""

from srlit.degradation.codecs import H264, Avif, Jpeg, WebP
from srlit.degradation.combine import RandomApply, RandomChoice, RandomOrder, Sequential
from srlit.degradation.kernels import (
    AnisotropicGaussian,
    BoxKernel,
    Defocus,
    GaussianKernel,
    GeneralisedGaussian,
    Motion,
    Plateau,
    Sinc,
)
from srlit.degradation.noises import CorrelatedNoise, GaussianNoise, PoissonNoise, SpeckleNoise
from srlit.degradation.pipeline import Degradation
from srlit.degradation.stages import (
    Bicubic,
    Blur,
    BlurDecimate,
    Decimate,
    Noise,
    Quantise,
    Resize,
    Sharpen,
    Shrink,
    Stage,
)

__all__ = [
    "H264",
    "AnisotropicGaussian",
    "Avif",
    "Bicubic",
    "Blur",
    "BlurDecimate",
    "BoxKernel",
    "CorrelatedNoise",
    "Decimate",
    "Defocus",
    "Degradation",
    "GaussianKernel",
    "GaussianNoise",
    "GeneralisedGaussian",
    "Jpeg",
    "Motion",
    "Noise",
    "Plateau",
    "PoissonNoise",
    "Quantise",
    "RandomApply",
    "RandomChoice",
    "RandomOrder",
    "Resize",
    "Sequential",
    "Sharpen",
    "Shrink",
    "Sinc",
    "SpeckleNoise",
    "Stage",
    "WebP",
]
