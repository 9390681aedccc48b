"""The statistics of the benchmark's verdict, by simulation: coverage, false alarms, power, under ugly noise."""

import math

import numpy as np
import pytest

from bench.verdicts import (
    ALL_CASES,
    IMPROVED,
    INCONCLUSIVE,
    OK,
    REGRESSED,
    Estimate,
    Plan,
    decide,
    estimates,
    holm,
    settled,
)


def estimate(launches) -> Estimate:
    """The estimate of one case."""
    return estimates({"case": launches})["case"]


def noise(rng: np.random.Generator, kind: str, launches: int, quads: int, *, spread: float = 0.02) -> np.ndarray:
    """Log-ratios `[launches, quads]` around 0, a quarter of their spread between launches.

    `heavy`: Student's t with two degrees of freedom, whose variance is infinite. `autocorrelated`: each quad
    remembers 0.7 of the last. `contaminated`: one quad in ten is off by fifteen spreads to one side.
    """
    between = rng.normal(scale=spread / 4, size=(launches, 1))
    if kind == "heavy":
        within = spread * rng.standard_t(2, size=(launches, quads))
    elif kind == "autocorrelated":
        within = np.empty((launches, quads))
        steps = rng.normal(scale=spread * math.sqrt(1 - 0.7**2), size=(launches, quads))
        within[:, 0] = rng.normal(scale=spread, size=launches)
        for quad in range(1, quads):
            within[:, quad] = 0.7 * within[:, quad - 1] + steps[:, quad]
    else:
        within = rng.normal(scale=spread, size=(launches, quads))
        if kind == "contaminated":
            within += 15 * spread * (rng.random((launches, quads)) < 0.1) * rng.choice([-1, 1], size=(launches, quads))
    return between + within


KINDS = ("normal", "heavy", "autocorrelated", "contaminated")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("launches", [10, 50])
def test_the_interval_covers_as_often_as_it_says(kind, launches):
    """400 runs at level .95: fewer than 92 % covered would have a chance below 1e-2 if it were right; 1 % spare."""
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(400):
        low, high = estimate(noise(rng, kind, launches, 30).tolist()).interval(0.95)
        covered += low <= 1 <= high
    assert covered / 400 >= 0.91


def test_a_trimmed_mean_by_hand():
    """Of ten medians one is cut at either end; the spread is that of 1, 1, 2, 3, ..., 7, 8, 8."""
    found = estimate([[value] for value in (0, 1, 2, 3, 4, 5, 6, 7, 8, 99)])
    assert found.log_ratio == pytest.approx(4.5)
    assert found.error == pytest.approx(np.std([1, 1, 2, 3, 4, 5, 6, 7, 8, 8], ddof=1) / (0.8 * math.sqrt(10)))
    assert found.launches == 8


def test_one_launch_with_its_memory_badly_laid_out_changes_little():
    rng = np.random.default_rng(6)
    launches = rng.normal(scale=0.004, size=(20, 9))
    before = estimate(launches.tolist())
    launches[7] += 0.3
    after = estimate(launches.tolist())
    assert after.error < 1.3 * before.error
    assert abs(after.log_ratio - before.log_ratio) < before.error


@pytest.mark.parametrize("kind", KINDS)
def test_false_alarms_are_as_rare_as_promised(kind):
    """60 runs of 24 cases that stand exactly at the margin, the worst that is no regression, with both looks."""
    rng = np.random.default_rng(2)
    plan = Plan(alpha=0.05)
    alarms = 0
    for _ in range(60):
        cases = {str(case): noise(rng, kind, 50, 8) + math.log(1 + plan.margin) for case in range(24)}
        looks = ({name: quads[:look].tolist() for name, quads in cases.items()} for look in plan.looks)
        alarms += any(
            verdict.verdict == REGRESSED for cases_then in looks for verdict in decide(estimates(cases_then), plan)
        )
    assert alarms <= 8  # Binomial(60, .05) exceeds 8 with a chance of 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_one_case_slower_by_three_percent_is_called(kind):
    rng = np.random.default_rng(3)
    called = 0
    for _ in range(20):
        slowed = {3: math.log(1.03)}
        cases = {
            str(case): (noise(rng, kind, 50, 15, spread=0.01) + slowed.get(case, 0)).tolist() for case in range(24)
        }
        verdicts = {verdict.name: verdict.verdict for verdict in decide(estimates(cases), Plan())}
        called += verdicts["3"] == REGRESSED
        assert [name for name, verdict in verdicts.items() if verdict == REGRESSED and name != "3"] == []
    assert called >= 19


def test_each_verdict_has_its_place():
    rng = np.random.default_rng(4)

    def quads(ratio: float, spread: float) -> list[list[float]]:
        return (rng.normal(scale=spread, size=(10, 40)) + math.log(ratio)).tolist()

    cases = {
        "slow": quads(1.05, 0.004), "fast": quads(0.95, 0.004), "same": quads(1.0, 0.004), "noisy": quads(1.0, 0.4),
    }  # fmt: skip
    verdicts = {verdict.name: verdict for verdict in decide(estimates(cases), Plan())}
    assert [verdicts[name].verdict for name in cases] == [REGRESSED, IMPROVED, OK, INCONCLUSIVE]
    assert verdicts["noisy"].half_width > 0.01 > verdicts["same"].half_width
    assert verdicts["slow"].low < 1.05 < verdicts["slow"].high
    assert settled(list(verdicts.values())), "a regression is an answer"
    assert not settled([verdicts["same"], verdicts["noisy"]])
    assert settled([verdicts["same"], verdicts["fast"]])


def test_a_slowdown_of_every_case_shows_in_the_geometric_mean_though_no_case_is_called():
    rng = np.random.default_rng(5)
    cases = {str(case): (rng.normal(scale=0.04, size=(10, 20)) + math.log(1.02)).tolist() for case in range(24)}
    verdicts = {verdict.name: verdict.verdict for verdict in decide(estimates(cases), Plan())}
    assert verdicts[ALL_CASES] == REGRESSED
    assert sum(verdict == REGRESSED for verdict in verdicts.values()) < 5


def test_holm_by_hand():
    assert holm({"a": 0.01, "b": 0.02, "c": 0.5}, 0.05) == {"a", "b"}
    assert holm({"a": 0.02, "b": 0.02, "c": 0.02}, 0.05) == set(), "the smallest must pass alpha / 3 first"
    assert holm({}, 0.05) == set()


def test_an_interval_grows_with_its_level_and_the_p_values_agree_with_it():
    found = Estimate(math.log(1.02), 0.004, 8)
    narrow, wide = found.interval(0.9), found.interval(0.99)
    assert wide[0] < narrow[0] < 1.02 < narrow[1] < wide[1]
    assert found.chance_above(narrow[0]) == pytest.approx(0.05)
    assert found.chance_below(narrow[1]) == pytest.approx(0.05)


def test_timings_without_any_noise_are_certain():
    found = estimate([[0.1] * 5] * 4)
    assert found.error < 1e-12
    assert found.chance_above(1.05) < 1e-9
    assert found.chance_above(1.2) > 1 - 1e-9
    assert Estimate(0.1, 0.0, 4).chance_above(1.05) == 0


def test_no_cases_no_verdicts():
    assert decide(estimates({}), Plan()) == []


@pytest.mark.parametrize("launches", [[], [[0.1]] * 3, [[0.1], [0.1], [0.1], []]])
def test_too_little_to_estimate_is_an_error(launches):
    with pytest.raises(ValueError, match="4 launches or more"):
        estimate(launches)


@pytest.mark.parametrize("wrong", [{"margin": 0}, {"alpha": 0.6}, {"looks": ()}, {"looks": (3,)}, {"looks": (8, 4)}])
def test_a_plan_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError, match="must"):
        Plan(**wrong)
