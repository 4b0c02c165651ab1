"""Losses: terms (sr, hr) -> scalar that know no weight, their weighted table, GAN criteria.

Beside them what goes with a game: schedules of weights, a penalty, disguises of images.
"""

from srlit.losses.adversarial import AdversarialCriterion, Hinge, LeastSquares, NonSaturating
from srlit.losses.composite import GIVEN, CompositeLoss, LossParts
from srlit.losses.disguise import DiffAugment, Disguise, InstanceNoise
from srlit.losses.penalties import R1
from srlit.losses.perceptual import LPIPSLoss, PerceptualLoss
from srlit.losses.pixel import L1, L2, Charbonnier
from srlit.losses.schedules import CosineRamp, LinearRamp

__all__ = [
    "GIVEN",
    "L1",
    "L2",
    "R1",
    "AdversarialCriterion",
    "Charbonnier",
    "CompositeLoss",
    "CosineRamp",
    "DiffAugment",
    "Disguise",
    "Hinge",
    "InstanceNoise",
    "LPIPSLoss",
    "LeastSquares",
    "LinearRamp",
    "LossParts",
    "NonSaturating",
    "PerceptualLoss",
]
