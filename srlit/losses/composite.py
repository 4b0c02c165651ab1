"""The one table of named, weighted loss terms."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import nn

from srlit.losses.schedules import Weight, check_weight, value_at
from srlit.ops.precision import full_precision
from srlit.types import AnyImages, Images, Scalar

GIVEN = "adversarial"
# What a phase can pass to a term besides sr and hr: the input, the output of the generator's moving
# average, and the image of stage 1 of a two-stage generator.
LOSS_INPUTS = ("lr", "ema_sr", "stage1_output")
NOTHING: Mapping[str, AnyImages] = MappingProxyType({})


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


def needs(term: nn.Module) -> tuple[str, ...]:
    """Which of `LOSS_INPUTS` a term takes after sr and hr: what its attribute `needs` names."""
    return getattr(term, "needs", ())


class CompositeLoss(nn.Module):
    """Weighted sum of named terms, each computed in float32 whatever the training runs in.

    A term is a module (sr, hr) -> scalar. One that must see more says so in a class attribute:
    with `needs = ("lr",)` it is called as (sr, hr, lr=lr). All of `LOSS_INPUTS` can be had.

    Args:
        weights: term name to weight, >= 0, or to a schedule of it; a term is not computed while
            its weight is 0. The name 'adversarial' belongs to the phase, which hands that value in.
        terms: term name to a module (sr, hr) -> scalar; one of them weighs something in the first
            iteration and, as validations weigh so, at the end.

    Raises:
        ValueError: a weight without a term, a term without a weight, a weight that is negative or
            no number, no weight above 0, or a term that needs what no phase has.
    """

    def __init__(self, *, weights: Mapping[str, Weight], terms: Mapping[str, nn.Module]) -> None:
        super().__init__()
        _check_names(weights, terms)
        for name, weight in weights.items():
            check_weight(f"loss.weights.{name}", weight)
        self.weights = dict(weights)
        self.terms = nn.ModuleDict(dict(terms))
        for name, term in self.terms.items():
            _check_needs(name, term)
        self._check_some_weight(0, "in the first iteration")
        self._check_some_weight(None, "at the end, as validations weigh")

    @property
    def is_adversarial(self) -> bool:
        """Whether the table weighs an adversarial part."""
        return GIVEN in self.weights

    def weights_at(self, iteration: int | None) -> dict[str, float]:
        """Term name to weight in an iteration; None: after the last one."""
        return {name: value_at(weight, iteration) for name, weight in self.weights.items()}

    @property
    def may_need(self) -> set[str]:
        """What its terms see besides sr and hr, whether they weigh something or not."""
        return {image for term in self.terms.values() for image in needs(term)}

    def needs(self, iteration: int | None) -> set[str]:
        """What the terms that weigh something in an iteration see besides sr and hr."""
        weights = self.weights_at(iteration)
        weighing = (term for name, term in self.terms.items() if weights[name])
        return {image for term in weighing for image in needs(term)}

    def forward(
        self,
        sr: Images,
        hr: Images,
        adversarial: Scalar | None = None,
        *,
        loss_inputs: Mapping[str, AnyImages] = NOTHING,
        iteration: int | None = None,
    ) -> LossParts:
        """Compute every term.

        Args:
            sr: restored images in [0, 1], a little outside too.
            hr: targets.
            adversarial: the generator's criterion, where the table weighs one.
            loss_inputs: at least what `needs` names: `lr`, the input; `ema_sr`, the output of the
                generator's moving average; `stage1_output`, the image of its first stage.
            iteration: of the training; None weighs as after the last one, so that validations
                compare.

        Raises:
            ValueError: schedules leave an iteration without any weight, or something that a term
                needs was not handed in.
        """
        weights = self.weights_at(iteration)
        raw = {} if adversarial is None else {GIVEN: adversarial}
        with full_precision(sr.device):
            for name, term in self.terms.items():
                if weights[name]:
                    raw[name] = term(sr, hr, **_seen_by(name, term, loss_inputs))
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


def _check_needs(name: str, term: nn.Module) -> None:
    if unknown := sorted(set(needs(term)) - set(LOSS_INPUTS)):
        known = ", ".join(LOSS_INPUTS)
        msg = f"loss.terms.{name} needs {', '.join(unknown)}: expected some of {known}"
        raise ValueError(msg)


def _seen_by(
    name: str, term: nn.Module, loss_inputs: Mapping[str, AnyImages]
) -> dict[str, AnyImages]:
    """What a term sees besides sr and hr."""
    if missing := sorted(set(needs(term)) - set(loss_inputs)):
        msg = f"loss.terms.{name} needs {', '.join(missing)}: hand it in by loss_inputs="
        raise ValueError(msg)
    return {image: loss_inputs[image] for image in needs(term)}
