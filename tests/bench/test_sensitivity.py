"""The sensitivity of the comparison, on drawn timings whose noise is known, and the rules of other tools."""

import json
import math

import numpy as np
import pytest

from bench import __main__ as command_line
from bench import curve, sensitivity
from bench.rules import RULES
from bench.sensitivity import Replay, false_alarms, injected, injections, of_rule, power, read, runs, shuffled_runs
from bench.verdicts import Plan

CASES = ("a", "b", "c")
PLAN = Plan(looks=(4, 8))


def recording(tmp_path, launches: int, *, spread: float, seed: int = 0):
    """A file of launches of 9 quads a case around a millisecond; blocks vary by `spread`, and so does every launch."""
    rng = np.random.default_rng(seed)
    path = tmp_path / sensitivity.RECORDING
    with path.open("w") as file:
        for number in range(1, launches + 1):
            slower = {case: injected(number, place) for place, case in enumerate(CASES)}
            blocks = {}
            for case in CASES:
                seconds = 1e-3 * np.exp(rng.normal(scale=spread) + rng.normal(scale=spread, size=(9, 4)))
                seconds[:, 2:] *= 1 + slower[case]
                blocks[case] = seconds.tolist()
            line = {"busy": False, "seconds": 20.0, "slower": slower, "blocks": blocks}
            file.write(json.dumps(line) + "\n")
    return path


def test_half_of_the_launches_are_plain_and_the_others_take_turns():
    assert {injected(number, place) for number in (1, 3, 5) for place in range(6)} == {0.0}
    assert sorted(injected(2, place) for place in range(6)) == list(sensitivity.SLOWDOWNS)
    assert injected(4, 0) != injected(2, 0)


def test_an_injected_slowdown_is_measured_and_then_taken_out(tmp_path):
    launches = read(recording(tmp_path, 48, spread=0.002))
    for slowdown, (mean, low, high) in injections(launches).items():
        assert mean == pytest.approx(slowdown, abs=0.002)
        assert low < mean < high
    medians = [np.median(launch.cases["a"].log_ratios) for launch in launches]
    assert abs(np.mean(medians)) < 1e-3


def test_runs_share_no_launch_and_shuffled_ones_draw_none_twice(tmp_path):
    launches = read(recording(tmp_path, 20, spread=0.01))
    assert [len(run) for run in runs(launches, 8)] == [8, 8]
    assert not {id(launch) for launch in runs(launches, 8)[0]} & {id(launch) for launch in runs(launches, 8)[1]}
    for run in list(shuffled_runs(launches, 8))[:20]:
        assert len({id(launch) for launch in run}) == 8


def replays(launches, length: int) -> list[Replay]:
    return [Replay(run, PLAN) for run in runs(launches, length)]


def test_large_slowdowns_are_called_at_the_first_look_and_none_is_where_there_is_none(tmp_path):
    launches = read(recording(tmp_path, 40, spread=0.004))
    first, whole = replays(launches, 4), replays(launches, 8)
    found = power(first, whole, 0.10)
    assert (found.first_look.called, found.first_look.trials) == (30, 30), "ten first looks of three cases"
    assert (found.end.called, found.end.trials) == (15, 15)
    assert found.launches == 4
    assert power(first, whole, 0.01).end.called == 0, "the margin itself is no regression"
    assert false_alarms(whole).called == 0


def test_a_replayed_slowdown_is_what_a_comparison_of_such_timings_would_find(tmp_path):
    """Adding to a case's estimate is the same as adding to each of its quads."""
    run = read(recording(tmp_path, 8, spread=0.003))
    estimate, moved = Replay(run, PLAN).looks[8]["a"], Replay(run, PLAN).looks[8]["a"].moved(math.log(1.03))
    assert moved.log_ratio == pytest.approx(estimate.log_ratio + math.log(1.03))
    assert moved.error == estimate.error
    assert "a" in Replay(run, PLAN).called("a", 0.05)[0]


@pytest.mark.parametrize(
    ("rule", "silent", "speaks"),
    [
        ("pytest-benchmark, min:5%", 1.04, 1.06),
        ("pytest-benchmark, mean:5%", 1.04, 1.06),
        ("asv continuous", 1.08, 1.12),
        ("criterion", 1.005, 1.02),
    ],
)
def test_each_rule_by_its_threshold(rule, silent, speaks):
    base = 1e-3 * np.exp(np.random.default_rng(0).normal(scale=0.005, size=60))
    head = 1e-3 * np.exp(np.random.default_rng(1).normal(scale=0.005, size=60))
    assert not RULES[rule](base, silent * head)
    assert RULES[rule](base, speaks * head)


def test_a_drift_between_launches_alarms_a_fixed_percentage_and_not_the_pairs(tmp_path):
    launches = read(recording(tmp_path, 40, spread=0.03))
    _, of_runs = of_rule(RULES["pytest-benchmark, mean:5%"], launches, 0.0)
    assert of_runs.called > of_runs.trials / 4
    assert false_alarms(replays(launches, 8)).called == 0


def test_the_table_and_the_curves_are_drawn_and_too_little_is_one_sentence(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    monkeypatch.setattr(sensitivity, "_SHUFFLED_RUNS", 5)
    recording(tmp_path, 54, spread=0.004)
    assert command_line.main(["sensitivity", "--minutes", "0", "--output", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert said == (tmp_path / sensitivity.TABLE).read_text()
    assert "### Idle" in said
    assert "| 10% | 15/15 (78.2 to 100.0 %) | 3/3 (29.2 to 100.0 %) | 3.3 min |" in said
    assert "<svg" in (tmp_path / sensitivity.CURVE).read_text()
    recording(tmp_path, 6, spread=0.004)
    assert command_line.main(["sensitivity", "--minutes", "0", "--output", str(tmp_path)]) == 2
    assert "a comparison takes 50 launches" in capsys.readouterr().err
    with pytest.raises(ValueError, match="fewer were recorded"):
        curve.judge([], PLAN)
