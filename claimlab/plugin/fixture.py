"""The `judge` fixture: gathers a test's evidence, compares it with what the test asks for, and makes the record."""

import platform
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from claimlab import __version__
from claimlab.declare import modules as discover
from claimlab.declare.claim import Claim, Evidence, Exact, Property, Statistical
from claimlab.judge import evidence
from claimlab.judge import sequential as judge
from claimlab.plugin import terminal
from claimlab.records import record as records

if TYPE_CHECKING:
    from claimlab.seeds import Seeds

__tracebackhide__ = True  # a test that fails in here is told where its own code stood

# What a run does without options; a command that repeats a test names only what differs.
USUAL = {"epoch": "pinned", "dtype": "float32", "device": "cpu"}


@dataclass(frozen=True)
class Run:
    """What the options of one pytest run say."""

    epoch: str
    devices: tuple[str, ...]
    dtype: str
    report: Path
    certify: int | None
    claim_seed: int | None


class Judge:
    """The fixture of a claim's test: `judge(check, **world)` gathers evidence, `.supports()` or `.refutes()` asserts.

    `check` is a trial, an exact check or, with `given=` a Hypothesis strategy, a property (see `claimlab.claim`).
    One test judges once.
    """

    def __init__(self, item: pytest.Function, claim: Claim, run: Run, device: str) -> None:
        self.item, self.claim, self.run, self.device = item, claim, run, device
        self.plan: Evidence = discover.evidence_of(item.function, claim)
        self.outcome: evidence.Outcome | None = None
        self.is_control = item.originalname.startswith("test_control")
        self.asks = ""
        self.message = ""
        self.record: str | None = None
        self.passed: bool | None = None
        self.shown: str | None = None

    def __call__(self, check: Callable[..., Any], /, *, given: Any = None, **world: Any) -> "Judge":
        if self.outcome is not None:
            pytest.fail("A test judges once; write a second test for a second verdict.", pytrace=False)
        try:
            self.outcome = self._gather(check, given, world)
        except evidence.BadCheckError as error:
            self.outcome = error.so_far
            self.failed(str(error))
        if self.message:  # out of the `except`, so that pytest shows the sentence alone
            pytest.fail(f"{self.claim.id}: {self.message}", pytrace=False)
        return self

    def supports(self) -> None:
        """Assert that the evidence supports the predicate."""
        self._assert("supports", wanted=judge.SUPPORTED)

    def refutes(self) -> None:
        """Assert that the evidence refutes the predicate: what a control does, and a claim the deck words wrongly."""
        self._assert("refutes", wanted=judge.REFUTED)

    def failed(self, reason: str) -> None:
        """Keep a record of a test that failed without evidence of its own: judged nothing, ran out of time, ..."""
        self.outcome = self.outcome or evidence.Outcome(verdict=records.ERROR)
        self.message = reason
        self._keep(verdict=records.ERROR, passed=False)

    def _gather(self, check: Callable[..., Any], given: Any, world: dict[str, Any]) -> evidence.Outcome:
        match self.plan:
            case Property() as plan:
                if given is None:
                    raise evidence.BadCheckError("A property needs worlds: judge(check, given=a Hypothesis strategy).")
                key = f"{self.claim.id} {self.claim.version} {self.run.epoch} {self.item.originalname}"
                # A control is there to be refuted, and any world does that; elsewhere the smallest one is news.
                return evidence.explore(check, plan, given, world, key=key, shrink=not self.is_control)
            case Statistical() as plan:
                fixed, only = self.run.certify, self.run.claim_seed
                return evidence.sample(check, plan, self._block, world, fixed=fixed, only=only)
            case _:
                return evidence.prove(check, world)

    def _block(self, indices: range) -> "Seeds":
        import torch

        from claimlab.seeds import Seeds

        return Seeds(
            claim=self.claim.id,
            version=self.claim.version,
            epoch=self.run.epoch,
            indices=tuple(indices),
            device=torch.device(self.device),
            dtype=getattr(torch, self.run.dtype),
        )

    def _assert(self, asks: str, *, wanted: str) -> None:
        if self.outcome is None:
            pytest.fail("The test judged nothing: call judge(check) before it asserts.", pytrace=False)
        if self.asks:
            pytest.fail("A test asserts once; write a second test for a second verdict.", pytrace=False)
        self.asks = asks
        if asks == "supports" and self.is_control:
            pytest.fail("A control must be refuted: end it with .refutes().", pytrace=False)
        verdict = self.outcome.verdict
        if self.run.certify and isinstance(self.plan, Statistical):
            assert self.outcome.wins is not None
            assert self.outcome.n is not None
            certified = judge.certifies(self.outcome.wins, self.outcome.n, self.plan, asks=asks)
            verdict = wanted if certified else judge.UNRESOLVED
        record = self._keep(verdict=verdict, passed=verdict == wanted)
        if self.run.claim_seed is not None:
            row = "  ".join(f"{name}={terminal.short(column[0])}" for name, column in record.rows.items())
            self.shown = f"{self.claim.id}  {self.item.name}  seed {record.seeds[0]}:  {row}"
        if verdict != wanted:
            pytest.fail(terminal.failure(record, wanted=wanted, one_seed=self._one_seed(record)), pytrace=False)

    def _keep(self, *, verdict: str, passed: bool) -> records.Record:
        assert self.outcome is not None
        record = make_record(self, self.outcome, verdict=verdict, passed=passed)
        self.passed = passed
        if self.run.claim_seed is None:
            self.record = records.encode(record)
        return record

    def command(self) -> str:
        """The command that repeats this test as it ran, from the project's folder."""
        if self.run.certify:
            return self._command(certify=str(self.run.certify))
        return self._command(epoch=self.run.epoch)

    def _one_seed(self, record: records.Record) -> str | None:
        lost = next(records.lost(record), None)
        if lost is None or self.run.claim_seed is not None:
            return None
        return self._command(epoch=self.run.epoch, claim_seed=str(lost))

    def _command(self, **options: str) -> str:
        root = self.item.config.rootpath
        launcher = Path(sys.executable).with_name("pytest")
        words = [
            launcher.relative_to(root).as_posix() if launcher.is_relative_to(root) else "pytest",
            f"{self.item.path.relative_to(root).as_posix()}::{self.item.originalname}",
        ]
        if isinstance(self.plan, Statistical):
            options |= {"dtype": self.run.dtype, "device": self.device}
        for option, value in options.items():
            if USUAL.get(option) != value:
                words += [f"--{option.replace('_', '-')}", value]
        return shlex.join(words)


def make_record(judge: Judge, outcome: evidence.Outcome, *, verdict: str, passed: bool) -> records.Record:
    """The record of a judged test."""
    item = judge.item
    return records.Record(
        **_in_its_own_words(judge.claim, item),
        **_where(item),
        test=item.originalname,
        about=(item.function.__doc__ or "").strip(),
        asks=judge.asks,
        kind=judge.plan.kind,
        verdict=verdict,
        passed=passed,
        message=judge.message,
        seconds=outcome.seconds,
        wins=outcome.wins,
        n=outcome.n,
        path=list(outcome.path),
        plan=asdict(judge.plan) if not isinstance(judge.plan, Exact) else {},
        seeds=list(outcome.seeds),
        rows=outcome.rows,
        numbers=outcome.numbers,
        examples=outcome.examples,
        counterexample=outcome.counterexample,
        epoch=judge.run.epoch,
        device=judge.device if isinstance(judge.plan, Statistical) else "cpu",
        dtype=judge.run.dtype if isinstance(judge.plan, Statistical) else "exact",
        command=judge.command(),
    )


def make_declaration(claim: Claim, item: pytest.Item, run: Run) -> records.Record:
    """The record of a claim that cannot be tested."""
    return records.Record(
        **_in_its_own_words(claim, item),
        **_where(item),
        test=item.name,
        about="",
        asks="",
        kind="none",
        verdict=records.DECLARED,
        passed=True,
        epoch=run.epoch,
        device="cpu",
        dtype="exact",
        command=f"pytest {item.path.relative_to(item.config.rootpath).as_posix()}",
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
        "digest": discover.digest(item.path),
    }


def _where(item: pytest.Item) -> dict[str, Any]:
    return {
        "commit": _commit(item.config.rootpath),
        "threads": _threads(),
        "torch": metadata.version("torch"),
        "claimlab": __version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
    }


@cache
def _commit(root: Path) -> str:
    """The project's commit, marked when its files differ from it; the reports, which a run writes, are none of them."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!reports")
        return git("rev-parse", "--short=10", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def _threads() -> int:
    """How many threads torch computes in; a check that never loaded it computes in one."""
    torch = sys.modules.get("torch")
    return torch.get_num_threads() if torch else 1
