"""The sequential test: wins in, verdict out. Pure mathematics on the standard library, no torch.

A seed wins or loses. Under a true claim it wins with probability at least `holds`; under a broken one with at most
`broken`. Wald's sequential probability ratio test (Wald 1945, "Sequential tests of statistical hypotheses") adds up

    log-likelihood ratio = wins * log(holds / broken) + losses * log((1 - holds) / (1 - broken))

seed by seed and stops at the first crossing of `log(1 / false_pass)` (SUPPORTED) or `log(false_fail)` (REFUTED).
These boundaries are a little wider than Wald's own: by Ville's inequality they bound both error rates strictly, not
approximately. A test that crosses neither within `max_seeds` is UNRESOLVED, which fails under its own name.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from claimlab.declare.claim import Statistical

SUPPORTED, REFUTED, UNRESOLVED = "SUPPORTED", "REFUTED", "UNRESOLVED"

# A control is built to win at most this often; `tests/judge/test_sequential.py` checks what that promises.
CONTROL_WINS = 0.05

# Seven losses at (.95, .5) land on log(1e-7) exactly; the slack keeps a rounding error from asking for an eighth seed
# and costs a factor 1 + 1e-9 in the error bounds.
_SLACK = 1e-9


def win_step(plan: Statistical) -> float:
    """What a win adds to the log-likelihood ratio."""
    return math.log(plan.holds / plan.broken)


def loss_step(plan: Statistical) -> float:
    """What a loss adds to the log-likelihood ratio (a negative number)."""
    return math.log((1 - plan.holds) / (1 - plan.broken))


def boundaries(plan: Statistical) -> tuple[float, float]:
    """The log-likelihood ratios `(lower, upper)` at which the claim is refuted and supported."""
    return math.log(plan.false_fail), -math.log(plan.false_pass)


def _verdict_at(ratio: float, plan: Statistical) -> str | None:
    lower, upper = boundaries(plan)
    if ratio >= upper - _SLACK:
        return SUPPORTED
    if ratio <= lower + _SLACK:
        return REFUTED
    return None


@dataclass(frozen=True)
class Judgement:
    """The state of a sequential test: `path` is the log-likelihood ratio after each judged seed."""

    verdict: str | None
    wins: int
    path: tuple[float, ...]

    @property
    def n(self) -> int:
        """How many seeds were judged."""
        return len(self.path)


def decide(wins: Iterable[bool], plan: Statistical) -> Judgement:
    """Judge seeds in their order. The verdict is None while more seeds are needed.

    Seeds beyond the first crossing are not looked at: they belong to a block that had to be trained whole.
    """
    ratio, won, path = 0.0, 0, []
    for win in wins:
        if len(path) == plan.max_seeds:
            break
        won += bool(win)
        ratio += win_step(plan) if win else loss_step(plan)
        path.append(ratio)
        if verdict := _verdict_at(ratio, plan):
            return Judgement(verdict, won, tuple(path))
    return Judgement(UNRESOLVED if len(path) == plan.max_seeds else None, won, tuple(path))


@dataclass(frozen=True)
class Characteristic:
    """What the test does to a claim of a given win rate: exact probabilities, and the mean number of seeds."""

    supported: float
    refuted: float
    unresolved: float
    mean_seeds: float


@cache
def characteristic(plan: Statistical, win_rate: float) -> Characteristic:
    """The operating characteristic at `win_rate`, by exact recursion over (seeds judged, wins so far).

    The log-likelihood ratio depends on the counts alone, so the undecided states after n seeds are a set of win
    counts; their probabilities follow from those after n - 1 seeds.
    """
    undecided = {0: 1.0}
    supported = refuted = mean_seeds = 0.0
    for n in range(1, plan.max_seeds + 1):
        mean_seeds += sum(undecided.values())
        following: dict[int, float] = {}
        for wins, probability in undecided.items():
            for step, chance in ((1, win_rate), (0, 1 - win_rate)):
                won = wins + step
                verdict = _verdict_at(won * win_step(plan) + (n - won) * loss_step(plan), plan)
                if verdict == SUPPORTED:
                    supported += probability * chance
                elif verdict == REFUTED:
                    refuted += probability * chance
                else:
                    following[won] = following.get(won, 0.0) + probability * chance
        undecided = following
    return Characteristic(supported, refuted, sum(undecided.values()), mean_seeds)


def false_alarm(plan: Statistical, *, asks: str) -> float:
    """The chance that a sound test goes red: a claim that wins at `holds`, or a control that wins at `CONTROL_WINS`."""
    if asks == "supports":
        return 1 - characteristic(plan, plan.holds).supported
    return 1 - characteristic(plan, CONTROL_WINS).refuted


def clopper_pearson(wins: int, n: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """The exact two-sided interval for a win rate (Clopper & Pearson 1934)."""
    tail = (1 - confidence) / 2
    return lower_bound(wins, n, confidence=1 - tail), upper_bound(wins, n, confidence=1 - tail)


def lower_bound(wins: int, n: int, *, confidence: float = 0.95) -> float:
    """The exact one-sided lower bound: the rate at which `wins` or more has probability `1 - confidence`."""
    if wins == 0:
        return 0.0
    return _root(lambda rate: _binomial_tail(wins, n, rate) - (1 - confidence))


def upper_bound(wins: int, n: int, *, confidence: float = 0.95) -> float:
    """The exact one-sided upper bound on a win rate."""
    return 1 - lower_bound(n - wins, n, confidence=confidence)


def certifies(wins: int, n: int, plan: Statistical, *, asks: str) -> bool:
    """Whether `wins` of `n` fixed seeds make the promised win rate honest, at 95 % confidence.

    With 100 seeds a claim at `holds=.95` needs at least 99 wins (lower bound .953) and a control at most 1.
    """
    if asks == "supports":
        return lower_bound(wins, n) >= plan.holds
    return upper_bound(wins, n) <= CONTROL_WINS


def _binomial_tail(wins: int, n: int, rate: float) -> float:
    """The chance of `wins` or more of n at a rate inside (0, 1); by logarithms, so that no n overflows.

    Terms are added up from `wins` away from the likeliest count, where they fall, until none is left to notice.
    """
    if wins > n * rate:
        return math.fsum(_falling(range(wins, n + 1), n, rate))
    return 1 - math.fsum(_falling(range(wins - 1, -1, -1), n, rate))


def _falling(counts: Iterable[int], n: int, rate: float) -> Iterator[float]:
    log_win, log_loss, log_all = math.log(rate), math.log1p(-rate), math.lgamma(n + 1)
    largest = 0.0
    for k in counts:
        term = math.exp(log_all - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * log_win + (n - k) * log_loss)
        yield term
        largest = max(largest, term)
        if term <= 1e-18 * largest:
            return


def _root(rising, low: float = 0.0, high: float = 1.0) -> float:
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return (low + high) / 2
