"""A line a run, with a point for every claim that the run judged whole."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claimlab.records import history
from claimlab.records.history import KEPT, Past, Point
from tests.made import control, exact, sampled


def test_a_claim_has_the_means_of_its_own_test_and_the_seconds_of_all():
    past = history.summed_up([control(seconds=2.0), sampled(seconds=1.5), exact(seconds=0.25, commit="abc")])
    wide, tents = past.claims["optimization/wide-nets"], past.claims["depth/tents-double"]
    assert (wide.version, wide.confirmed, wide.seconds) == (1, True, 3.5)
    assert wide.effects == pytest.approx({"error": sum(0.5 / 2**n for n in range(11)) / 11})
    assert tents == Point(1, True, 0.25, {})
    assert (past.when, past.epoch, past.machine) == ("2026-01-02T03:04:05+00:00", "pinned", "Linux")


def test_a_red_claim_is_not_confirmed_and_one_judged_in_part_has_no_point():
    past = history.summed_up([sampled(passed=False, of=1), exact(of=2)])
    assert {claim: point.confirmed for claim, point in past.claims.items()} == {"optimization/wide-nets": False}


def test_what_is_added_is_read_again_the_last_runs_alone(tmp_path: Path):
    path = tmp_path / history.FILE
    runs = [
        Past(f"{run:03}", "", "", "pinned", {"a/b": Point(1, True, run, {"error": 0.5})}) for run in range(KEPT + 3)
    ]
    for run in runs:
        history.add(path, run)
    assert history.read(path) == runs[3:]


def test_a_run_that_judged_no_claim_whole_adds_nothing(tmp_path: Path):
    history.add(tmp_path / history.FILE, history.summed_up([sampled(of=2)]))
    assert history.read(tmp_path / history.FILE) == []
    assert not (tmp_path / history.FILE).exists()


def damaged(**changes: object) -> str:
    """The line of a run whose one claim is not as it should be."""
    point = {"version": 1, "confirmed": True, "seconds": 1.0, "effects": {}} | changes
    return json.dumps({"when": "", "commit": "", "machine": "", "epoch": "", "claims": {"a/b": point}})


@pytest.mark.parametrize(
    "line",
    [
        "", "no json", "[]", "{}", "[" * 100_000, '{"claims": []}', damaged(seconds="long"), damaged(seconds=10**400),
        damaged(seconds="nan"), damaged(effects=None), damaged(effects={"error": [1]}), damaged(effects={"\ud800": 1}),
    ],
)  # fmt: skip
def test_a_line_that_says_nothing_is_passed_over(tmp_path: Path, line: str):
    path = tmp_path / history.FILE
    path.write_text(f"{line}\n{damaged()}\n")
    assert len(history.read(path)) == 1


@given(st.binary(max_size=200))
def test_any_bytes_can_be_read(tmp_path_factory: pytest.TempPathFactory, found: bytes):
    path = tmp_path_factory.mktemp("any") / history.FILE
    path.write_bytes(found)
    assert history.read(path) == []
