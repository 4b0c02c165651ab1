"""Losses: terms (sr, hr) -> scalar that know no weight, their weighted table, GAN criteria."""

from srlit.losses.adversarial import AdversarialCriterion, Hinge, LeastSquares, NonSaturating
from srlit.losses.composite import CompositeLoss, LossParts
from srlit.losses.perceptual import LPIPSLoss, PerceptualLoss
from srlit.losses.pixel import L1, L2, Charbonnier

__all__ = [
    "L1",
    "L2",
    "AdversarialCriterion",
    "Charbonnier",
    "CompositeLoss",
    "Hinge",
    "LPIPSLoss",
    "LeastSquares",
    "LossParts",
    "NonSaturating",
    "PerceptualLoss",
]
