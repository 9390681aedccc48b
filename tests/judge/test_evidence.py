"""Gathering evidence: which worlds and seeds are asked, in which order, and what verdict comes of them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from types import ModuleType
from typing import Any

import pytest
from hypothesis import strategies as st

from claimlab import Certificate, Claim, Exact, Property, Statistical
from claimlab.declare.claim import Evidence
from claimlab.declare.questions import Question, questions
from claimlab.judge.evidence import Outcome, UnansweredError, explore, prove, sample
from claimlab.judge.task import BadCheckError, Columns, Fixed, One, Sequential, Stopping, Task

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


# -- exact checks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("holds", "verdict"), [(True, "SUPPORTED"), (False, "REFUTED")])
def test_a_certificate_is_the_verdict(holds: bool, verdict: str):
    question = ask(Exact(), lambda judge: judge(lambda: Certificate(holds, half=Fraction(1, 2))).supports())
    outcome = prove(question)
    assert (outcome.verdict, outcome.numbers) == (verdict, {"half": "1/2"})


# -- seeds ---------------------------------------------------------------------------------------------------------


class Played:
    """Measures blocks by the book: whether each seed wins, in their order; it keeps the blocks it was asked for."""

    def __init__(self, wins: Sequence[bool], *, columns: Callable[[int], Columns] = lambda block: {}) -> None:
        self.wins, self.columns = wins, columns
        self.blocks: list[tuple[int, ...]] = []

    def __call__(self, task: Task, question: Question) -> Columns:
        self.blocks.append(task.seeds)
        rows = {"win": [self.wins[seed] for seed in task.seeds], "seed": list(task.seeds)}
        return rows | self.columns(len(self.blocks))


def sampled(played: Played, stopping: Stopping, plan: Statistical) -> Outcome:
    question = ask(plan, lambda judge: judge(lambda seeds: None).supports())
    return sample(question, Task("test_it.py", "", "test_claim", "pinned", ()), stopping, played)


def test_blocks_follow_one_another_until_the_sequential_test_has_decided():
    """By hand, at .95 against .5: a win adds log 1.9 = .64, a loss takes log 10 = 2.30, and log 1000 = 6.91 supports.

    After a loss at seed 0 it takes fifteen wins, as 15 x .642 - 2.303 = 7.32 and 14 x .642 - 2.303 = 6.68.
    """
    plan = Statistical(block=6)
    played = Played([False] + [True] * 40)
    outcome = sampled(played, Sequential(plan), plan)
    assert played.blocks == [tuple(range(6)), tuple(range(6, 12)), tuple(range(12, 18))]
    assert (outcome.verdict, outcome.wins, outcome.n) == ("SUPPORTED", 15, 16)
    assert outcome.seeds == tuple(range(18))
    assert outcome.rows["seed"] == list(range(18)), "all that was trained is told"
    assert outcome.path[-1] == pytest.approx(15 * 0.6419 - 2.3026, abs=1e-3)


def test_seven_losses_refute_and_what_is_used_up_is_unresolved():
    plan = Statistical(block=8, max_seeds=20)
    outcome = sampled(Played([False] * 24), Sequential(plan), plan)
    assert (outcome.verdict, outcome.wins, outcome.n, len(outcome.seeds)) == ("REFUTED", 0, 7, 8)
    # Four wins and a loss come to .26: four times that is 1.1, between the boundaries.
    outcome = sampled(Played([True, True, True, True, False] * 5), Sequential(plan), plan)
    assert (outcome.verdict, outcome.wins, outcome.n, len(outcome.seeds)) == ("UNRESOLVED", 16, 20, 24)


def test_a_certificate_has_just_the_seeds_it_was_to_have():
    plan = Statistical(block=8)
    played = Played([seed != 3 for seed in range(40)])
    outcome = sampled(played, Fixed(20), plan)
    assert [len(block) for block in played.blocks] == [8, 8, 8]
    assert (outcome.wins, outcome.n, outcome.seeds) == (19, 20, tuple(range(20)))
    assert (outcome.verdict, outcome.path) == ("UNRESOLVED", ()), "whoever certifies decides"
    played = Played([True] * 40)
    assert sampled(played, Fixed(17), plan).n == 17
    assert len(played.blocks) == 3, "sixteen are one too few"


@pytest.mark.parametrize(("win", "verdict"), [(True, "SUPPORTED"), (False, "REFUTED")])
def test_one_seed_is_trained_in_its_block(win: bool, verdict: str):
    plan = Statistical(block=8)
    played = Played([win if seed == 21 else not win for seed in range(40)])
    outcome = sampled(played, One(21, block=8), plan)
    assert played.blocks == [tuple(range(16, 24))]
    assert (outcome.verdict, outcome.seeds, outcome.rows) == (verdict, (21,), {"win": [win], "seed": [21]})


def test_a_block_that_cannot_be_measured_ends_it_with_what_was_before():
    def broken(block: int) -> Columns:
        if block == 2:
            raise BadCheckError("The trial raised.")
        return {}

    plan = Statistical(block=4)
    with pytest.raises(UnansweredError, match=r"^The trial raised\.$") as raised:
        sampled(Played([True] * 40, columns=broken), Sequential(plan), plan)
    assert raised.value.so_far is not None
    assert (raised.value.so_far.wins, raised.value.so_far.seeds) == (4, (0, 1, 2, 3))


@pytest.mark.parametrize("later", [{}, {"loss": [0.0] * 4, "more": [0.0] * 4}], ids=["fewer", "more"])
def test_columns_do_not_change_between_blocks(later: Columns):
    plan = Statistical(block=4)
    played = Played([True] * 40, columns=lambda block: {"loss": [0.0] * 4} if block == 1 else later)
    with pytest.raises(
        UnansweredError, match=r"^The trial's rows changed their columns between two blocks of seeds\.$"
    ):
        sampled(played, Sequential(plan), plan)
