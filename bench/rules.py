"""How other tools decide that a benchmark became slower, so that the same timings can be judged by their rules.

Each rule takes the seconds a call of base's blocks and of head's, and says whether it would report a regression.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from scipy import stats

Rule = Callable[[np.ndarray, np.ndarray], bool]

_RESAMPLES = 400


def fixed_percentage_of_the_minimum(base: np.ndarray, head: np.ndarray) -> bool:
    """pytest-benchmark with `--benchmark-compare-fail=min:5%`."""
    return bool(head.min() > 1.05 * base.min())


def fixed_percentage_of_the_mean(base: np.ndarray, head: np.ndarray) -> bool:
    """pytest-benchmark with `--benchmark-compare-fail=mean:5%`."""
    return bool(head.mean() > 1.05 * base.mean())


def asv(base: np.ndarray, head: np.ndarray) -> bool:
    """`asv continuous`: the median grew by its default factor of 1.1, and a Mann-Whitney U test has p < .002."""
    grew = np.median(head) > 1.1 * np.median(base)
    return bool(grew) and float(stats.mannwhitneyu(base, head).pvalue) < 0.002


def criterion(base: np.ndarray, head: np.ndarray) -> bool:
    """criterion.rs: the means differ (t test, p < .05), and the 95 % interval of their ratio lies above 1 % of noise.

    Criterion bootstraps the distribution of t; Welch's test, with its formula, stands in for that.
    """
    if float(stats.ttest_ind(base, head, equal_var=False).pvalue) >= 0.05:
        return False
    draw = np.random.default_rng(0)
    resampled = [
        values[draw.integers(len(values), size=(_RESAMPLES, len(values)))].mean(axis=1) for values in (base, head)
    ]
    return float(np.quantile(resampled[1] / resampled[0], 0.025)) > 1.01


RULES: Mapping[str, Rule] = {
    "pytest-benchmark, min:5%": fixed_percentage_of_the_minimum,
    "pytest-benchmark, mean:5%": fixed_percentage_of_the_mean,
    "asv continuous": asv,
    "criterion": criterion,
}
