"""What settings of stages may be: errors that name the value and what was expected."""

from collections.abc import Sequence

Range = Sequence[float]


def check_range(name: str, values: Range, low: float, high: float) -> tuple[float, float]:
    """Return (least, largest) or raise ValueError naming what is wrong with them."""
    if len(values) != 2 or not low <= values[0] <= values[1] <= high:
        msg = f"{name}={list(values)}: expected [least, largest] within {low:g} to {high:g}"
        raise ValueError(msg)
    return float(values[0]), float(values[1])


def check_number(name: str, value: float, low: float, high: float) -> float:
    """Return the number or raise ValueError where it lies outside."""
    if not low <= value <= high:
        msg = f"{name}={value:g}: expected a number within {low:g} to {high:g}"
        raise ValueError(msg)
    return float(value)


def check_whole(name: str, values: Range, low: int, high: int) -> tuple[int, int]:
    """Like `check_range`, for whole numbers."""
    least, largest = check_range(name, values, low, high)
    if least != int(least) or largest != int(largest):
        msg = f"{name}={list(values)}: expected whole numbers"
        raise ValueError(msg)
    return int(least), int(largest)


def check_ranges(
    name: str, values: Sequence[Range], low: float, high: float
) -> list[tuple[float, float]]:
    """Return the ranges or raise ValueError where there is none or one is wrong."""
    if not values:
        msg = f"{name}=[]: expected at least one [least, largest]"
        raise ValueError(msg)
    return [check_range(name, pair, low, high) for pair in values]


def check_sizes(name: str, sizes: Sequence[int]) -> tuple[int, ...]:
    """Return the kernel sizes or raise ValueError where one is even or below 1."""
    if not sizes or any(size < 1 or size % 2 == 0 for size in sizes):
        msg = f"{name}={list(sizes)}: expected odd numbers >= 1"
        raise ValueError(msg)
    return tuple(sizes)


def check_weights(name: str, weights: Sequence[float] | None, count: int) -> list[float]:
    """The weights, equal ones where None; ValueError where they are not `count` numbers >= 0."""
    if count == 0:
        msg = f"{name}: there is nothing to choose from: expected at least one"
        raise ValueError(msg)
    if weights is None:
        return [1.0] * count
    if len(weights) != count or min(weights) < 0 or sum(weights) <= 0:
        msg = f"{name}={list(weights)}: expected {count} numbers >= 0 with a positive sum"
        raise ValueError(msg)
    return list(weights)
