"""What a module's tests ask, as data; and why a test asks nothing that can be judged."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import ModuleType
from typing import Any

import pytest
from hypothesis import strategies as st

from claimlab import Certificate, Claim, Exact, Property, Statistical
from claimlab.declare.questions import Question, UnsoundTestError, evidence_of, parameter_sets, questions

CLAIM = Claim(
    id="sec/it", covers=("T1",), slide="A slide", version=1, finding="holds", says="It is said.", statement="It is so.",
    reason="It was seen.", scope="here", source="nobody", evidence=Exact(),
)  # fmt: skip
NUMBERS = st.integers()
PARAMETERS = pytest.mark.parametrize


def check(a: int = 2, *, b: int = 2) -> Certificate:
    return Certificate(a + b == 4)


def module(claim: Claim = CLAIM, /, **tests: Callable[..., None]) -> ModuleType:
    made = ModuleType("test_it")
    vars(made).update(CLAIM=claim, check=check, helper=print, **tests)
    return made


def ask(test: Callable[..., None], *, name: str = "test_claim", claim: Claim = CLAIM) -> Question:
    (question,) = questions(module(claim, **{name: test}))
    return question


def marked(*marks: pytest.MarkDecorator) -> Callable[..., None]:
    """A control of any parameters, with marks, which pytest puts on no lambda."""

    def refuted(judge, **given):
        judge(check).refutes()

    for mark in marks:
        refuted = mark(refuted)
    return refuted


def test_a_test_is_data_before_it_is_a_test():
    def test_claim(judge):
        """What.

        And more.
        """
        judge(check, b=3).supports()

    def test_control_it(judge):
        judge(check, a=7).refutes()

    assert questions(module(test_claim=test_claim, test_control_it=test_control_it)) == [
        Question(CLAIM, "test_claim", "What.\n\nAnd more.", check, {"b": 3}, None, Exact(), "supports", test_claim),
        Question(CLAIM, "test_control_it", "", check, {"a": 7}, None, Exact(), "refutes", test_control_it),
    ]  # fmt: skip
    assert [question.control for question in questions(module(test_control_it=test_control_it))] == [True]


def test_nothing_is_computed_when_a_test_is_listened_to():
    def trial(seeds):
        raise AssertionError

    sampled = replace(CLAIM, evidence=Statistical())
    assert ask(lambda judge: judge(trial).supports(), claim=sampled).check is trial


def test_the_plan_is_the_claims_but_for_what_a_mark_says():
    claim = replace(CLAIM, evidence=Statistical(block=8, max_seeds=64))

    def plan(mark: pytest.MarkDecorator) -> Any:
        return evidence_of(marked(mark), claim)

    assert evidence_of(check, claim) == claim.evidence
    assert plan(pytest.mark.statistical(block=3)) == Statistical(block=3, max_seeds=64)
    assert plan(pytest.mark.property(examples=7)) == Property(examples=7)
    assert plan(pytest.mark.exact) == Exact()
    assert plan(pytest.mark.timeout) == claim.evidence


def test_a_propertys_worlds_are_part_of_its_question():
    question = ask(lambda judge: judge(check, given=NUMBERS).supports(), claim=replace(CLAIM, evidence=Property()))
    assert (question.given, question.world, question.example) == (NUMBERS, {}, None)
    question = ask(
        lambda judge: judge(check, given=NUMBERS, example=3).refutes(), claim=replace(CLAIM, evidence=Property())
    )
    assert (question.given, question.world, question.example) == (NUMBERS, {}, 3)


# -- parameters ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mark", "sets"),
    [
        (PARAMETERS("b", [3, 5], ids=["three", "five"]), [("three", {"b": 3}), ("five", {"b": 5})]),
        (PARAMETERS("a, b", [(1, 2)], ids=("both",)), [("both", {"a": 1, "b": 2})]),
        (PARAMETERS(["a", "b"], [[1, 2]], ids=["both"]), [("both", {"a": 1, "b": 2})]),
        (PARAMETERS("b", [(1, 2)], ids=["pair"]), [("pair", {"b": (1, 2)})]),
        (PARAMETERS(["b"], [(1,)], ids=["one"]), [("one", {"b": 1})]),
        (pytest.mark.timeout, [("", {})]),
    ],
)
def test_a_control_has_a_question_for_each_set_of_parameters(mark, sets):
    test = marked(mark)
    assert list(parameter_sets("test_control", test)) == sets
    names = [f"test_control[{id}]" if id else "test_control" for id, _ in sets]
    asked = questions(module(test_control=test))
    assert [(each.test, each.arguments) for each in asked] == [
        (name, given) for name, (_, given) in zip(names, sets, strict=True)
    ]


@pytest.mark.parametrize(
    ("name", "marks"),
    [
        ("test_claim", [PARAMETERS("b", [3], ids=["three"])]),
        ("test_control", [PARAMETERS("b", [3])]),
        ("test_control", [PARAMETERS("b", [3, 5], ids=["three"])]),
        ("test_control", [PARAMETERS("b", [3], ids=str)]),
        ("test_control", [PARAMETERS("b", [pytest.param(3)], ids=["three"])]),
        ("test_control", [PARAMETERS(argnames="b", argvalues=[3], ids=["three"])]),
        ("test_control", [PARAMETERS(x, [3], ids=["three"]) for x in "ab"]),
    ],
)
def test_other_parameters_are_refused(name, marks):
    with pytest.raises(UnsoundTestError, match=f"^{name} is parametrized: only controls may be, by one mark"):
        questions(module(**{name: marked(*marks)}))


def test_parameters_without_a_value_each_are_refused():
    test = marked(PARAMETERS("a, b", [(1, 2, 3)], ids=["odd"]))
    with pytest.raises(UnsoundTestError, match=r"^test_control\[odd\] gives 3 values for a, b\.$"):
        questions(module(test_control=test))


# -- unsound tests -------------------------------------------------------------------------------------------------


def twice(judge):
    predicate = judge(check)
    predicate.supports()
    predicate.refutes()


def raises(judge):
    judge(check, b=1 // 0)


@pytest.mark.parametrize(
    ("test", "sentence"),
    [
        (lambda judge: None, "judged nothing: call judge(check) and then .supports() or .refutes()."),
        (lambda judge: judge(check), "asserts nothing: end judge(...) with .supports() or .refutes()."),
        (twice, "judges more than once; write a second test for a second verdict."),
        (lambda judge: (judge(check), judge(check).supports()), "judges more than once; write a second test"),
        (raises, "raised ZeroDivisionError before anything was judged: integer division or modulo by zero"),
        (lambda judge: pytest.skip("not now"), "raised Skipped before anything was judged: not now"),
        (lambda judge, tmp_path: None, "raised TypeError before anything was judged: "),
        (lambda judge: judge(check, given=NUMBERS).supports(), "has given=, which properties have; mark the test @"),
        (lambda judge: judge(check, example=3).supports(), "has example=, which properties have; mark the test @"),
    ],
)
def test_a_test_that_asks_nothing_says_why(test, sentence):
    with pytest.raises(UnsoundTestError) as raised:
        ask(test)
    assert str(raised.value).startswith(f"test_claim{':' * sentence.startswith('a ')} {sentence}")


def test_a_control_is_refuted_and_a_property_has_worlds():
    with pytest.raises(UnsoundTestError, match=r"^test_control: a control must be refuted: end it with \.refutes\(\)"):
        ask(lambda judge: judge(check).supports(), name="test_control")
    with pytest.raises(UnsoundTestError, match=r"^test_claim: a property needs worlds: judge\(check, given="):
        ask(lambda judge: judge(check).supports(), claim=replace(CLAIM, evidence=Property()))


def test_a_property_that_is_refuted_names_a_world_that_refutes_it():
    """Whether one is drawn is luck: four epochs of thirty-three once drew none for a control of C4."""
    sentence = "names no world that refutes it, and would hang on what is drawn: judge(check, given=..., example="
    for name in ("test_control", "test_deck_wording"):
        with pytest.raises(UnsoundTestError) as raised:
            ask(
                lambda judge: judge(check, given=NUMBERS).refutes(),
                name=name,
                claim=replace(CLAIM, evidence=Property()),
            )
        assert str(raised.value).startswith(f"{name} {sentence}")


def test_an_interrupt_is_no_unsound_test():
    def interrupted(judge):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask(interrupted)


# -- whether the check takes its world -----------------------------------------------------------------------------


def one_world(world, *, b=2):
    return Certificate(True)


def no_world(*, b=2):
    return Certificate(True)


@pytest.mark.parametrize(
    ("plan", "taken", "world"),
    [
        (Exact(), check, {"a": 1}),
        (Exact(), partial(check, 1), {"b": 3}),
        (Exact(), lambda **sizes: Certificate(True), {"anything": 1}),
        (Exact(), max, {}),  # a builtin without a signature is not asked
        (Property(), one_world, {"b": 3}),
        (Statistical(), one_world, {"b": 3}),
    ],
)
def test_a_check_that_takes_its_world_is_sound(plan, taken, world):
    given = NUMBERS if isinstance(plan, Property) else None
    question = ask(lambda judge: judge(taken, given=given, **world).supports(), claim=replace(CLAIM, evidence=plan))
    assert (question.check, question.world) == (taken, world)


@pytest.mark.parametrize(
    ("plan", "asked", "world", "why"),
    [
        (Exact(), check, {"c": 1}, "check does not take what judge(...) gives it: got an unexpected keyword argument"),
        (Exact(), one_world, {}, "one_world does not take what judge(...) gives it: missing a required argument: 'wo"),
        (Exact(), partial(one_world, b=1), {}, "the check does not take what judge(...) gives it: missing a required"),
        (Property(), no_world, {}, "no_world does not take what judge(...) gives it: too many positional arguments."),
        (Statistical(), no_world, {}, "no_world does not take what judge(...) gives it: too many positional"),
        (Statistical(), one_world, {"world": 1}, "one_world does not take what judge(...) gives it: multiple values"),
    ],
)
def test_a_check_that_does_not_take_its_world_is_told(plan, asked, world, why):
    given = NUMBERS if isinstance(plan, Property) else None
    with pytest.raises(UnsoundTestError) as raised:
        ask(lambda judge: judge(asked, given=given, **world).supports(), claim=replace(CLAIM, evidence=plan))
    assert str(raised.value).startswith(f"test_claim: {why}")
