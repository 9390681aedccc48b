"""A record's evidence in words."""

import pytest

from claimlab.report import words
from tests.made import control, sampled
from tests.report.project import keyed


def test_statistical_evidence_in_words():
    assert keyed(" ".join(words.evidence(sampled()))) == (
        "11 of 11 seeds won (95 % interval 71.5 to 100.0 %). "
        "Log-likelihood ratio +7.06; supported from +6.91, refuted from -16.12."
    )
    one_won = control(rows={"win": [False] * 4 + [True] + [False] * 11}, wins=1, n=9)
    assert "Won by seed 4." in list(words.evidence(one_won))
    assert list(words.evidence(sampled(n=None, wins=None, path=[], rows={}))) == ["No seed was judged."]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (True, "yes"), (3, "3"), (1234567, "1 234 567"), (2**300, "2.037 x 10⁹⁰ (91 digits)"), (-1.5e-9, "-1.5 x 10⁻⁹"),
        (float("inf"), "inf"), ([1, 2], "[1, 2]"), (list(range(99)), "[0, 1, 2, 3, 4, 5, 6, 7, … 99 in all]"),
        ({"a": 0.5}, "(a = 0.5)"), ("x" * 200, "x" * 160 + "… (200 characters)"), (None, "None"),
    ],
)  # fmt: skip
def test_values_as_a_person_reads_them(entry, said):
    assert keyed(words.value(entry)) == said


def test_metrics_are_summed_up_over_the_judged_seeds():
    column = ["nan", 3.0, 1.0, 2.0, *[99.0] * 12]
    test = sampled(n=4, wins=4, rows={"win": [True] * 16, "loss": column, "ok": [True] * 16, "curve": [[1, 2]] * 16})
    assert dict(words.metrics(test)) == {
        "loss": "2 (1 to 3); 1 not finite", "ok": "on 4 of 4 seeds", "curve": "4 rows of several numbers each",
    }  # fmt: skip


def test_a_seed_that_says_nothing_is_told():
    odd = sampled(rows={"win": [False] * 16, "premise": [True] * 5 + [False] * 11}, wins=0, n=7, passed=False)
    said = "Without their premise or a finite number: 2 seeds, which speak against the test."
    assert said in list(words.evidence(odd))
    assert not [line for line in words.evidence(control()) if "premise" in line]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "supported"),
        ({"passed": False, "verdict": "REFUTED"}, "refuted, not supported"),
        ({"passed": False, "verdict": "REFUTED", "excused": "coarse"}, "refuted, as is expected in float32"),
        ({"excused": "coarse"}, "supported"),
        ({"passed": False, "verdict": "ERROR"}, "could not be judged"),
    ],
)
def test_a_verdict_in_words(changes, said):
    assert words.verdict(sampled(**changes)) == said
