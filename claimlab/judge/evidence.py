"""Gathering evidence: ask a question of any kind and say what came of it.

`prove`, `explore` and `sample` return an `Outcome`: a verdict and the numbers behind it. They assert nothing; whoever
asks compares the verdict with what the question wants.
"""

import hashlib
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any
from unittest import mock

from claimlab.declare.claim import Certificate, Property, Statistical
from claimlab.declare.modules import traceback_of
from claimlab.declare.questions import Question
from claimlab.judge import sequential
from claimlab.judge.plain import plain
from claimlab.judge.task import BadCheckError, Columns, Measure, One, Sequential, Stopping, Task

__tracebackhide__ = True  # a check that runs out of time is told where its own code stood


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a question came to: the fields of a record that depend on the evidence."""

    verdict: str
    seconds: float = 0.0
    wins: int | None = None
    n: int | None = None
    path: tuple[float, ...] = ()
    seeds: tuple[int, ...] = ()
    rows: Columns = field(default_factory=dict)
    numbers: dict[str, Any] = field(default_factory=dict)
    examples: int | None = None
    counterexample: str | None = None


class UnansweredError(Exception):
    """A question that could not be answered to its end: why, and what was measured until then."""

    def __init__(self, message: str, so_far: Outcome | None = None) -> None:
        super().__init__(message)
        self.so_far = so_far


def prove(question: Question) -> Outcome:
    """Exact evidence: one certificate, which holds or does not."""
    started = time.perf_counter()
    certificate = _certificate(question, ())
    verdict = sequential.SUPPORTED if certificate.holds else sequential.REFUTED
    return Outcome(verdict=verdict, seconds=time.perf_counter() - started, numbers=plain(certificate.numbers))


def explore(question: Question, plan: Property, *, epoch: str) -> Outcome:
    """Property evidence: the world that is named, then those that Hypothesis draws; the first that fails refutes.

    A drawn one is made as small as can be, for those who will read it. What is to be refuted must be refuted by the
    world that it names, whatever may be drawn: where a drawn one alone does it, this raises `UnansweredError`, which
    tells that one. The stream of worlds is named by claim, version, epoch and test, so that a run is repeatable and
    an epoch draws fresh ones.
    """
    import hypothesis
    from hypothesis import HealthCheck, Phase
    from hypothesis.errors import HypothesisException

    class RefutedError(Exception):
        pass

    started = time.perf_counter()
    examples = 0
    failing: tuple[Any, Certificate] | None = None

    def attempt(world: Any) -> None:
        nonlocal examples, failing
        examples += 1
        certificate = _certificate(question, (world,), where=f" on the world {world!r}")
        if not certificate.holds:
            failing = (world, certificate)
            raise RefutedError

    # The one profile of every property in the project: nothing in it differs between runs, machines or CI and desk.
    profile = hypothesis.settings(
        hypothesis.settings.get_profile("default"), max_examples=plan.examples, derandomize=True, database=None,
        deadline=None, print_blob=False, report_multiple_bugs=False, suppress_health_check=[HealthCheck.too_slow],
        # Explaining a counterexample is never asked for: it costs ten times what finding it does.
        phases=[Phase.generate, Phase.shrink],
    )  # fmt: skip
    key = f"{question.claim.id} {question.claim.version} {epoch} {question.test}"
    seed = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest())
    try:
        if question.example is not None:
            attempt(question.example)
        with _worlds_of_their_own():
            hypothesis.seed(seed)(profile(hypothesis.given(question.given)(attempt)))()
    except RefutedError:
        assert failing is not None
        world, certificate = failing
        if question.asks == "refutes" and world is not question.example:
            raise UnansweredError(f"The world that the test names does not refute it; {world!r} does.") from None
        return Outcome(
            verdict=sequential.REFUTED,
            seconds=time.perf_counter() - started,
            examples=examples,
            counterexample=repr(world),
            numbers=plain(certificate.numbers),
        )
    except HypothesisException as error:
        raise UnansweredError(f"Hypothesis could not explore the worlds: {error}") from error
    return Outcome(verdict=sequential.SUPPORTED, seconds=time.perf_counter() - started, examples=examples)


@contextmanager
def _worlds_of_their_own() -> Generator[None]:
    """Keep Hypothesis from mixing constants it finds in the source of loaded modules into its draws.

    Which modules are loaded depends on the worker and on the tests before, and the worlds must not.
    """
    from hypothesis.internal.conjecture import providers

    nothing = SimpleNamespace(set_for_type=lambda _: ())
    with (
        mock.patch.object(providers, "_get_local_constants", create=True, return_value=nothing),
        mock.patch.object(providers, "CONSTANTS_CACHE", {}, create=True),
    ):
        yield


def sample(question: Question, ask: Task, stopping: Stopping, measure: Measure) -> Outcome:
    """Statistical evidence: blocks of seeds, until `stopping` has enough. `ask` is the task of any block.

    Raises `UnansweredError`, with the blocks before, for a block that cannot be measured.
    """
    started = time.perf_counter()
    plan = question.plan
    assert isinstance(plan, Statistical)
    seeds: list[int] = []
    columns: Columns = {}
    while not seeds or not stopping.enough(columns["win"]):
        first = stopping.first + len(seeds)
        block = tuple(range(first, first + plan.block))
        try:
            rows = measure(replace(ask, seeds=block), question)
            if columns and set(rows) != set(columns):
                raise BadCheckError("The trial's rows changed their columns between two blocks of seeds.")
        except BadCheckError as error:
            raise UnansweredError(str(error), _judged(Sequential(plan), seeds, columns, plan)) from error
        seeds += block
        for name, column in rows.items():
            columns.setdefault(name, []).extend(column)
    return replace(_judged(stopping, seeds, columns, plan), seconds=time.perf_counter() - started)


def _judged(stopping: Stopping, seeds: list[int], columns: Columns, plan: Statistical) -> Outcome:
    """What the kept seeds come to. Only a sequential test has a verdict of its own; one seed wins or loses."""
    kept = stopping.kept()
    rows = {name: column[kept] for name, column in columns.items()}
    wins = rows.get("win", [])
    if isinstance(stopping, Sequential):
        judgement = sequential.decide(wins, plan)
        verdict = judgement.verdict or sequential.UNRESOLVED
        n, won, path = judgement.n, judgement.wins, judgement.path
    else:
        n, won, path, verdict = len(wins), sum(wins), (), sequential.UNRESOLVED
        if isinstance(stopping, One):
            verdict = sequential.SUPPORTED if wins[0] else sequential.REFUTED
    return Outcome(verdict=verdict, wins=won, n=n, path=path, seeds=tuple(seeds[kept]), rows=rows)


def _certificate(question: Question, arguments: tuple[Any, ...], *, where: str = "") -> Certificate:
    try:
        certificate = question.check(*arguments, **question.world)
    except Exception as error:
        if type(error).__module__.startswith("hypothesis"):
            raise  # Hypothesis steers by exceptions of its own (assume, stop).
        said = f"The check raised {type(error).__name__}{where}: {error}\n{traceback_of(error)}"
        raise UnansweredError(said) from error
    if not isinstance(certificate, Certificate):
        raise UnansweredError(f"The check must return a Certificate, not {type(certificate).__name__}.")
    return certificate
