"""Updates that would have spoilt a network: judged on the device, read when it is convenient."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


def skips_on_device(optimizer: Optimizer) -> bool:
    """Whether an optimizer, such as a fused one, can be told on the device to skip an update."""
    return bool(getattr(optimizer, "_step_supports_amp_scaling", False))


class FiniteCheck:
    """Remembers which networks skipped which iterations, without asking the device.

    Args:
        every: how many iterations it remembers.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self._judged: dict[str, list[int]] = {}
        self._finite: dict[str, Tensor] = {}

    def judge(self, network: str, iteration: int, finite: Tensor) -> None:
        """Note whether loss and gradient of an update were finite."""
        if network not in self._finite:
            self._finite[network] = torch.ones(self.every, dtype=torch.bool, device=finite.device)
        # An iteration may hold several updates of a network: one bad one marks it.
        position = iteration % self.every
        judged = self._judged.setdefault(network, [])
        again = bool(judged) and judged[-1] == iteration
        held = self._finite[network]
        held[position] = held[position] & finite if again else finite
        if not again:
            judged.append(iteration)

    def read(self) -> Mapping[str, dict[int, bool]]:
        """Network to iteration to whether its update was made, since the last reading."""
        found = {}
        for network, iterations in self._judged.items():
            finite = self._finite[network].tolist()
            found[network] = {i: finite[i % self.every] for i in iterations[-self.every :]}
        self._judged = {}
        return found

    def state_dict(self) -> dict[str, Any]:
        """What has been judged and not read yet."""
        return {
            network: {"iterations": list(iterations), "finite": self._finite[network]}
            for network, iterations in self._judged.items()
        }

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Take unread verdicts up; they were given with the same `every`."""
        self._judged = {network: list(part["iterations"]) for network, part in state.items()}
        self._finite = {network: part["finite"].to(device) for network, part in state.items()}
