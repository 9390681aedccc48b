"""What a module of claims must keep. Sentence by sentence the rules are tested where they are told, in tests/plugin."""

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from claimlab import Certificate, Claim, Exact, Property, Statistical
from claimlab.declare.deck import Deck
from claimlab.declare.rules import complaints, plan_problems, problems

ROOT = Path("project/claims")
CLAIM = Claim(
    id="sec/it", covers=("T1",), slide="A slide", version=1, finding="holds", says="It is said.", statement="It is so.",
    reason="It was seen.", scope="here", source="nobody", evidence=Exact(),
)  # fmt: skip


def check(b: int = 2) -> Certificate:
    return Certificate(2 + b == 4)


def claims_it(judge):
    """Two and two are four."""
    judge(check).supports()


def refutes_it(judge):
    judge(check, b=3).refutes()


def module(**changes) -> ModuleType:
    made = ModuleType("test_it")
    vars(made).update({"CLAIM": CLAIM, "test_claim": claims_it, "test_control": refutes_it} | changes)
    return made


def told(made: ModuleType, place: str = "sec/test_it.py", deck: Deck = Deck()) -> list[str]:  # noqa: B008
    return list(complaints(made, ROOT / place, ROOT, deck))


def test_a_sound_module_is_told_nothing():
    assert told(module()) == []
    assert told(module(), deck=Deck("A deck", slides=("A slide",))) == []


def test_everything_that_is_wrong_is_told_at_once():
    bad = module(CLAIM=replace(CLAIM, finding="false", slide="No slide"), test_control=lambda judge: None)
    assert told(bad, "other/test_it.py", Deck("A deck", slides=("A slide",))) == [
        "CLAIM.id 'sec/it' must begin with its folder, 'other/'.",
        "CLAIM.slide 'No slide' is no slide of the deck; claims/deck.toml lists them.",
        "A claim found false needs test_deck_wording, which refutes it as the deck words it.",
        "test_control judged nothing: call judge(check) and then .supports() or .refutes().",
    ]


def test_a_test_is_not_listened_to_under_a_declaration_that_cannot_be_read():
    def explodes(judge):
        """It must not be called."""
        raise AssertionError

    broken = module(CLAIM=replace(CLAIM, evidence=None), test_claim=explodes)
    assert told(broken) == ["CLAIM.evidence must be Exact(), Property() or Statistical()."]


def test_an_untestable_claim_is_a_declaration_alone():
    claim = replace(CLAIM, finding="untestable", evidence=None)
    alone = ModuleType("test_it")
    vars(alone).update(CLAIM=claim)
    assert told(alone) == []
    assert told(module(CLAIM=claim)) == [
        "A claim found untestable has no tests; give it the finding that its tests assert."
    ]


@pytest.mark.parametrize("field", ["slide", "says", "statement", "reason", "scope", "source"])
def test_no_words_of_a_claim_may_be_missing(field: str):
    assert list(problems(replace(CLAIM, **{field: "  "}))) == [
        f"CLAIM.{field} is empty; the report has nothing to print there."
    ]


@pytest.mark.parametrize(
    ("plan", "sound"),
    [
        (Statistical(), True),
        (Statistical(dtype="float64", block=128), True),
        (Statistical(broken=0.95), False),
        (Statistical(holds=1.0), False),
        (Statistical(false_fail=0.5), False),
        (Statistical(false_pass=0.0), False),
        (Statistical(block=129), False),
        (Statistical(dtype="double"), False),
        (Property(examples=1), True),
        (Property(examples=0), False),
        (Exact(), True),
    ],
)
def test_the_numbers_of_a_plan(plan, sound: bool):
    assert (list(plan_problems(plan)) == []) is sound


def test_a_test_without_a_docstring_is_told_what_to_say():
    def silent(judge):
        judge(dict).supports()

    complaint = "test_claim has no docstring: say what exactly it tests, with its sizes, budgets and margins."
    assert told(module(test_claim=silent)) == [complaint]
