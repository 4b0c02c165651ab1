"""Confidence intervals of means over photos, and tests whether two methods differ."""

import math
import warnings
from collections.abc import Mapping, Sequence
from itertools import accumulate

import numpy as np

RESAMPLES = 2000
LEVEL = 0.95


def confidence_interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % confidence interval of the mean over photos of the same kind.

    By the bias-corrected and accelerated bootstrap over photos.

    Args:
        values: one value per photo.

    Returns:
        Low and high end; NaN where there are fewer than two values, or some are not finite.

    Source: Efron 1987, Better Bootstrap Confidence Intervals, JASA 82.
    """
    from scipy.stats import bootstrap

    sample = np.asarray(values, dtype=np.float64)
    if len(sample) < 2 or not np.isfinite(sample).all():
        return math.nan, math.nan
    if np.ptp(sample) == 0:
        return float(sample[0]), float(sample[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # samples too small for the acceleration give NaN
        found = bootstrap((sample,), np.mean, n_resamples=RESAMPLES, confidence_level=LEVEL, rng=0)
    low, high = found.confidence_interval
    return float(low), float(high)


def paired_p(values: Sequence[float], reference: Sequence[float]) -> float:
    """The p-value of the hypothesis that two methods are equally good on the same photos.

    Wilcoxon's signed-rank test, two-sided: it assumes no normal distribution, and an outlier
    counts by its rank only.

    Args:
        values: one value per photo.
        reference: another method's values on the same photos.

    Returns:
        The p-value; 1 where no photo differs, NaN where a difference is not a number.

    Source: Wilcoxon 1945, Individual Comparisons by Ranking Methods, Biometrics Bulletin 1.
    """
    from scipy.stats import wilcoxon

    one, other = (np.asarray(part, dtype=np.float64) for part in (values, reference))
    # Both infinite, such as the PSNR of two perfect restorations, is no difference.
    with np.errstate(invalid="ignore"):
        differences = np.where(one == other, 0.0, one - other)
    if np.isnan(differences).any():
        return math.nan
    if not differences.any():
        return 1.0
    return float(wilcoxon(differences).pvalue)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """P-values of several comparisons, adjusted for their number.

    Args:
        p_values: comparison to p-value; NaN stays and does not count.

    Source: Holm 1979, A Simple Sequentially Rejective Multiple Test Procedure, Scand. J. Stat. 6.
    """
    known = sorted((p, name) for name, p in p_values.items() if not math.isnan(p))
    scaled = [min(1.0, p * (len(known) - i)) for i, (p, _) in enumerate(known)]
    adjusted = zip((name for _, name in known), accumulate(scaled, max), strict=True)
    return dict.fromkeys(p_values, math.nan) | dict(adjusted)
