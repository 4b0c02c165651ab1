"""Which updates were skipped: noted on the device, read by the host once per interval."""

from collections import defaultdict, deque
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor


class FiniteCheck:
    """Remembers of each network's updates whether loss and gradient were finite.

    Args:
        every: number of iterations to remember.
    """

    def __init__(self, every: int) -> None:
        self._notes: dict[str, deque[tuple[int, Bool[Tensor, ""]]]] = defaultdict(
            lambda: deque(maxlen=every)
        )

    def note(self, network: str, iteration: int, finite: Bool[Tensor, ""]) -> None:
        """Note an update; nothing is read from the device."""
        notes = self._notes[network]
        if notes and notes[-1][0] == iteration:  # one of several updates in an iteration
            finite = notes.pop()[1] & finite
        notes.append((iteration, finite))

    def read(self) -> dict[str, dict[int, bool]]:
        """Network to iteration to whether its updates were made, since the last reading."""
        found = {
            network: dict(zip(notes["iterations"], notes["finite"].tolist(), strict=True))
            for network, notes in self.state_dict().items()
        }
        self._notes.clear()
        return found

    def state_dict(self) -> dict[str, Any]:
        """What has been noted and not been read yet."""
        return {
            network: {
                "iterations": [iteration for iteration, _ in notes],
                "finite": torch.stack([finite for _, finite in notes]),
            }
            for network, notes in self._notes.items()
        }

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Continue with notes that were not read."""
        for network, notes in state.items():
            finite = notes["finite"].to(device)
            self._notes[network].extend(zip(notes["iterations"], finite, strict=True))
