"""Effect sizes: the mean of each metric over the judged seeds, with its BCa bootstrap interval (Efron 1987).

They describe; no verdict rests on them.
"""

import math
import warnings
from dataclasses import dataclass

from claimlab.records.record import Record, table

CONFIDENCE = 0.95
_RESAMPLES = 2000


@dataclass(frozen=True)
class Effect:
    """A metric's mean over `n` seeds, and its interval; where all seeds agree the interval is that one number."""

    mean: float
    low: float
    high: float
    n: int

    def apart(self, other: "Effect") -> bool:
        """Whether the two intervals have no number in common."""
        return self.high < other.low or other.high < self.low


def effects(record: Record) -> dict[str, Effect]:
    """The effect sizes of a statistical record, by metric; those with a number a seed, all of them finite."""
    columns = {
        name: [float(entry) for entry in column]
        for name, column in table(record).items()
        if name != "win" and len(column) > 1 and all(_is_number(entry) for entry in column)
    }
    spread = {name: column for name, column in columns.items() if min(column) < max(column)}
    intervals = dict(zip(spread, _bca(list(spread.values())), strict=True)) if spread else {}
    found = {}
    for name, column in columns.items():
        mean = math.fsum(column) / len(column)
        low, high = intervals.get(name, (mean, mean))
        found[name] = Effect(mean, low, high, len(column))
    return found


def _is_number(entry: object) -> bool:
    return isinstance(entry, int | float) and not isinstance(entry, bool) and math.isfinite(entry)


def _bca(columns: list[list[float]]) -> list[tuple[float, float]]:
    """The intervals of several metrics of the same seeds, resampled together. The same numbers give the same ones."""
    import numpy as np
    from scipy.stats import bootstrap

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of degenerate columns, which keep nan and are shown without an interval
        result = bootstrap(
            (np.array(columns),), np.mean, axis=-1, n_resamples=_RESAMPLES, confidence_level=CONFIDENCE,
            method="BCa", rng=np.random.default_rng(0),
        )  # fmt: skip
    low, high = result.confidence_interval
    return list(zip(low.tolist(), high.tolist(), strict=True))
