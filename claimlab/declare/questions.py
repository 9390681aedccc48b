"""What the claims ask: every test as data, before it is a test.

A test of a claim is one line, `judge(check, **world).supports()` or `.refutes()`. `questions` calls each test of a
module with a judge that only listens and returns what it heard. Whoever wants to know what a suite asks (collection,
the false-alarm budget, certificates, benchmarks, records) takes it from here, and nobody reads source.
"""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any, Literal

from claimlab.declare.claim import KINDS, Claim, Evidence, Property
from claimlab.declare.modules import traceback_of

Asks = Literal["supports", "refutes"]


@dataclass(frozen=True)
class Asked:
    """What one line of a test says: `judge(check, given=given, example=example, **world)`, and the direction."""

    check: Callable[..., Any]
    world: dict[str, Any]
    given: Any
    example: Any
    asks: Asks


@dataclass(frozen=True)
class Question:
    """What a test asks of its claim.

    `test` is its name, with the id of its parameters in brackets, and `about` its docstring. `check` is asked in the
    `world` (its keywords), for a property under worlds from `given`, a Hypothesis strategy, and before them under
    `example`, where there is one; `plan` says with what evidence and `asks` in which direction. `function` and
    `arguments` are the test itself and its parameters.
    """

    claim: Claim
    test: str
    about: str
    check: Callable[..., Any]
    world: dict[str, Any]
    given: Any
    plan: Evidence
    asks: Asks
    function: Callable[..., Any]
    arguments: dict[str, Any] = field(default_factory=dict)
    example: Any = None

    @property
    def control(self) -> bool:
        """Whether the test is a control of the claim."""
        return is_control(self.test)


class Predicate:
    """A check in its world, about to be judged: end it with `.supports()` or `.refutes()`."""

    def __init__(self, hear: Callable[[Asked], None], asked: Asked):
        self._hear, self._asked = hear, asked

    def supports(self) -> None:
        """Assert that the evidence supports the predicate."""
        self._hear(replace(self._asked, asks="supports"))

    def refutes(self) -> None:
        """Assert that the evidence refutes the predicate: what a control does, and a claim the deck words wrongly."""
        self._hear(replace(self._asked, asks="refutes"))


class Judge:
    """What a test of a claim is given: `judge(check, **world)` is a predicate, and `hear` is told what is asked of it.

    `check` is a trial, an exact check or, with `given=` a Hypothesis strategy, a property. A property that is to be
    refuted has besides, as `example=`, a world that refutes it, so that it does not hang on what is drawn.
    """

    def __init__(self, hear: Callable[[Asked], None]) -> None:
        self._hear = hear
        self.posed = 0

    def __call__(
        self, check: Callable[..., Any], /, *, given: Any = None, example: Any = None, **world: Any
    ) -> Predicate:
        self.posed += 1
        return Predicate(self._hear, Asked(check, world, given, example, "supports"))


class UnsoundTestError(Exception):
    """Why a test asks nothing that can be judged, in one sentence that begins with its name."""


def tests_of(module: ModuleType) -> dict[str, Callable[..., Any]]:
    """The test functions of a module, by name, in their order."""
    return {name: test for name, test in vars(module).items() if name.startswith("test_") and inspect.isfunction(test)}


def is_control(test: str) -> bool:
    """Whether a test of this name is a control."""
    return test.startswith("test_control")


def evidence_of(test: Callable[..., Any], claim: Claim) -> Evidence:
    """The evidence a test gathers: the claim's own, or what a mark like `@pytest.mark.property(examples=40)` says."""
    assert claim.evidence is not None, "a claim with tests declares its evidence"
    for mark in getattr(test, "pytestmark", ()):
        if mark.name == claim.evidence.kind:
            return replace(claim.evidence, **mark.kwargs)
        if mark.name in KINDS:
            return KINDS[mark.name](**mark.kwargs)
    return claim.evidence


def questions(module: ModuleType) -> list[Question]:
    """What the tests of a claim module ask, in their order. Raises `UnsoundTestError` where one asks nothing."""
    return [question for name, test in tests_of(module).items() for question in asked_by(name, test, module.CLAIM)]


def asked_by(name: str, test: Callable[..., Any], claim: Claim) -> list[Question]:
    """The questions of one test: as many as it has sets of parameters. Raises `UnsoundTestError`."""
    return [
        _listen(f"{name}[{id}]" if id else name, test, claim, arguments) for id, arguments in parameter_sets(name, test)
    ]


def parameter_sets(name: str, test: Callable[..., Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The sets of parameters of a test with their ids: one empty set without `@pytest.mark.parametrize`."""
    marks = [mark for mark in getattr(test, "pytestmark", ()) if mark.name == "parametrize"]
    if not marks:
        yield "", {}
        return
    mark, *more = marks
    ids = mark.kwargs.get("ids")
    sound = not more and is_control(name) and len(mark.args) == 2 and isinstance(ids, list | tuple)
    if not sound or len(ids) != len(mark.args[1]) or any(hasattr(values, "marks") for values in mark.args[1]):
        raise UnsoundTestError(
            f"{name} is parametrized: only controls may be, by one mark with a list of ids, so that each has a name."
        )
    one = isinstance(mark.args[0], str)
    names = [each.strip() for each in mark.args[0].split(",")] if one else list(mark.args[0])
    for id, values in zip(ids, mark.args[1], strict=True):
        values = (values,) if one and len(names) == 1 else values
        if len(values) != len(names):
            raise UnsoundTestError(f"{name}[{id}] gives {len(values)} values for {', '.join(names)}.")
        yield str(id), dict(zip(names, values, strict=True))


def _listen(name: str, test: Callable[..., Any], claim: Claim, arguments: dict[str, Any]) -> Question:
    heard: list[Asked] = []
    judge = Judge(heard.append)
    try:
        test(judge=judge, **arguments)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # pytest's own outcomes (skip, fail) among them: a test that skips judges nothing
        raise UnsoundTestError(
            f"{name} raised {type(error).__name__} before anything was judged: {error}\n{traceback_of(error)}".rstrip()
        ) from error
    asked = _the_one(name, judge.posed, heard)
    plan = evidence_of(test, claim)
    if is_control(name) and asked.asks == "supports":
        raise UnsoundTestError(f"{name}: a control must be refuted: end it with .refutes().")
    if isinstance(plan, Property) and asked.given is None:
        raise UnsoundTestError(f"{name}: a property needs worlds: judge(check, given=a Hypothesis strategy).")
    if not isinstance(plan, Property) and (asked.given is not None or asked.example is not None):
        word = "given" if asked.given is not None else "example"
        raise UnsoundTestError(f"{name} has {word}=, which properties have; mark the test @pytest.mark.property.")
    if isinstance(plan, Property) and asked.asks == "refutes" and asked.example is None:
        raise UnsoundTestError(
            f"{name} names no world that refutes it, and would hang on what is drawn: "
            "judge(check, given=..., example=such a world)."
        )
    _fits(name, asked, plan)
    return Question(
        claim, name, inspect.cleandoc(test.__doc__ or ""), asked.check, asked.world, asked.given, plan, asked.asks,
        test, arguments, asked.example,
    )  # fmt: skip


def _the_one(name: str, posed: int, heard: list[Asked]) -> Asked:
    if not posed:
        raise UnsoundTestError(f"{name} judged nothing: call judge(check) and then .supports() or .refutes().")
    if not heard:
        raise UnsoundTestError(f"{name} asserts nothing: end judge(...) with .supports() or .refutes().")
    if posed > 1 or len(heard) > 1:
        raise UnsoundTestError(f"{name} judges more than once; write a second test for a second verdict.")
    return heard[0]


def _fits(name: str, asked: Asked, plan: Evidence) -> None:
    """Raises `UnsoundTestError` where the check does not take its world."""
    given = () if plan.kind == "exact" else (None,)
    try:
        inspect.signature(asked.check).bind(*given, **asked.world)
    except TypeError as error:
        check = getattr(asked.check, "__name__", "the check")
        raise UnsoundTestError(f"{name}: {check} does not take what judge(...) gives it: {error}.") from error
    except ValueError:
        pass  # a builtin without a signature
