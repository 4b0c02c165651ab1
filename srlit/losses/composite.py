"""The one table of named, weighted loss terms."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import nn

from srlit.losses.schedules import Weight, check_weight, value_at
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
        terms: term name to a module (sr, hr) -> scalar; one of them weighs something in the first
            iteration and, as validations weigh so, at the end.

    Raises:
        ValueError: a weight without a term, a term without a weight, a weight that is negative or
            no number, or no weight above 0.
    """

    def __init__(self, *, weights: Mapping[str, Weight], terms: Mapping[str, nn.Module]) -> None:
        super().__init__()
        _check_names(weights, terms)
        for name, weight in weights.items():
            check_weight(f"loss.weights.{name}", weight)
        self.weights = dict(weights)
        self.terms = nn.ModuleDict(dict(terms))
        self._check_some_weight(0, "in the first iteration")
        self._check_some_weight(None, "at the end, as validations weigh")

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

        Raises:
            ValueError: schedules leave an iteration without any weight.
        """
        weights = self.weights_at(iteration)
        raw = {} if adversarial is None else {GIVEN: adversarial}
        for name, term in self.terms.items():
            if weights[name]:
                raw[name] = term(sr, hr)
        weighted = {name: weights[name] * value.float() for name, value in raw.items()}
        if not weighted:
            msg = f"loss.weights={self.weights}: no term weighs anything in iteration {iteration}"
            raise ValueError(msg)
        total = torch.stack(list(weighted.values())).sum()
        return LossParts(
            total,
            {name: value.detach() for name, value in raw.items()},
            {name: value.detach() for name, value in weighted.items()},
        )

    def _check_some_weight(self, iteration: int | None, when: str) -> None:
        weights = self.weights_at(iteration)
        if not any(weights[name] for name in self.terms):
            msg = f"loss.weights={weights} {when}: expected a term besides 'adversarial' above 0"
            raise ValueError(msg)


def _check_names(weights: Mapping[str, Weight], terms: Mapping[str, nn.Module]) -> None:
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
