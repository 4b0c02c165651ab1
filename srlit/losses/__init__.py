"""Losses: terms (sr, hr) -> scalar that know no weight, their weighted table, GAN criteria.

Beside them what goes with a game: schedules of weights, penalties, d_augment of images.
"""

from srlit.losses.artifacts import LDL
from srlit.losses.composite import GIVEN, CompositeLoss, LossParts
from srlit.losses.consistency import ColourConsistency, LRConsistency
from srlit.losses.contextual import Contextual
from srlit.losses.criteria import (
    AdversarialCriterion,
    Hinge,
    LeastSquares,
    NonSaturating,
    RelativisticAverage,
    Wasserstein,
)
from srlit.losses.diff_augment import DiffAugment, DiscriminatorAugment, InstanceNoise
from srlit.losses.dists_loss import DISTSLoss
from srlit.losses.edges import Edge, Gradient, TotalVariation
from srlit.losses.frequency import FocalFrequency, FourierL1
from srlit.losses.penalties import R1, GradientPenalty, Penalty
from srlit.losses.perceptual import LPIPSLoss, PerceptualLoss
from srlit.losses.pixel import L1, L2, Charbonnier
from srlit.losses.schedules import CosineRamp, LinearRamp
from srlit.losses.stage1 import Stage1
from srlit.losses.structure import SSIM, MultiScaleSSIM

__all__ = [
    "GIVEN",
    "L1",
    "L2",
    "LDL",
    "R1",
    "SSIM",
    "AdversarialCriterion",
    "Charbonnier",
    "ColourConsistency",
    "CompositeLoss",
    "Contextual",
    "CosineRamp",
    "DISTSLoss",
    "DiffAugment",
    "DiscriminatorAugment",
    "Edge",
    "FocalFrequency",
    "FourierL1",
    "Gradient",
    "GradientPenalty",
    "Hinge",
    "InstanceNoise",
    "LPIPSLoss",
    "LRConsistency",
    "LeastSquares",
    "LinearRamp",
    "LossParts",
    "MultiScaleSSIM",
    "NonSaturating",
    "Penalty",
    "PerceptualLoss",
    "RelativisticAverage",
    "Stage1",
    "TotalVariation",
    "Wasserstein",
]
