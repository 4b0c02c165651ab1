"""Contestants that take turns, so that what else the machine does hits all of them alike."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from common.peers import MissingPeerError
from common.results import Row

T = TypeVar("T")
Call = Callable[[], object]
Factory = Callable[[], Call]
Block = Callable[[], float]  # runs one block and gives its seconds a call


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Args:
        rounds: blocks of each contestant.
        block: seconds that a block takes at least.
    """

    rounds: int
    block: float


def seconds_a_call(call: Call, effort: Effort, least: int, wait: Callable[[], None]) -> float:
    """One block: the mean time of calls that together take long enough."""
    calls = 0
    start = time.perf_counter()
    while (spent := time.perf_counter() - start) < effort.block or calls == 0:
        for _ in range(least):
            call()
        wait()
        calls += least
    return spent / calls


def take_turns(contestants: Mapping[str, Block], rounds: int) -> dict[str, list[float]]:
    """Blocks of all contestants, taking turns; each round another one begins.

    Returns:
        Name to seconds a call, a number a round.
    """
    names = list(contestants)
    blocks: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            blocks[name].append(contestants[name]())
    return blocks


def race(
    contestants: Mapping[str, Call],
    effort: Effort,
    *,
    least: int = 1,
    wait: Callable[[], None] = lambda: None,
) -> dict[str, list[float]]:
    """Blocks of calls, after one call of each contestant that does not count.

    Args:
        contestants: name to what is timed.
        effort: how many blocks, and how long.
        least: calls in a block, at least; `wait` follows every so many.
        wait: for what the calls have only begun.

    Returns:
        Name to seconds a call, a number a round.
    """
    for call in contestants.values():
        call()
        wait()
    return take_turns(
        {
            name: partial(seconds_a_call, call, effort, least, wait)
            for name, call in contestants.items()
        },
        effort.rounds,
    )


def gather(
    section: str, factories: Mapping[str, Callable[[], T]]
) -> tuple[dict[str, T], list[Row]]:
    """Prepare contestants; those whose packages are missing become a line that says so."""
    ready: dict[str, T] = {}
    missing: list[Row] = []
    for name, factory in factories.items():
        try:
            ready[name] = factory()
        except MissingPeerError as error:
            missing.append(Row(section, name, note=f"left out: {error}"))
    return ready, missing
