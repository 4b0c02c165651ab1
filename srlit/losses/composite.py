"""The one table of named, weighted loss terms."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import nn

from srlit.losses.schedules import Weight, value_at
from srlit.ops.compute_precision import full_precision
from srlit.types import AnyImages, Images, Scalar

# The term that the phase computes itself.
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
            its weight is 0. The name 'adversarial' belongs to the phase, which passes that value.
        terms: term name to a module (sr, hr) -> scalar, for every other weight; one of them has a
            weight above 0 in the first iteration and at the end, which is how validations weigh.

    Raises:
        ValueError: weights and terms are not of the same names, no weight is above 0, or a term
            needs an input that no phase has.
    """

    def __init__(self, *, weights: Mapping[str, Weight], terms: Mapping[str, nn.Module]) -> None:
        super().__init__()
        if different := (weights.keys() - {GIVEN}) ^ terms.keys():
            raise ValueError(f"loss.weights, loss.terms: only one of them has {sorted(different)}")
        self.weights = dict(weights)
        self.terms = dict(terms)
        # Apart from their names: a ModuleDict refuses those of nn.Module's own, such as `half`.
        self.modules_of_terms = nn.ModuleList(terms.values())
        for name, term in self.terms.items():
            if unknown := sorted(set(needs(term)) - set(LOSS_INPUTS)):
                known = ", ".join(LOSS_INPUTS)
                raise ValueError(f"loss.terms.{name} needs {', '.join(unknown)}: expected {known}")
        for when, iteration in (("in the first iteration", 0), ("at the end", None)):
            at = self.weights_at(iteration)
            if not any(at[name] for name in terms):
                msg = f"loss.weights={at} {when}: expected a term besides 'adversarial' above 0"
                raise ValueError(msg)

    @property
    def is_adversarial(self) -> bool:
        """Whether the table has an adversarial weight."""
        return GIVEN in self.weights

    def weights_at(self, iteration: int | None) -> dict[str, float]:
        """Term name to weight in an iteration; None: after the last one."""
        return {name: value_at(weight, iteration) for name, weight in self.weights.items()}

    @property
    def may_need(self) -> set[str]:
        """Inputs of all its terms besides sr and hr."""
        return {image for term in self.terms.values() for image in needs(term)}

    def needs(self, iteration: int | None) -> set[str]:
        """Inputs besides sr and hr of the terms whose weight is above 0 in an iteration."""
        weights = self.weights_at(iteration)
        used = (term for name, term in self.terms.items() if weights[name])
        return {image for term in used for image in needs(term)}

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
            adversarial: the generator's criterion, where the table has a weight for it.
            loss_inputs: at least what `needs` names: `lr`, the input; `ema_sr`, the output of the
                generator's moving average; `stage1_output`, the image of its first stage.
            iteration: of the training; None takes the weights after the last one, so that
                validations compare.

        Raises:
            ValueError: schedules leave an iteration without any weight.
        """
        weights = self.weights_at(iteration)
        raw = {} if adversarial is None else {GIVEN: adversarial}
        with full_precision(sr.device):
            for name, term in self.terms.items():
                if weights[name]:
                    raw[name] = term(sr, hr, **{key: loss_inputs[key] for key in needs(term)})
        weighted = {name: weights[name] * value.float() for name, value in raw.items()}
        if not weighted:
            raise ValueError(f"loss.weights={self.weights}: none above 0 in iteration {iteration}")
        total = torch.stack(list(weighted.values())).sum()
        detached = ({name: part.detach() for name, part in d.items()} for d in (raw, weighted))
        return LossParts(total, *detached)
