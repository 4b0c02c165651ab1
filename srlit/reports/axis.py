"""Linear and logarithmic axes: positions, ticks and tick labels."""

import math
from collections.abc import Sequence
from typing import NamedTuple

DECADES = 1.3  # from this span on, a logarithm shows more
MINUS = "\N{MINUS SIGN}"


class Paper(NamedTuple):
    """Size and margins of a chart."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float


class Axis(NamedTuple):
    """An axis: values `low` to `high` lie at places `start` to `end`.

    Attributes:
        low: the minimum, positive where `log`.
        high: the maximum.
        start: place of `low`.
        end: place of `high`.
        log: whether equal ratios are equal distances.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def place(self, value: float) -> float:
        """Where a value lies; NaN for NaN, and for what a logarithm does not know."""
        if self.log and value <= 0:
            return math.nan
        if self.log:
            fraction = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            fraction = (value - self.low) / (self.high - self.low)
        return self.start + fraction * (self.end - self.start)

    def labels(self, wanted: int = 4) -> list[tuple[float, str]]:
        """Places of round values and their numbers, with as many digits as tell them apart."""
        values = self.ticks(wanted)
        texts = [short(value) for value in values]
        if not self.log and len(values) > 1 and max(map(abs, values)) < 1e4:
            digits = -math.floor(math.log10(values[1] - values[0]) + 1e-9)
            if digits <= 4:
                texts = [_minus(f"{value:.{max(digits, 0)}f}") for value in values]
        return [(round(self.place(v), 1), text) for v, text in zip(values, texts, strict=True)]

    def ticks(self, wanted: int) -> list[float]:
        """Round values on the axis, about `wanted` of them."""
        if not self.log:
            return linear_ticks(self.low, self.high, wanted)
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for factors in ((1,), (1, 3), (1, 2, 5)):
            found = [f * 10.0**p for p in powers for f in factors]
            shown = [value for value in found if self.low <= value <= self.high]
            if len(shown) >= 3:
                break
        return shown[:: math.ceil(len(shown) / (wanted + 2))] if shown else []


def linear_ticks(low: float, high: float, wanted: int) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten, at most one more than wanted."""
    raw = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


def fit(
    values: Sequence[float], start: float, end: float, *, log: bool | None = False, pad: float = 0.0
) -> Axis | None:
    """The axis that holds all finite values; None where there is none.

    Args:
        values: to be shown.
        start: place of the minimum.
        end: place of the maximum.
        log: None takes a logarithm where all values are positive and span more than `DECADES`.
        pad: fraction of the axis left free at either end.
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return None
    low, high = min(finite), max(finite)
    if log is None:
        log = low > 0 and math.log10(high / low) > DECADES
    if low == high:
        low, high = low - (abs(low) * 0.1 or 1), high + (abs(high) * 0.1 or 1)
    if log:
        margin = (high / low) ** pad
        return Axis(low / margin, high * margin, start, end, log=True)
    margin = (high - low) * pad
    return Axis(low - margin, high + margin, start, end)


def short(value: float) -> str:
    """A number of an axis or a legend, in few characters: 1.2k, 0.0312, 3e-5."""
    if not math.isfinite(value):
        return {math.inf: "∞", -math.inf: f"{MINUS}∞"}.get(value, "NaN")
    size = abs(value)
    if size >= 1e15 or 0 < size < 1e-3:
        mantissa, power = f"{value:.1e}".split("e")
        return _minus(f"{mantissa.removesuffix('.0')}e{int(power)}")
    for limit, unit, letter in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if size >= limit:
            return _minus(f"{value / unit:.4g}{letter}")
    return _minus(f"{value:.4g}")


def _minus(text: str) -> str:
    """A number with a minus as wide as a plus; that of an exponent stays."""
    return MINUS + text[1:] if text.startswith("-") else text
