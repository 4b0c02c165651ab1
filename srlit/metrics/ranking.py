"""Which of several checkpoints is the best."""

import logging
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from srlit.metrics.registry import higher_is_better

log = logging.getLogger(__name__)

Row = TypeVar("Row", bound=Mapping[str, Any])


def measured_name(name: str, measured: Collection[str]) -> str:
    """The name under which a metric was measured: on an untrained backbone it ends so."""
    return name if name in measured else f"{name}_untrained"


class SelectionRule:
    """Best by one metric among those that are not too bad by others.

    What looks best to LPIPS may have left the photo behind: textures that were not there, colours
    that drifted. Minima keep such candidates out, absolute ones or, as nobody knows beforehand what
    can be reached, ones that follow the best candidate.

    Args:
        metric: what decides, such as `lpips_alex`.
        minimum: metric to the worst value that is still admitted: a least value where the metric
            rises, a largest where it falls.
        tolerance: metric to how much worse than the best candidate is still admitted, such as
            {psnr_rgb_b0: 1.0} for a decibel. None takes an entry out, here and in minimum. That of
            `metric` itself is passed over: the best is never worse than itself.

    Raises:
        ValueError: a metric whose direction is unknown, or a tolerance below zero.
    """

    def __init__(
        self,
        *,
        metric: str,
        minimum: Mapping[str, float | None] | None = None,
        tolerance: Mapping[str, float | None] | None = None,
    ) -> None:
        self.metric = metric
        self.minimum, self.tolerance = (
            {name: value for name, value in (part or {}).items() if value is not None}
            for part in (minimum, tolerance)
        )
        self.tolerance.pop(metric, None)
        self._higher_is_better = higher_is_better(metric)
        for name in (*self.minimum, *self.tolerance):
            higher_is_better(name)

    @property
    def names(self) -> set[str]:
        """The metrics it looks at."""
        return {self.metric, *self.minimum, *self.tolerance}

    def named_as(self, measured: Collection[str]) -> "SelectionRule":
        """The same rule on metrics as they were measured: some names may end in `_untrained`."""
        metric = measured_name(self.metric, measured)
        minimum, tolerance = (
            {measured_name(name, measured): value for name, value in part.items()}
            for part in (self.minimum, self.tolerance)
        )
        return SelectionRule(metric=metric, minimum=minimum, tolerance=tolerance)

    def where_measured(self, measured: Collection[str]) -> "SelectionRule":
        """The same rule without tolerance of what is not measured, which a warning tells."""
        known = {n: v for n, v in self.tolerance.items() if measured_name(n, measured) in measured}
        if left_out := sorted(self.tolerance.keys() - known.keys()):
            left, there = ", ".join(left_out), ", ".join(sorted(measured))
            log.warning("tolerance of %s is left out: metrics.names measures %s", left, there)
        return SelectionRule(metric=self.metric, minimum=self.minimum, tolerance=known)

    def among(self, rows: Iterable[Mapping[str, Any]]) -> "SelectionRule":
        """The same rule for these candidates: each tolerance becomes a minimum.

        One that could not be measured sets no standard.
        """
        candidates = [row for row in rows if not any(math.isnan(row[name]) for name in self.names)]
        minimum = dict(self.minimum)
        for name, tolerance in self.tolerance.items():
            if known := [row[name] for row in candidates]:
                bound = max(known) - tolerance if higher_is_better(name) else min(known) + tolerance
                stricter = max if higher_is_better(name) else min
                minimum[name] = stricter(bound, minimum.get(name, bound))
        return SelectionRule(metric=self.metric, minimum=minimum)

    def admits(self, row: Mapping[str, Any]) -> bool:
        """Whether a row reaches every minimum; NaN reaches none."""
        return all(
            row[name] >= bound if higher_is_better(name) else row[name] <= bound
            for name, bound in self.minimum.items()
        )

    def cost(self, row: Mapping[str, Any]) -> tuple[bool, float]:
        """Sort key: admitted rows first, the best value first, NaN last."""
        value = row[self.metric]
        if math.isnan(value):
            return True, float("inf")
        return not self.admits(row), -value if self._higher_is_better else value

    def rank(self, rows: Sequence[Row]) -> list[Row]:
        """The rows, best first; those below a minimum come after all that are not."""
        return sorted(rows, key=self.among(rows).cost)

    def describe(self) -> str:
        """In words, for tables and logs."""
        sign = {True: ">=", False: "<="}
        limits = [f"{n} {sign[higher_is_better(n)]} {v:g}" for n, v in self.minimum.items()]
        limits += [f"{n} at most {v:g} worse than the best" for n, v in self.tolerance.items()]
        best = "highest" if self._higher_is_better else "lowest"
        return f"{best} {self.metric}" + (f" with {' and '.join(limits)}" if limits else "")
