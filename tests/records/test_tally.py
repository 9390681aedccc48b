"""What records come to: the order and the roles of a claim's tests, and its evidence in a few words."""

from dataclasses import replace

import pytest

from claimlab import Statistical
from claimlab.judge import sequential
from claimlab.records import tally
from claimlab.records.record import DECLARED, ERROR
from tests.made import control, exact, sampled

WORDING = exact(test="test_deck_wording", asks="refutes", verdict="REFUTED", finding="false")


def test_a_false_claims_wording_comes_first_and_then_the_corrected_statement():
    tests = [control(finding="false"), exact(test="test_also", finding="false"), exact(finding="false"), WORDING]
    in_order = sorted(tests, key=tally.rank)
    assert [test.test for test in in_order] == ["test_deck_wording", "test_claim", "test_also", "test_control_narrow"]
    assert list(map(tally.role, in_order)) == ["deck wording", "corrected statement", "also tested", "control"]
    assert tally.role(exact()) == "claim"


@pytest.mark.parametrize(
    ("tests", "words"),
    [
        ([exact()], "exact"),
        ([sampled(), control()], "11/11 seeds; 1/1 control refuted"),
        ([sampled(), control(passed=False), control()], "11/11 seeds; 1/2 controls refuted"),
        ([exact(finding="false"), WORDING], "as worded: refuted exactly; corrected: exact"),
        ([exact(), exact(test="test_also"), exact(test="test_more", verdict=ERROR)], "2 x exact; error"),
        ([exact(kind="property", examples=60)], "60 worlds"),
        ([exact(kind="property", examples=6, verdict="REFUTED")], "counterexample in 6 worlds"),
        ([exact(kind="none", verdict=DECLARED)], "declared, not tested"),
        ([sampled(device="cuda"), sampled()], "2 x 11/11 seeds (cpu, cuda)"),
        (
            [sampled(passed=False, wins=0, n=7, excused="coarse", dtype="float16"), sampled(excused="coarse")],
            "0/7 seeds; 11/11 seeds; 1 not expected in float16",
        ),
    ],
)
def test_the_evidence_for_a_claim_in_a_few_words(tests, words):
    assert tally.evidence(tests) == words


def test_findings_are_counted_in_their_usual_order():
    found = tally.findings([[exact(finding="open")], [exact()], [exact(finding="false")], [exact(), control()]])
    assert found == [("holds", 2), ("false", 1), ("open", 1)]
    revised = [exact(finding="holds"), exact(finding="scoped", test="test_other", when="2027-01-01T00:00:00+00:00")]
    assert tally.findings([revised]) == [("scoped", 1)], "the newest record says what was found"


def test_a_claim_with_a_red_test_or_without_all_its_tests_is_not_counted_under_its_finding():
    red, part, whole = [exact(), control(passed=False)], [control(of=2)], [exact(of=2), control(of=2)]
    assert [tally.state(tests).value for tests in (red, part, whole)] == ["red", "in part", "confirmed"]
    assert tally.findings([red, part, whole]) == [("holds", 1)]
    assert tally.unconfirmed([red, part, whole, red]) == [("red", 2), ("in part", 1)]
    both_devices = [control(of=2), control(of=2, device="cuda")]
    assert tally.state(both_devices).value == "in part", "one test on two devices is one test"


def test_the_chance_of_a_false_alarm_is_the_sequential_tests_added_up():
    plan = Statistical()
    chances = [sequential.false_alarm(plan, asks=asks) for asks in ("supports", "refutes")]
    assert tally.false_alarm([sampled(), control(), exact()]) == sum(chances)
    assert tally.false_alarm([exact(), replace(sampled(), path=[])]) == 0, "a certificate is no sequential test"
