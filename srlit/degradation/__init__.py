"""Degradation: from a sharp image to what a camera, a resize and a codec leave of it.

A stage draws its parameters (`sample`, one row a sample) apart from using them (`apply`,
deterministic), so every degraded image can be recorded and replayed.
"""

from srlit.degradation.kernels import BoxKernel, GaussianKernel
from srlit.degradation.noises import GaussianNoise, PoissonNoise
from srlit.degradation.pipeline import CoinFlip, Degradation
from srlit.degradation.stages import Bicubic, Blur, Decimate, Jpeg, Noise, Quantise

__all__ = [
    "Bicubic",
    "Blur",
    "BoxKernel",
    "CoinFlip",
    "Decimate",
    "Degradation",
    "GaussianKernel",
    "GaussianNoise",
    "Jpeg",
    "Noise",
    "PoissonNoise",
    "Quantise",
]
