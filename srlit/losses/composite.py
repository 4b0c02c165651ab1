"""The one table of named, weighted loss terms."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import nn

from srlit.losses.schedules import Weight, extremes, value_at
from srlit.types import Images, Scalar

GIVEN = "adversarial"


class LossParts(NamedTuple):
    """A total and what it is made of.

    Attributes:
        total: sum of the weighted parts.
        raw: term name to its value before weighting, detached.
        weighted: term name to weight * raw, detached.
    """

    total: Scalar
    raw: dict[str, Scalar]
    weighted: dict[str, Scalar]

    def named(self) -> dict[str, Scalar]:
        """Every part under its name in a log: `raw/<term>` and `weighted/<term>`."""
        return {f"raw/{name}": value for name, value in self.raw.items()} | {
            f"weighted/{name}": value for name, value in self.weighted.items()
        }


class CompositeLoss(nn.Module):
    """Weighted sum of named terms.

    Args:
        weights: term name to weight, >= 0, or to a schedule of it; a term is not computed while
            its weight is 0. The name 'adversarial' belongs to the phase, which hands that value in.
        terms: term name to a module (sr, hr) -> scalar.

    Raises:
        ValueError: a weight without a term, a term without a weight, or a negative weight.
    """

    def __init__(self, *, weights: Mapping[str, Weight], terms: Mapping[str, nn.Module]) -> None:
        super().__init__()
        unknown = sorted(set(weights) - set(terms) - {GIVEN})
        if unknown:
            msg = (
                f"loss.weights names unknown loss term {', '.join(map(repr, unknown))}: "
                f"expected one of {', '.join([*terms, GIVEN])} (or define it under loss.terms)"
            )
            raise ValueError(msg)
        unweighted = sorted(set(terms) - set(weights))
        if unweighted:
            msg = f"loss.weights lacks {', '.join(map(repr, unweighted))}, which loss.terms has"
            raise ValueError(msg)
        if not any(max(extremes(weights[name])) for name in terms):
            msg = f"loss.weights={dict(weights)}: expected a term besides 'adversarial' above 0"
            raise ValueError(msg)
        negative = {n: low for n, w in weights.items() if (low := min(extremes(w))) < 0}
        if negative:
            msg = f"loss.weights must not be negative: got {negative}"
            raise ValueError(msg)
        self.weights = dict(weights)
        self.terms = nn.ModuleDict(dict(terms))

    @property
    def is_adversarial(self) -> bool:
        """Whether the table weighs an adversarial part."""
        return GIVEN in self.weights

    def weights_at(self, iteration: int | None) -> dict[str, float]:
        """Term name to weight in an iteration; None: after the last one."""
        return {name: value_at(weight, iteration) for name, weight in self.weights.items()}

    def forward(
        self,
        sr: Images,
        hr: Images,
        adversarial: Scalar | None = None,
        *,
        iteration: int | None = None,
    ) -> LossParts:
        """Compute every term.

        Args:
            sr: restored images in [0, 1], a little outside too.
            hr: targets.
            adversarial: the generator's criterion, where the table weighs one.
            iteration: of the training; None weighs as after the last one, so that validations
                compare.
        """
        weights = self.weights_at(iteration)
        raw = {} if adversarial is None else {GIVEN: adversarial}
        for name, term in self.terms.items():
            if weights[name]:
                raw[name] = term(sr, hr)
        weighted = {name: weights[name] * value.float() for name, value in raw.items()}
        total = torch.stack(list(weighted.values())).sum()
        return LossParts(
            total,
            {name: value.detach() for name, value in raw.items()},
            {name: value.detach() for name, value in weighted.items()},
        )
