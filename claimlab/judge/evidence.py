"""Gathering evidence: run a check of each kind and say what came of it.

`prove`, `explore` and `sample` take a claim module's check and return an `Outcome`: a verdict and the numbers behind
it. They assert nothing; what a test asks for is compared with the verdict in `claimlab.judging`.
"""

import hashlib
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest import mock

from claimlab.declare import modules as discover
from claimlab.declare.claim import Certificate, Property, Rows, Statistical
from claimlab.judge import sequential as judge
from claimlab.records.record import NOT_FINITE, plain

if TYPE_CHECKING:
    from claimlab.seeds import Seeds

__tracebackhide__ = True  # a check that runs out of time is told where its own code stood


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a check came to: the fields of a record that depend on the evidence."""

    verdict: str
    seconds: float = 0.0
    wins: int | None = None
    n: int | None = None
    path: tuple[float, ...] = ()
    seeds: tuple[int, ...] = ()
    rows: dict[str, list[Any]] = field(default_factory=dict)
    numbers: dict[str, Any] = field(default_factory=dict)
    examples: int | None = None
    counterexample: str | None = None


class BadCheckError(Exception):
    """A check that raised, or returned something that cannot be judged; the message says what and where."""

    def __init__(self, message: str, so_far: Outcome | None = None) -> None:
        super().__init__(message)
        self.so_far = so_far


def prove(check: Callable[..., Certificate], world: dict[str, Any]) -> Outcome:
    """Exact evidence: one certificate, which holds or does not."""
    started = time.perf_counter()
    certificate = _certificate(check, (), world, where="")
    verdict = judge.SUPPORTED if certificate.holds else judge.REFUTED
    return Outcome(verdict=verdict, seconds=time.perf_counter() - started, numbers=plain(certificate.numbers))


def explore(
    check: Callable[..., Certificate], plan: Property, given: Any, world: dict[str, Any], *, key: str, shrink: bool
) -> Outcome:
    """Property evidence: Hypothesis draws worlds from `given`; the first that fails refutes.

    With `shrink` it is made as small as can be, for those who will read it; that costs far more than finding it. `key`
    names the stream of worlds (claim and epoch), so that a run is repeatable and an epoch draws fresh ones.
    """
    import hypothesis
    from hypothesis import HealthCheck, Phase
    from hypothesis.errors import HypothesisException

    class RefutedError(Exception):
        pass

    started = time.perf_counter()
    examples = 0
    failing: tuple[Any, Certificate] | None = None

    def attempt(drawn: Any) -> None:
        nonlocal examples, failing
        examples += 1
        certificate = _certificate(check, (drawn,), world, where=f" on the world {drawn!r}")
        if not certificate.holds:
            failing = (drawn, certificate)
            raise RefutedError

    # The one profile of every property in the project: nothing in it differs between runs, machines or CI and desk.
    profile = hypothesis.settings(
        hypothesis.settings.get_profile("default"), max_examples=plan.examples, derandomize=True, database=None,
        deadline=None, print_blob=False, report_multiple_bugs=False, suppress_health_check=[HealthCheck.too_slow],
        # Explaining a counterexample is never asked for: it costs ten times what finding it does.
        phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
    )  # fmt: skip
    seed = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest())
    try:
        with _worlds_of_their_own():
            hypothesis.seed(seed)(profile(hypothesis.given(given)(attempt)))()
    except RefutedError:
        assert failing is not None
        drawn, certificate = failing
        return Outcome(
            verdict=judge.REFUTED,
            seconds=time.perf_counter() - started,
            examples=examples,
            counterexample=repr(drawn),
            numbers=plain(certificate.numbers),
        )
    except HypothesisException as error:
        raise BadCheckError(f"Hypothesis could not explore the worlds: {error}") from error
    return Outcome(verdict=judge.SUPPORTED, seconds=time.perf_counter() - started, examples=examples)


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


def sample(
    trial: Callable[..., Rows],
    plan: Statistical,
    block: Callable[[range], "Seeds"],
    world: dict[str, Any],
    *,
    fixed: int | None = None,
    only: int | None = None,
) -> Outcome:
    """Statistical evidence: blocks of seeds, judged one by one until the sequential test decides.

    `fixed` runs exactly that many seeds and leaves the verdict to the certificate's bound; `only` runs the one block
    that holds the seed `only` and keeps its row alone (the whole block, so that it trains as it did in the run).
    """
    started = time.perf_counter()
    seeds: list[int] = []
    columns: dict[str, list[Any]] = {}
    judgement = judge.judge((), plan)
    first = 0 if only is None else only - only % plan.block
    while True:
        indices = range(first + len(seeds), first + len(seeds) + plan.block)
        rows = _rows(trial, block(indices), world, so_far=_outcome(judge.UNRESOLVED, judgement, seeds, columns))
        if columns and set(rows) != set(columns):
            so_far = _outcome(judge.UNRESOLVED, judgement, seeds, columns)
            raise BadCheckError("The trial's rows changed their columns between two blocks of seeds.", so_far)
        seeds += indices
        for name, column in rows.items():
            columns.setdefault(name, []).extend(column)
        if only is not None:
            place = only - first
            row = {name: [column[place]] for name, column in columns.items()}
            verdict = judge.SUPPORTED if row["win"][0] else judge.REFUTED
            outcome = Outcome(verdict=verdict, wins=int(row["win"][0]), n=1, seeds=(only,), rows=row)
            break
        if fixed is not None:
            if len(seeds) < fixed:
                continue
            wins = columns["win"][:fixed]
            outcome = Outcome(
                verdict=judge.UNRESOLVED, wins=sum(wins), n=fixed, seeds=tuple(seeds[:fixed]),
                rows={name: column[:fixed] for name, column in columns.items()},
            )  # fmt: skip
            break
        judgement = judge.judge(columns["win"], plan)
        if judgement.verdict:
            outcome = _outcome(judgement.verdict, judgement, seeds, columns)
            break
    return replace(outcome, seconds=time.perf_counter() - started)


def _outcome(verdict: str, judgement: judge.Judgement, seeds: list[int], columns: dict[str, list[Any]]) -> Outcome:
    return Outcome(
        verdict=verdict,
        wins=judgement.wins,
        n=judgement.n,
        path=judgement.path,
        seeds=tuple(seeds),
        rows=columns,
    )


def _certificate(
    check: Callable[..., Certificate], arguments: tuple[Any, ...], world: dict[str, Any], *, where: str
) -> Certificate:
    try:
        certificate = check(*arguments, **world)
    except Exception as error:
        if type(error).__module__.startswith("hypothesis"):
            raise  # Hypothesis steers by exceptions of its own (assume, stop).
        raise BadCheckError(_raised("The check", error, where)) from error
    if not isinstance(certificate, Certificate):
        raise BadCheckError(f"The check must return a Certificate, not {type(certificate).__name__}.")
    return certificate


def _rows(
    trial: Callable[..., Rows], seeds: "Seeds", world: dict[str, Any], *, so_far: Outcome
) -> dict[str, list[Any]]:
    """A block's rows as plain columns, `win` first. A row with a number that is not finite is a loss."""
    where = f" on seeds {seeds.indices[0]} to {seeds.indices[-1]} of epoch {seeds.epoch!r}"
    try:
        rows = trial(seeds, **world)
    except Exception as error:
        raise BadCheckError(_raised("The trial", error, where), so_far) from error
    if not isinstance(rows, Rows):
        raise BadCheckError(f"The trial must return Rows(win=..., ...), not {type(rows).__name__}.", so_far)
    columns = {"win": plain(rows.win)} | {name: plain(column) for name, column in rows.metrics.items()}
    for name, column in columns.items():
        if not isinstance(column, list) or len(column) != len(seeds):
            size = len(column) if isinstance(column, list) else "no"
            raise BadCheckError(
                f"The trial returned {size} rows of {name!r} for {len(seeds)} seeds{where}; it must return one a seed.",
                so_far,
            )
    if not all(isinstance(win, bool) for win in columns["win"]):
        raise BadCheckError("The trial's `win` must be boolean, one a seed.", so_far)
    metrics = [column for name, column in columns.items() if name != "win"]
    columns["win"] = [win and all(_finite(column[row]) for column in metrics) for row, win in enumerate(columns["win"])]
    return columns


def _finite(value: Any) -> bool:
    if isinstance(value, list):
        return all(_finite(entry) for entry in value)
    return value not in NOT_FINITE  # `plain` has turned them into words


def _raised(what: str, error: Exception, where: str) -> str:
    """The error in one sentence, then where in the claim's code it came up."""
    return f"{what} raised {type(error).__name__}{where}: {error}\n{discover.traceback_of(error)}"
