"""Training phases: LightningModules that hold a generator, a loss table and a schedule."""

from srlit.phases.adversarial import AdversarialPhase
from srlit.phases.base import Phase
from srlit.phases.restoration import RestorationPhase
from srlit.phases.schedule import Constant, Cosine, HalveOnPlateau

__all__ = [
    "AdversarialPhase",
    "Constant",
    "Cosine",
    "HalveOnPlateau",
    "Phase",
    "RestorationPhase",
]
