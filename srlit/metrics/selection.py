"""Which of several checkpoints is the best, and in which direction a metric is better."""

from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar

RISING = ("psnr", "ssim")
FALLING = ("lpips", "mae", "loss")

Row = TypeVar("Row", bound=Mapping[str, float])


def rises(metric: str) -> bool:
    """Whether more of a metric is better.

    Raises:
        ValueError: the direction of the metric is unknown.
    """
    if metric.startswith(RISING):
        return True
    if metric.startswith(FALLING):
        return False
    msg = f"metric {metric!r}: expected a name that begins with {', '.join(RISING + FALLING)}"
    raise ValueError(msg)


def measured_name(name: str, measured: Collection[str]) -> str:
    """The name under which a metric was measured: on an untrained backbone it ends so."""
    return name if name in measured else f"{name}_untrained"


class SelectionRule:
    """Best by one metric among those that reach the floors of others.

    Args:
        metric: what decides, such as `lpips_alex`.
        floors: metric to the worst value that is still admitted: a least value where the metric
            rises, a greatest where it falls.
    """

    def __init__(self, *, metric: str, floors: Mapping[str, float] | None = None) -> None:
        self.metric = metric
        self.floors = dict(floors or {})
        self._rising = rises(metric)
        for name in self.floors:
            rises(name)

    @property
    def names(self) -> set[str]:
        """The metrics it looks at."""
        return {self.metric, *self.floors}

    def admits(self, row: Mapping[str, float]) -> bool:
        """Whether a row reaches every floor; NaN reaches none."""
        return all(
            row[name] >= floor if rises(name) else row[name] <= floor
            for name, floor in self.floors.items()
        )

    def cost(self, row: Mapping[str, float]) -> tuple[bool, float]:
        """Sort key: admitted rows first, the best value first, NaN last."""
        value = row[self.metric]
        if value != value:  # noqa: PLR0124 - NaN
            return True, float("inf")
        return not self.admits(row), -value if self._rising else value

    def rank(self, rows: Sequence[Row]) -> list[Row]:
        """The rows, best first; those below a floor come after all that are not."""
        return sorted(rows, key=self.cost)

    def describe(self) -> str:
        """In words, for tables and logs."""
        floors = [
            f"{name} {'>=' if rises(name) else '<='} {floor:g}"
            for name, floor in self.floors.items()
        ]
        best = "highest" if self._rising else "lowest"
        return f"{best} {self.metric}" + (f" with {' and '.join(floors)}" if floors else "")
