"""What training logs: means over an interval, with one synchronisation an interval."""

from collections.abc import Mapping

import torch
from torch import Tensor


class Journal:
    """Collects scalars on the device and gives their means.

    Args:
        every: interval in iterations.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self.latest: dict[str, float] = {}
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

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
