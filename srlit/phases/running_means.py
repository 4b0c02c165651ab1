"""What training logs: means over an interval, with one synchronisation an interval."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class RunningMeans:
    """Collects scalars on the device and gives their means.

    Args:
        every: interval in iterations.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self.latest: dict[str, float] = {}
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def ends_at(self, iteration: int) -> bool:
        """Whether an interval ends with this many iterations finished."""
        return iteration % self.every == 0

    def record(self, values: Mapping[str, Tensor]) -> None:
        """Add scalars; nothing is read from the device."""
        for name, value in values.items():
            scalar = value.detach().float()
            self._sums[name] = self._sums[name] + scalar if name in self._sums else scalar
            self._counts[name] = self._counts.get(name, 0) + 1

    def flush(self) -> dict[str, float]:
        """Means since the last flush, read from the device at once."""
        if not self._sums:
            return {}
        sums = torch.stack(list(self._sums.values())).tolist()
        self.latest = {
            name: total / self._counts[name] for name, total in zip(self._sums, sums, strict=True)
        }
        self._sums, self._counts = {}, {}
        return self.latest

    def state_dict(self) -> dict[str, Any]:
        """What an interrupted interval has collected."""
        return {"sums": dict(self._sums), "counts": dict(self._counts)}

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Go on with an interrupted interval."""
        self._sums = {name: value.to(device) for name, value in state["sums"].items()}
        self._counts = dict(state["counts"])
