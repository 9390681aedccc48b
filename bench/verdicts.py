"""From paired timings to a verdict: has a case become slower, and how sure is that? Pure mathematics, no clock.

Two revisions are timed in turn, base and head in blocks ABBA or BAAB; such a *quad* gives one log-ratio, head over
base, in which a linear drift of the machine cancels. A *launch* is a pair of fresh processes and many quads. A launch's
estimate is the median of its quads, which shrugs off a block that was interrupted; launches differ by more than their
quads do (memory is laid out anew), so the launch, not the quad, is the unit that counts.

The standard error of the mean over launches is that of a hierarchical bootstrap (launches resampled, and quads within
them; Davison & Hinkley 1997, section 3.8) with infinitely many resamples: for a mean of medians it has a closed form.
The interval is Student's t with launches - 1 degrees of freedom. The bootstrap counts what quads add twice, so the
interval errs on the wide side. `tests/test_verdicts.py` measures that.
"""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

REGRESSED, IMPROVED, OK, INCONCLUSIVE = "REGRESSED", "IMPROVED", "OK", "INCONCLUSIVE"

ALL_CASES = "all cases"

Quads = Sequence[float] | np.ndarray
"""The log-ratios, head over base, of one launch."""


@dataclass(frozen=True)
class Plan:
    """How a comparison decides, fixed beforehand.

    `margin` is the slowdown that does not matter (1 % by default): a case has REGRESSED when it is slower by more than
    that. `alpha` bounds the chance that any case of a run is called REGRESSED although none is (and as much for
    IMPROVED), over all cases and all `looks`, which are numbers of launches.
    """

    margin: float = 0.01
    alpha: float = 0.01
    looks: tuple[int, ...] = (10, 20, 40)

    def __post_init__(self) -> None:
        if not (0 < self.margin < 1 and 0 < self.alpha < 0.5):
            raise ValueError("margin must lie between 0 and 1, alpha between 0 and 0.5")
        if not self.looks or min(self.looks) < 3 or list(self.looks) != sorted(set(self.looks)):
            raise ValueError("looks must be increasing numbers of launches, three at least")


@dataclass(frozen=True)
class Estimate:
    """A case's mean log-ratio over its launches, its standard error, and how many launches there were."""

    log_ratio: float
    error: float
    launches: int

    def interval(self, level: float) -> tuple[float, float]:
        """The ratio head / base within its interval at a confidence level, as two ratios."""
        half = float(stats.t.ppf(0.5 + level / 2, self.launches - 1)) * self.error
        return math.exp(self.log_ratio - half), math.exp(self.log_ratio + half)

    def moved(self, log_ratio: float) -> Estimate:
        """The estimate had every quad been larger by so much."""
        return Estimate(self.log_ratio + log_ratio, self.error, self.launches)

    def chance_above(self, ratio: float) -> float:
        """The p-value of the hypothesis that the true ratio is at most `ratio`."""
        return self._tail(math.log(ratio), side=1)

    def chance_below(self, ratio: float) -> float:
        """The p-value of the hypothesis that the true ratio is at least `ratio`."""
        return self._tail(math.log(ratio), side=-1)

    def _tail(self, bound: float, *, side: int) -> float:
        if self.error == 0:
            return 0.0 if side * (self.log_ratio - bound) > 0 else 1.0
        return float(stats.t.sf(side * (self.log_ratio - bound) / self.error, self.launches - 1))


@dataclass(frozen=True)
class Verdict:
    """What is said of a case (or of all of them together), with the interval it rests on."""

    name: str
    verdict: str
    ratio: float
    low: float
    high: float
    p: float
    launches: int

    @property
    def half_width(self) -> float:
        """Half the interval, as a share: how small a change could have been seen."""
        return math.sqrt(self.high / self.low) - 1


def estimate(launches: Sequence[Quads]) -> Estimate:
    """The mean of the launches' medians, and its standard error by the hierarchical bootstrap.

    Of an even number of quads the last is left out. Raises ValueError for fewer than two launches or a launch without
    quads.
    """
    if len(launches) < 2 or not all(len(quads) for quads in launches):
        raise ValueError("an estimate needs two launches or more, each with a quad")
    medians, resampled = [], []
    for quads in launches:
        values = np.sort(quads[: len(quads) - 1 + len(quads) % 2])
        medians.append(float(values[len(values) // 2]))
        weights = _median_weights(len(values))
        mean = float(weights @ values)
        resampled.append((mean, float(weights @ (values - mean) ** 2)))
    between = statistics.pvariance([mean for mean, _ in resampled])
    within = statistics.fmean(variance for _, variance in resampled)
    # A resample of L launches varies less than L launches do by a factor of (L - 1) / L.
    error = math.sqrt((between + within) / (len(launches) - 1))
    return Estimate(statistics.fmean(medians), error, len(launches))


@functools.cache
def _median_weights(n: int) -> np.ndarray:
    """The chance that the median of n values drawn from n with replacement is the i-th smallest of them, `[n]`; n odd.

    With it a bootstrap of the median needs no resampling (Maritz & Jarrett 1978).
    """
    return np.diff(stats.beta.cdf(np.arange(n + 1) / n, (n + 1) / 2, (n + 1) / 2))


def estimates(cases: Mapping[str, Sequence[Quads]]) -> dict[str, Estimate]:
    """The estimate of each case, and of the geometric mean of all, named `ALL_CASES`; of no cases, none."""
    found = {name: estimate(launches) for name, launches in cases.items()}
    return {**found, ALL_CASES: _together(list(cases.values()))} if found else {}


def decide(estimates: Mapping[str, Estimate], plan: Plan) -> list[Verdict]:
    """The verdict on each estimate, at one look.

    A case is REGRESSED or IMPROVED when Holm's procedure (1979), at `alpha` over the number of looks, rejects that it
    is within the margin on that side. It is OK when its interval, at the level that Bonferroni asks for, lies inside
    the margin, and otherwise INCONCLUSIVE.
    """
    alpha = plan.alpha / len(plan.looks)
    slower = {name: found.chance_above(1 + plan.margin) for name, found in estimates.items()}
    faster = {name: found.chance_below(1 / (1 + plan.margin)) for name, found in estimates.items()}
    worse, better = holm(slower, alpha), holm(faster, alpha)
    verdicts = []
    for name, found in estimates.items():
        low, high = found.interval(1 - alpha / len(estimates))
        if name in worse:
            verdict = REGRESSED
        elif name in better:
            verdict = IMPROVED
        else:
            inside = low >= 1 / (1 + plan.margin) and high <= 1 + plan.margin
            verdict = OK if inside else INCONCLUSIVE
        p = min(slower[name], faster[name])
        verdicts.append(Verdict(name, verdict, math.exp(found.log_ratio), low, high, p, found.launches))
    return verdicts


def settled(verdicts: Sequence[Verdict]) -> bool:
    """Whether no further look is needed: a case has REGRESSED, or none is left INCONCLUSIVE."""
    found = {verdict.verdict for verdict in verdicts}
    return REGRESSED in found or INCONCLUSIVE not in found


def holm(p_values: Mapping[str, float], alpha: float) -> set[str]:
    """The hypotheses that Holm's step-down procedure rejects: the family-wise error is at most `alpha`."""
    rejected: set[str] = set()
    for place, name in enumerate(sorted(p_values, key=lambda each: p_values[each])):
        if p_values[name] > alpha / (len(p_values) - place):
            break
        rejected.add(name)
    return rejected


def _together(cases: Sequence[Sequence[Quads]]) -> Estimate:
    """The geometric mean of all cases: a launch's estimate is the mean of its cases' medians."""
    launches = min(len(launches) for launches in cases)
    per_launch = [statistics.fmean(statistics.median(case[launch]) for case in cases) for launch in range(launches)]
    error = statistics.stdev(per_launch) / math.sqrt(launches)
    return Estimate(statistics.fmean(per_launch), error, launches)
