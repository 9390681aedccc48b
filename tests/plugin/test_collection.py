"""Which tests there are: lists of them, marks that select them, parameters, and what is no claim."""

import os

import pytest
import torch

from claimlab import Statistical
from tests.plugin.project import Bench, case, draws, exact, shown, worlds

BY_NUMBER = '@pytest.mark.parametrize("b", [3, 5], ids=["three", "five"])'


def test_collect_only_lists_claims_by_id_and_then_their_questions(bench: Bench):
    bench.write("drawn", **draws())
    bench.write("sum", **exact())
    bench.put("claims/sec/test_broken.py", "1 / 0")
    result = bench.run("claims", "--collect-only", "-q")
    assert [line for line in result.outlines if line][:3] == [
        "sec/drawn  T1  holds  statistical  2 tests  claims/sec/test_drawn.py",
        "sec/sum  T1  holds  exact  2 tests  claims/sec/test_sum.py",
        "claims/sec/test_broken.py::declaration",
    ]
    assert result.ret == 0
    result = bench.run("claims", "--collect-only", "-qq", "-k", "drawn")
    assert [line for line in result.outlines if line][:3] == [
        "sec/drawn  T1  holds  statistical  2 tests  claims/sec/test_drawn.py",
        "  test_claim  supports  statistical  Almost every draw is small.",
        "  test_control_low  refutes  statistical  What it asks.",
    ]
    assert not (bench.path / "reports").exists()


@pytest.mark.parametrize(("kind", "tests"), [("exact", 3), ("property", 2), ("statistical", 2)])
def test_the_kinds_of_evidence_are_marks(bench: Bench, kind: str, tests: int):
    drawn = draws()
    also = case("judge(lambda: Certificate(True)).supports()", name="test_also", marks="@pytest.mark.exact")
    bench.write("drawn", **drawn | {"tests": [*drawn["tests"], also]})
    bench.write("sum", **exact())
    bench.write("small", **worlds())
    bench.put("claims/sec/test_broken.py", "1 / 0")
    outcomes = bench.run("claims", "-m", kind).parseoutcomes()
    assert (outcomes["passed"], outcomes["failed"]) == (tests, 1)  # no kind selects a broken module away
    assert [record.kind for record in bench.records()] == [kind] * tests


def test_a_mark_says_what_differs_from_the_default_and_from_the_claim(bench: Bench):
    drawn = draws(evidence=Statistical(block=8, max_seeds=64))
    few = "judge(lambda number: Certificate(True), given=st.integers()).supports()"
    more = [
        case(few, name="test_few_worlds", marks="@pytest.mark.property(examples=7)"),
        case("judge(trial).supports()", name="test_small_blocks", marks="@pytest.mark.statistical(block=3)"),
        case("judge(trial).supports()", name="test_blocks_of_the_claim", marks="@pytest.mark.statistical"),
    ]
    tests = [*drawn["tests"], *more]
    bench.write("drawn", **drawn | {"head": "from hypothesis import strategies as st", "tests": tests})
    bench.run("claims").assert_outcomes(passed=5)
    plans = {record.test: record.plan for record in bench.records()}
    assert plans["test_few_worlds"] == {"examples": 7}
    assert (plans["test_small_blocks"]["block"], plans["test_small_blocks"]["max_seeds"]) == (3, 64)
    assert plans["test_blocks_of_the_claim"] == plans["test_claim"]


def test_a_control_with_parameters_is_a_test_for_each_of_its_ids(bench: Bench):
    tests = [
        case("judge(check).supports()"),
        case("judge(check, b=b).refutes()", name="test_control_other", takes="judge, b", marks=BY_NUMBER),
    ]
    bench.write("sum", **exact() | {"tests": tests})
    result = bench.run("claims")
    result.assert_outcomes(passed=3)
    assert "exact; 2/2 controls refuted" in shown(result)
    controls = {record.test: record for record in bench.records() if record.control}
    assert {test: (each.world, each.numbers) for test, each in controls.items()} == {
        "test_control_other[three]": ({"b": 3}, {"sum": 5}),
        "test_control_other[five]": ({"b": 5}, {"sum": 7}),
    }
    command = controls["test_control_other[five]"].command
    assert command == "pytest 'claims/sec/test_sum.py::test_control_other[five]'"
    bench.run("claims/sec/test_sum.py::test_control_other[five]").assert_outcomes(passed=1)


def test_what_is_no_claim_is_left_alone(bench: Bench):
    """Beside claims an ordinary test has the environment and the threads it would have without them."""
    bench.write(
        "drawn",
        **draws(returns="Rows(win=draw < bound, threads=[torch.get_num_threads()] * len(seeds))"),
        head="import torch",
    )
    bench.pytester.makepyfile(
        test_ordinary="""
        import os, torch
        def test_environment(): assert "OMP_NUM_THREADS" not in os.environ and "OMP_WAIT_POLICY" not in os.environ
        def test_threads(): assert torch.get_num_threads() == 3
        def test_judge(judge): pass
        """
    )
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        result = bench.run("test_ordinary.py")
        result.assert_outcomes(passed=2, errors=1)
        assert "The judge fixture belongs to the modules of claims." in shown(result)
        assert not (bench.path / "reports").exists()
        bench.run("claims", "test_ordinary.py").assert_outcomes(passed=4, errors=1)
    finally:
        torch.set_num_threads(before)
    assert {(record.threads, record.rows["threads"][0]) for record in bench.records()} == {(1, 1)}


def test_claims_alone_run_in_one_thread_unless_somebody_asks_for_more(bench: Bench):
    (bench.path / "claims").mkdir()
    bench.run("claims")
    assert (os.environ["OMP_NUM_THREADS"], os.environ["OMP_WAIT_POLICY"]) == ("1", "PASSIVE")
    os.environ["OMP_NUM_THREADS"] = "2"
    bench.run("claims")
    assert os.environ["OMP_NUM_THREADS"] == "2"
