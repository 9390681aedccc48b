"""The sequential test against independent checks: enumeration, simulation, scipy, and what it promises."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from claimlab import Statistical
from claimlab.judge import sequential
from claimlab.judge.sequential import REFUTED, SUPPORTED, UNRESOLVED

DEFAULT = Statistical()

plans = st.builds(
    lambda broken, gap, false_fail, false_pass, max_seeds: Statistical(
        broken=broken, holds=broken + gap * (0.999 - broken), false_fail=false_fail, false_pass=false_pass,
        max_seeds=max_seeds, block=1,
    ),
    broken=st.floats(0.02, 0.9),
    gap=st.floats(0.05, 1.0),
    false_fail=st.floats(1e-8, 0.2),
    false_pass=st.floats(1e-6, 0.2),
    max_seeds=st.integers(1, 60),
)  # fmt: skip


def verdict_by_definition(wins: tuple[bool, ...], plan: Statistical) -> tuple[str, int]:
    """The verdict on a whole sequence and the seeds it took: likelihoods multiplied out, boundaries as promised."""
    for n in range(1, len(wins) + 1):
        won = sum(wins[:n])
        ratio = (plan.holds**won * (1 - plan.holds) ** (n - won)) / (plan.broken**won * (1 - plan.broken) ** (n - won))
        if ratio >= 1 / plan.false_pass * (1 - 1e-9):
            return SUPPORTED, n
        if ratio <= plan.false_fail * (1 + 1e-9):
            return REFUTED, n
    return UNRESOLVED, len(wins)


@pytest.mark.parametrize("win_rate", [0.0, 0.3, 0.6, 0.9, 1.0])
@pytest.mark.parametrize(
    "plan",
    [
        Statistical(false_fail=0.05, false_pass=0.1, max_seeds=12),
        Statistical(holds=0.8, broken=0.4, false_fail=0.1, false_pass=0.2, max_seeds=13, block=1),
        Statistical(holds=0.99, broken=0.9, max_seeds=10, block=1),
    ],
)
def test_characteristic_agrees_with_every_sequence_of_wins(plan, win_rate):
    chance = dict.fromkeys((SUPPORTED, REFUTED, UNRESOLVED), 0.0)
    mean_seeds = 0.0
    for wins in itertools.product((True, False), repeat=plan.max_seeds):
        probability = win_rate ** sum(wins) * (1 - win_rate) ** (plan.max_seeds - sum(wins))
        verdict, n = verdict_by_definition(wins, plan)
        assert sequential.decide(wins, plan).verdict == verdict
        assert sequential.decide(wins, plan).n == n
        chance[verdict] += probability
        mean_seeds += n * probability
    exact = sequential.characteristic(plan, win_rate)
    assert (exact.supported, exact.refuted, exact.unresolved, exact.mean_seeds) == pytest.approx(
        (*chance.values(), mean_seeds), abs=1e-12
    )


@pytest.mark.parametrize("win_rate", [0.05, 0.5, 0.75, 0.85, 0.95])
def test_characteristic_agrees_with_simulation(win_rate):
    """2000 runs; the counts lie within what a binomial of the computed chance gives but once in a million."""
    runs = 2000
    draws = np.random.default_rng(20310501).random((runs, DEFAULT.max_seeds)) < win_rate
    judged = [sequential.decide(row, DEFAULT) for row in draws.tolist()]
    exact = sequential.characteristic(DEFAULT, win_rate)
    for verdict, chance in ((SUPPORTED, exact.supported), (REFUTED, exact.refuted), (UNRESOLVED, exact.unresolved)):
        count = sum(one.verdict == verdict for one in judged)
        assert binomtest(count, runs, min(chance, 1.0)).pvalue > 1e-6
    seeds = np.array([one.n for one in judged])
    assert abs(seeds.mean() - exact.mean_seeds) < 5 * seeds.std() / math.sqrt(runs) + 1e-9


@settings(max_examples=200)
@given(plans)
def test_error_rates_never_exceed_what_the_plan_promises(plan):
    slack = 1 + 1e-6
    assert sequential.characteristic(plan, plan.holds).refuted <= plan.false_fail * slack
    assert sequential.characteristic(plan, plan.broken).supported <= plan.false_pass * slack


@settings(max_examples=200)
@given(plans, st.floats(0, 1))
def test_the_three_verdicts_exhaust_the_chances(plan, win_rate):
    exact = sequential.characteristic(plan, win_rate)
    assert exact.supported + exact.refuted + exact.unresolved == pytest.approx(1, abs=1e-12)
    assert 1 <= exact.mean_seeds <= plan.max_seeds * (1 + 1e-12)


@settings(max_examples=100)
@given(plans, st.floats(0, 1), st.floats(0, 1))
def test_a_higher_win_rate_is_supported_more_often(plan, one, other):
    lower, higher = sorted((one, other))
    assert sequential.characteristic(plan, higher).supported >= sequential.characteristic(plan, lower).supported - 1e-12
    assert sequential.characteristic(plan, higher).refuted <= sequential.characteristic(plan, lower).refuted + 1e-12


def test_the_defaults_promise_what_the_design_says():
    claim, broken = sequential.characteristic(DEFAULT, 0.95), sequential.characteristic(DEFAULT, 0.5)
    assert claim.refuted <= 1e-7
    assert 1 - claim.supported <= 1e-7  # never unresolved either
    assert broken.supported <= 1e-3
    assert claim.mean_seeds < 15  # log(1000) / (.95 * log 1.9 - .05 * log 10) = 14, and what the last seed oversteps
    control = sequential.characteristic(DEFAULT, sequential.CONTROL_WINS)
    assert 1 - control.refuted <= 1e-7
    assert control.mean_seeds < 9


def test_a_false_alarm_is_any_verdict_but_the_right_one():
    assert sequential.false_alarm(DEFAULT, asks="supports") == 1 - sequential.characteristic(DEFAULT, 0.95).supported
    assert sequential.false_alarm(DEFAULT, asks="refutes") == 1 - sequential.characteristic(DEFAULT, 0.05).refuted


def test_false_alarms_by_hand():
    """One seed that decides at once, or that decides only if it wins: whatever is not the right verdict is an alarm."""
    at_once = Statistical(holds=0.9, broken=0.5, false_fail=0.3, false_pass=0.6, max_seeds=1, block=1)
    assert sequential.false_alarm(at_once, asks="supports") == pytest.approx(0.1)
    assert sequential.false_alarm(at_once, asks="refutes") == pytest.approx(0.05), "controls win so often at most"
    if_it_wins = Statistical(holds=0.9, broken=0.5, false_fail=0.01, false_pass=0.6, max_seeds=1, block=1)
    assert sequential.false_alarm(if_it_wins, asks="supports") == pytest.approx(0.1), "unresolved is red, too"
    assert sequential.false_alarm(if_it_wins, asks="refutes") == pytest.approx(1.0)


@pytest.mark.parametrize(("win", "verdict", "n"), [(True, SUPPORTED, 11), (False, REFUTED, 7)])
def test_unanimous_seeds_end_early(win, verdict, n):
    for given_seeds in range(n):
        assert sequential.decide([win] * given_seeds, DEFAULT).verdict is None
    judgement = sequential.decide([win] * n, DEFAULT)
    assert (judgement.verdict, judgement.n, judgement.wins) == (verdict, n, n if win else 0)


def test_seeds_beyond_the_crossing_are_ignored():
    decided = sequential.decide([True] * 11, DEFAULT)
    assert sequential.decide([True] * 11 + [False] * 50, DEFAULT) == decided
    assert sequential.decide([False] * 7 + [True] * 50, DEFAULT) == sequential.decide([False] * 7, DEFAULT)


def test_a_test_that_never_crosses_is_unresolved():
    # Seven wins add 7 * log 1.9 = 4.49 and two losses take 2 * log 10 = 4.61.
    wins = ([True] * 4 + [False] + [True] * 3 + [False]) * 20
    judgement = sequential.decide(wins, DEFAULT)
    assert (judgement.verdict, judgement.n) == (UNRESOLVED, 128)
    assert sequential.decide(wins[:127], DEFAULT).verdict is None


def test_the_path_is_the_log_likelihood_ratio():
    judgement = sequential.decide([True, False, True], DEFAULT)
    step, back = math.log(0.95 / 0.5), math.log(0.05 / 0.5)
    assert judgement.path == pytest.approx((step, step + back, 2 * step + back))
    assert sequential.boundaries(DEFAULT) == pytest.approx((math.log(1e-7), math.log(1e3)))


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.999])
@pytest.mark.parametrize(
    ("wins", "n"), [(0, 1), (1, 1), (0, 100), (1, 100), (50, 100), (99, 100), (100, 100), (7, 11), (1990, 2000)]
)
def test_clopper_pearson_is_scipys(wins, n, confidence):
    interval = binomtest(wins, n).proportion_ci(confidence, method="exact")
    assert sequential.clopper_pearson(wins, n, confidence=confidence) == pytest.approx((interval.low, interval.high))


def test_intervals_by_hand():
    """At the ends of the interval the outcome, or one further out, has a chance of 2.5 %."""
    assert sequential.clopper_pearson(0, 10) == pytest.approx((0, 1 - 0.025**0.1))
    assert sequential.clopper_pearson(10, 10) == pytest.approx((0.025**0.1, 1))
    # One of two: one win or two have the chance 1 - (1 - p)², one win or none 1 - p².
    assert sequential.clopper_pearson(1, 2) == pytest.approx((1 - 0.975**0.5, 0.975**0.5))


@pytest.mark.parametrize("asks", ["supports", "refutes"])
def test_fewer_than_59_seeds_certify_nothing(asks):
    """If all agree the bound is .05 ** (1 / n), which comes up to .95 at n = 58.4."""
    for n in (1, 10, 58, 59, 100):
        assert sequential.certifies(n if asks == "supports" else 0, n, DEFAULT, asks=asks) is (n >= 59)


@pytest.mark.parametrize(
    ("wins", "asks", "certified"),
    [(100, "supports", True), (99, "supports", True), (98, "supports", False), (0, "supports", False),
     (0, "refutes", True), (1, "refutes", True), (2, "refutes", False), (100, "refutes", False)],
)  # fmt: skip
def test_one_hundred_seeds_certify_with_at_most_one_exception(wins, asks, certified):
    assert sequential.certifies(wins, 100, DEFAULT, asks=asks) is certified


@pytest.mark.parametrize(
    ("win_rate", "green", "seeds"),
    [
        (0.5, 0.001, 21),
        (0.6, 0.01, 31),
        (0.7, 0.11, 57),
        (0.75, 0.34, 70),
        (0.8, 0.74, 59),
        (0.9, 0.9999, 21),
        (0.95, 1, 14),
    ],
)
def test_the_operating_characteristic_is_the_one_that_is_printed(win_rate, green, seeds):
    """The README's table; the page says the same of 50, 70 and 80 %."""
    told = sequential.characteristic(DEFAULT, win_rate)
    assert told.supported == pytest.approx(green, rel=0.2, abs=0.005)
    assert told.mean_seeds == pytest.approx(seeds, abs=0.6)
