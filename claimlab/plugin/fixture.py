"""The `judge` fixture: answers a test's question, compares the answer with what the test asks for, keeps the record."""

import importlib
import inspect
import os
import shlex
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from claimlab.declare.claim import Claim, Exact, Property, Statistical
from claimlab.declare.digest import digest
from claimlab.declare.questions import Asked, Judge, Question
from claimlab.judge import sequential
from claimlab.judge.evidence import Outcome, UnansweredError, explore, prove, sample
from claimlab.judge.plain import described
from claimlab.judge.task import Fixed, One, Sequential, Stopping, Task, measure, precision, swapped_parts
from claimlab.plugin.collection import ASKED, EXCUSE, QUESTION, Declaration
from claimlab.plugin.options import PINNED, RUN, Run, certified_epoch
from claimlab.records.provenance import provenance, threads
from claimlab.records.record import DECLARED, ERROR, Record, encode, lost
from claimlab.report.failure import failure, short

__tracebackhide__ = True  # a test that fails in here is told where its own code stood

# What a run does without options; a command that repeats a test names only what differs.
_USUAL = {"epoch": PINNED, "dtype": "float32", "device": "cpu"}

SITTING = pytest.StashKey["Sitting"]()


@pytest.fixture(name="judge")
def judge_fixture(request: pytest.FixtureRequest) -> Judge:
    """Judges a claim's check: judge(trial, width=2).refutes()."""
    item = request.node
    question = item.stash.get(QUESTION, None)
    if question is None:
        pytest.fail("The judge fixture belongs to the modules of claims.", pytrace=False)
    run = request.config.stash[RUN]
    item.stash[SITTING] = sitting = Sitting(item, question, run, getattr(request, "param", run.devices[0]))
    return Judge(sitting.answer)


class Sitting:
    """One question before the judge: what comes of it, and the record that stays."""

    def __init__(self, item: pytest.Function, question: Question, run: Run, device: str) -> None:
        self.item, self.question, self.run, self.device = item, question, run, device
        self.epoch = certified_epoch(digest(item.path)) if run.certify else run.epoch
        self.outcome = Outcome(verdict=ERROR)
        self.threads = 1
        self.message = ""
        self.record: str | None = None
        self.shown: str | None = None

    def answer(self, asked: Asked) -> None:
        """Gather the evidence and assert that it says what the question asks for."""
        try:
            with _one_thread(load=isinstance(self.question.plan, Statistical)):
                self.threads = threads()
                self.outcome = self._gather()
        except UnansweredError as error:
            self.outcome = error.so_far or self.outcome
            self.failed(str(error))
        if self.message:  # out of the `except`, so that pytest shows the sentence alone
            pytest.fail(f"{self.question.claim.id}: {self.message}", pytrace=False)
        wanted = sequential.SUPPORTED if asked.asks == "supports" else sequential.REFUTED
        verdict = self.outcome.verdict
        if self.run.certify and isinstance(self.question.plan, Statistical):
            assert self.outcome.wins is not None
            assert self.outcome.n is not None
            plan = self.question.plan
            certified = sequential.certifies(self.outcome.wins, self.outcome.n, plan, asks=asked.asks)
            verdict = wanted if certified else sequential.UNRESOLVED
        record = self._keep(verdict=verdict, passed=verdict == wanted)
        if self.run.seed is not None:
            row = "  ".join(f"{name}={short(column[0])}" for name, column in record.rows.items())
            self.shown = f"{self.question.claim.id}  {self.item.name}  seed {record.seeds[0]}:  {row}"
        if verdict != wanted:
            predicate = inspect.getdoc(self.question.check) or ""
            pytest.fail(failure(record, one_seed=self._one_seed(record), predicate=predicate), pytrace=False)

    def failed(self, reason: str) -> None:
        """Keep a record of a test that ended without a verdict: its check raised, it ran out of time, ..."""
        self.message = reason
        self._keep(verdict=ERROR, passed=False)

    def _gather(self) -> Outcome:
        match self.question.plan:
            case Property() as plan:
                return explore(self.question, plan, epoch=self.epoch)
            case Statistical() as plan:
                return sample(self.question, self._task(plan), self._stopping(plan), measure)
            case _:
                return prove(self.question)

    def _task(self, plan: Statistical) -> Task:
        return Task(
            module=str(self.item.path),
            digest=digest(self.item.path),
            test=self.question.test,
            epoch=self.epoch,
            seeds=(),
            device=self.device,
            dtype=precision(plan, self.run.dtype),
        )

    def _stopping(self, plan: Statistical) -> Stopping:
        if self.run.certify is not None:
            return Fixed(self.run.certify)
        return Sequential(plan) if self.run.seed is None else One(self.run.seed, plan.block)

    def _keep(self, *, verdict: str, passed: bool) -> Record:
        record = self._make_record(verdict=verdict, passed=passed)
        if self.run.seed is None:
            self.record = encode(record)
        return record

    def _make_record(self, *, verdict: str, passed: bool) -> Record:
        question, outcome = self.question, self.outcome
        statistical = isinstance(question.plan, Statistical)
        return Record(
            **_in_its_own_words(question.claim, self.item),
            **provenance(self.run.root) | {"threads": self.threads},
            test=question.test,
            about=question.about,
            asks=question.asks,
            kind=question.plan.kind,
            of=self.item.stash[ASKED],
            world=described(question.world),
            verdict=verdict,
            passed=passed,
            excused=self.item.stash.get(EXCUSE, ""),
            message=self.message,
            seconds=outcome.seconds,
            wins=outcome.wins,
            n=outcome.n,
            path=list(outcome.path),
            plan={} if isinstance(question.plan, Exact) else asdict(question.plan),
            seeds=list(outcome.seeds),
            rows=outcome.rows,
            numbers=outcome.numbers,
            examples=outcome.examples,
            counterexample=outcome.counterexample,
            epoch=self.epoch,
            device=self.device if statistical else "cpu",
            dtype=precision(question.plan, self.run.dtype) if isinstance(question.plan, Statistical) else "exact",
            parts=swapped_parts(),
            command=self.command(),
        )

    def command(self) -> str:
        """The command that repeats this test as it ran, from the project's folder."""
        if self.run.certify:
            return self._command(certify=str(self.run.certify))
        return self._command(epoch=self.epoch)

    def _one_seed(self, record: Record) -> str | None:
        against = next(lost(record), None)
        if against is None or self.run.seed is not None:
            return None
        return self._command(epoch=self.epoch, seed=str(against))

    def _command(self, **options: str) -> str:
        launcher = Path(sys.executable).with_name("pytest")
        root = self.run.root
        words = [
            launcher.relative_to(root).as_posix() if launcher.is_relative_to(root) else "pytest",
            f"{self.item.path.relative_to(root).as_posix()}::{self.question.test}",
        ]
        if isinstance(self.question.plan, Statistical):
            options |= {"dtype": self.run.dtype, "device": self.device}
        for option, value in options.items():
            if _USUAL.get(option) != value:
                words += [f"--claims-{option}", value]
        return shlex.join(words)


@contextmanager
def _one_thread(*, load: bool) -> Generator[None]:
    """One thread for a claim, however many the tests beside it may use; unless somebody asked for a number."""
    torch = importlib.import_module("torch") if load else sys.modules.get("torch")
    if torch is None or "OMP_NUM_THREADS" in os.environ:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _declaration(item: Declaration) -> Record:
    """The record of a claim that cannot be tested."""
    run = item.config.stash[RUN]
    return Record(
        **_in_its_own_words(item.claim, item),
        **provenance(run.root),
        test=item.name,
        about="",
        asks="",
        kind="none",
        verdict=DECLARED,
        passed=True,
        epoch=run.epoch,
        device="cpu",
        dtype="exact",
        command=f"pytest {item.path.relative_to(run.root).as_posix()}",
    )


def _in_its_own_words(claim: Claim, item: pytest.Item) -> dict[str, Any]:
    return {
        "claim": claim.id,
        "covers": list(claim.covers),
        "slide": claim.slide,
        "version": claim.version,
        "finding": claim.finding,
        "says": claim.says,
        "statement": claim.statement,
        "reason": claim.reason,
        "scope": claim.scope,
        "source": claim.source,
        "module": item.path.relative_to(item.config.rootpath).as_posix(),
        "digest": digest(item.path),
    }


def _said_of(error: str) -> str:
    """What a record says of an error; of a time-out also what it counts as."""
    if "pytest-timeout" not in error:
        return error
    return f"{error} It counts as red: nothing was supported and nothing refuted."


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, Any, pytest.TestReport]:
    report = yield
    if call.when != "call":
        return report
    if sitting := item.stash.get(SITTING, None):
        if call.excinfo is not None and sitting.record is None and sitting.run.seed is None:
            sitting.failed(_said_of(call.excinfo.exconly()))
        # Attributes of a report travel from an xdist worker to the controller, where `Recorder` finds them.
        report.claimlab_record = sitting.record
        report.claimlab_shown = sitting.shown
    elif isinstance(item, Declaration):
        report.claimlab_record = encode(_declaration(item))
    return report
