"""From paired timings to a verdict: has a case become slower, and how sure is that? Pure mathematics, no clock.

Two revisions are timed in turn, base and head in blocks ABBA or BAAB; such a *quad* gives one log-ratio, head over
base, in which a linear drift of the machine cancels. A *launch* is a fresh process and many quads. A launch's estimate
is the median of its quads, which shrugs off a block that was interrupted; launches differ by more than their quads do
(memory is laid out anew, and now and then badly), so the launch, not the quad, is the unit that counts.

Launches are averaged with a tenth cut off either end, and the interval is Student's t for such a mean (Tukey &
McLaughlin 1963; Yuen 1974): now and then a launch is off by a tenth or more, and a plain mean would take that for noise
of all. A bootstrap of launches and quads was tried; it counts what the quads add twice. `tests/test_verdicts.py`
measures coverage, false alarms and power under ugly noise.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

REGRESSED, IMPROVED, OK, INCONCLUSIVE = "REGRESSED", "IMPROVED", "OK", "INCONCLUSIVE"

ALL_CASES = "all cases"

_FEWEST = 4

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
    looks: tuple[int, ...] = (10, 20, 50)

    def __post_init__(self) -> None:
        if not (0 < self.margin < 1 and 0 < self.alpha < 0.5):
            raise ValueError("margin must lie between 0 and 1, alpha between 0 and 0.5")
        if not self.looks or min(self.looks) < _FEWEST or list(self.looks) != sorted(set(self.looks)):
            raise ValueError(f"looks must be increasing numbers of launches, {_FEWEST} at least")


@dataclass(frozen=True)
class Estimate:
    """A case's mean log-ratio over its launches, its standard error, and how many launches are left in it."""

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


def _medians(launches: Sequence[Quads]) -> list[float]:
    if len(launches) < _FEWEST or not all(len(quads) for quads in launches):
        raise ValueError(f"an estimate needs {_FEWEST} launches or more, each with a quad")
    return [float(np.median(quads)) for quads in launches]


def _trimmed(medians: Sequence[float]) -> Estimate:
    """Tukey & McLaughlin 1963: a tenth cut off either end, the spread that of the values drawn in to the ends left."""
    values, cut = np.sort(medians), len(medians) // 10
    left = len(values) - 2 * cut
    spread = float(values.clip(values[cut], values[len(values) - 1 - cut]).std(ddof=1))
    error = spread * math.sqrt(len(values)) / left
    return Estimate(float(values[cut : len(values) - cut].mean()), error, left)


def estimates(cases: Mapping[str, Sequence[Quads]]) -> dict[str, Estimate]:
    """The estimate of each case, and of the geometric mean of all, named `ALL_CASES`; of no cases, none.

    It is the trimmed mean of the launches' medians, with the standard error that goes with it. Raises ValueError for a
    case of fewer than four launches, or with a launch without quads.
    """
    return estimates_of_medians({name: _medians(launches) for name, launches in cases.items()})


def estimates_of_medians(cases: Mapping[str, Sequence[float]]) -> dict[str, Estimate]:
    """The same from the median of each launch. In the geometric mean a launch's estimate is the mean of its cases'."""
    if not cases:
        return {}
    together = [statistics.fmean(of_launch) for of_launch in zip(*cases.values(), strict=False)]
    return {name: _trimmed(medians) for name, medians in [*cases.items(), (ALL_CASES, together)]}


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
