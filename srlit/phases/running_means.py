"""What training logs: means over an interval, read from the device once per interval."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


class RunningMeans:
    """Collects scalars on the device and gives the means of the finite ones.

    Args:
        every: length of an interval in iterations.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self.latest: dict[str, float] = {}
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, Tensor] = {}
        self._recorded: dict[str, int] = {}
        self._flushed: dict[str, int] = {}

    def ends_at(self, iteration: int) -> bool:
        """Whether an interval ends when this many iterations are finished."""
        return iteration % self.every == 0

    def record(self, values: Mapping[str, Tensor]) -> None:
        """Add scalars; nothing is read from the device."""
        for name, tensor in values.items():
            value = tensor.detach().float()
            finite = value.isfinite().float()
            value = value.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
            self._sums[name] = self._sums.get(name, 0) + value
            self._counts[name] = self._counts.get(name, 0) + finite
            self._recorded[name] = self._recorded.get(name, 0) + 1

    def flush(self) -> dict[str, float]:
        """Means since the last flush, read at once; NaN where no value was finite."""
        if not self._sums:
            return {}
        sums, counts = (torch.stack([*table.values()]) for table in (self._sums, self._counts))
        means, finite = torch.stack([sums / counts, counts]).tolist()
        self.latest = dict(zip(self._sums, means, strict=True))
        self._flushed = self._missing(finite)
        self._sums, self._counts, self._recorded = {}, {}, {}
        return self.latest

    def not_finite(self) -> list[str]:
        """Names of the values that were not always finite, the most frequent first.

        Of this interval, or, where it has just begun, of the last one.
        """
        if not self._counts:
            found = self._flushed
        else:
            found = self._missing(torch.stack([*self._counts.values()]).tolist())
        return sorted(found, key=lambda name: -found[name])

    def _missing(self, finite: Sequence[float]) -> dict[str, int]:
        """How often each value was not finite, but for those that always were."""
        recorded = zip(self._recorded.items(), finite, strict=True)
        return {name: times - int(count) for (name, times), count in recorded if times > count}

    def state_dict(self) -> dict[str, Any]:
        """What an interrupted interval has collected."""
        tables = {"sums": dict(self._sums), "counts": dict(self._counts)}
        return {**tables, "recorded": dict(self._recorded)}

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Continue an interrupted interval."""
        self._sums = {name: value.to(device) for name, value in state["sums"].items()}
        self._counts = {name: value.to(device) for name, value in state["counts"].items()}
        self._recorded = dict(state["recorded"])
