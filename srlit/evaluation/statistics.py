"""How far a mean over photos can be relied upon, and whether two methods differ."""

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

RESAMPLES = 2000
LEVEL = 0.95


class Interval(NamedTuple):
    """Both ends."""

    low: float
    high: float


def confidence_interval(values: Sequence[float], *, seed: int = 0) -> Interval:
    """Where the mean of other photos of the same kind would lie, with 95 % confidence.

    By the bias-corrected and accelerated bootstrap over photos.

    Args:
        values: a photo's value each.
        seed: of the resampling.

    Returns:
        NaN at both ends where there are fewer than two values, or some are not finite.

    Source: Efron 1987, Better Bootstrap Confidence Intervals, JASA 82.
    """
    from scipy.stats import bootstrap

    sample = np.asarray(values, dtype=np.float64)
    if len(sample) < 2 or not np.isfinite(sample).all():
        return Interval(math.nan, math.nan)
    if np.ptp(sample) == 0:
        return Interval(float(sample[0]), float(sample[0]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of samples too small for the acceleration: NaN tells it
        found = bootstrap(
            (sample,), np.mean, n_resamples=RESAMPLES, confidence_level=LEVEL, rng=seed
        ).confidence_interval
    return Interval(float(found.low), float(found.high))


def paired_p(values: Sequence[float], reference: Sequence[float]) -> float:
    """How likely two methods would differ so much on the same photos if they were equally good.

    Wilcoxon's signed-rank test, two-sided: it asks for no normal distribution, and one odd photo
    weighs no more than its rank.

    Args:
        values: a photo's value each.
        reference: another method's on the same photos.

    Returns:
        The p-value; 1 where no photo differs, NaN where a difference is not a number.

    Source: Wilcoxon 1945, Individual Comparisons by Ranking Methods, Biometrics Bulletin 1.
    """
    from scipy.stats import wilcoxon

    one, other = (np.asarray(part, dtype=np.float64) for part in (values, reference))
    # Infinite on both, such as the PSNR of images without a flaw, is no difference.
    with np.errstate(invalid="ignore"):
        differences = np.where(one == other, 0.0, one - other)
    if np.isnan(differences).any():
        return math.nan
    if not differences.any():
        return 1.0
    return float(wilcoxon(differences).pvalue)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """P-values of several comparisons, adjusted so that none is significant by their number.

    Args:
        p_values: comparison to p-value; NaN stays and does not count.

    Source: Holm 1979, A Simple Sequentially Rejective Multiple Test Procedure, Scand. J. Stat. 6.
    """
    known = sorted((p, name) for name, p in p_values.items() if not math.isnan(p))
    adjusted = dict.fromkeys(p_values, math.nan)
    floor = 0.0
    for rank, (p, name) in enumerate(known):
        floor = max(floor, min(1.0, (len(known) - rank) * p))
        adjusted[name] = floor
    return adjusted
