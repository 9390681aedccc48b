"""Gathering evidence: which worlds and seeds are asked, in which order, and what verdict comes of them."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from types import ModuleType
from typing import Any

import pytest
from hypothesis import strategies as st

from claimlab import Certificate, Claim, Exact, Property
from claimlab.declare.claim import Evidence
from claimlab.declare.questions import Question, questions
from claimlab.judge.evidence import Outcome, UnansweredError, explore

CLAIM = Claim(
    id="sec/it", covers=("T1",), slide="A slide", version=1, finding="holds", says="It is said.", statement="It is so.",
    reason="It was seen.", scope="here", source="nobody", evidence=Exact(),
)  # fmt: skip


def ask(evidence: Evidence, test: Callable[..., None], *, name: str = "test_claim") -> Question:
    """What a test of a claim with this evidence asks."""
    module = ModuleType("test_it")
    vars(module).update({"CLAIM": replace(CLAIM, evidence=evidence), name: test})
    (question,) = questions(module)
    return question


# -- properties ----------------------------------------------------------------------------------------------------

PLAN = Property(examples=40)
NUMBERS = st.integers(0, 1000)


class Below:
    """The property that a number is below a bound; it keeps the numbers it was asked about."""

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self.asked: list[int] = []

    def __call__(self, number: int) -> Certificate:
        self.asked.append(number)
        return Certificate(number < self.bound, number=number, part=Fraction(number, 1000))


def explored(check: Callable[..., Any], asks: str, *, epoch: str = "pinned", **worlds: Any) -> Outcome:
    def test(judge):
        getattr(judge(check, **worlds), asks)()

    name = "test_claim" if asks == "supports" else "test_control"
    return explore(ask(PLAN, test, name=name), PLAN, epoch=epoch)


def test_a_property_that_no_world_refutes_is_supported_by_as_many_as_were_asked_for():
    check = Below(2000)
    outcome = explored(check, "supports", given=NUMBERS)
    assert (outcome.verdict, outcome.counterexample, outcome.numbers) == ("SUPPORTED", None, {})
    assert outcome.examples == len(check.asked) == 40


def test_one_drawn_world_refutes_and_is_made_small():
    check = Below(321)
    outcome = explored(check, "supports", given=NUMBERS)
    assert (outcome.verdict, outcome.counterexample) == ("REFUTED", "321")
    assert outcome.numbers == {"number": 321, "part": "321/1000"}
    assert outcome.examples == len(check.asked)
    assert max(check.asked) <= 1000


def test_the_world_that_a_control_names_refutes_it_and_nothing_is_drawn():
    check = Below(700)
    outcome = explored(check, "refutes", given=NUMBERS, example=900)
    assert (outcome.verdict, outcome.counterexample, outcome.examples) == ("REFUTED", "900", 1)
    assert outcome.numbers["number"] == 900
    assert check.asked == [900]


def test_a_world_that_is_named_is_asked_before_those_that_are_drawn():
    check = Below(2000)
    outcome = explored(check, "supports", given=NUMBERS, example=1999)
    assert (outcome.verdict, outcome.examples) == ("SUPPORTED", 41)
    assert check.asked[0] == 1999
    assert max(check.asked[1:]) <= 1000
    assert explored(Below(1500), "supports", given=NUMBERS, example=1999).counterexample == "1999"


def test_a_control_does_not_live_on_what_is_drawn():
    """A named world that does not refute it is told, with a drawn one that does: once drawn is not always drawn."""
    with pytest.raises(UnansweredError) as raised:
        explored(Below(321), "refutes", given=NUMBERS, example=7)
    assert str(raised.value) == "The world that the test names does not refute it; 321 does."
    outcome = explored(Below(2000), "refutes", given=NUMBERS, example=7)
    assert (outcome.verdict, outcome.examples) == ("SUPPORTED", 41)


def test_worlds_are_the_same_in_every_run_and_others_in_another_epoch():
    def asked(**changes: Any) -> list[int]:
        check = Below(2000)
        explored(check, "supports", given=NUMBERS, **changes)
        return check.asked

    assert asked() == asked()
    assert asked() != asked(epoch="another")


def raises(number: int) -> Certificate:
    raise ValueError(number)


def test_what_cannot_be_answered_says_why():
    for check, worlds, sentence in (
        (raises, NUMBERS, r"^The check raised ValueError on the world 0: 0\n"),
        (lambda number: number, NUMBERS, r"^The check must return a Certificate, not int\."),
        (Below(1), st.integers().filter(lambda number: False), r"^Hypothesis could not explore the worlds: "),
    ):
        with pytest.raises(UnansweredError, match=sentence):
            explored(check, "supports", given=worlds)
