"""Tasks: a block of seeds of a statistical question, as plain data that can be measured anywhere.

A question is answered block by block. Who measures a block (this process, a worker of pytest-xdist, a machine of a
cluster) is nobody else's business; when to stop is decided where the columns come back, in the order of the seeds, so
a verdict is the same wherever its seeds were trained.
"""

import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from claimlab.declare.claim import Rows, Statistical
from claimlab.declare.digest import digest
from claimlab.declare.modules import load, traceback_of
from claimlab.declare.questions import Question, questions
from claimlab.judge import sequential
from claimlab.judge.plain import finite, plain

if TYPE_CHECKING:
    from claimlab.seeds import Seeds

__tracebackhide__ = True  # a trial that runs out of time is told where its own code stood

Columns = dict[str, list[Any]]
"""The rows of a block as plain columns, a value a seed: `win`, then `premise` where there is one, then metrics."""


class BadCheckError(Exception):
    """A check that raised, or returned something that cannot be judged; the message says what and where."""


@dataclass(frozen=True)
class Task:
    """A block of seeds to measure. It can be pickled, and says by `digest` which code it means.

    `parts` are those that stand in the place of torch's own: the name of each, and the `module:object` to take instead.
    """

    module: str
    digest: str
    test: str
    epoch: str
    seeds: tuple[int, ...]
    device: str = "cpu"
    dtype: str = "float32"
    parts: tuple[tuple[str, str], ...] = ()


def measure(task: Task, question: Question | None = None) -> Columns:
    """Train a task's block and return its rows. `question` spares loading the module, for those who have it at hand.

    Raises `BadCheckError` where the trial raises or returns no rows, and where the module here is not the one meant.
    """
    question = question or _question(task)
    seeds = _block(task, question)
    try:
        with _swapped(task):
            rows = question.check(seeds, **question.world)
    except Exception as error:
        raise BadCheckError(_raised("The trial", error, _where(task))) from error
    return _columns(rows, question, task)


@contextmanager
def _swapped(task: Task) -> Generator[None]:
    """Have the task's parts in force; without any, those that are stay, and no torch is loaded."""
    if not task.parts:
        yield
        return
    from claimlab.parts import found, swapped

    with swapped(**{name: found(said) for name, said in task.parts}):
        yield


def swapped_parts() -> dict[str, str]:
    """The parts in force that are not torch's own; none where nobody has loaded any."""
    chosen = sys.modules.get("claimlab.parts.chosen")
    return chosen.in_force() if chosen else {}


def precision(plan: Statistical, run: str) -> str:
    """What a trial computes in: what its plan demands, or what the run asks for."""
    return plan.dtype or run


@cache
def _questions(module: Path, code: str) -> dict[str, Question]:
    return {question.test: question for question in questions(load(module))}


def _question(task: Task) -> Question:
    module = Path(task.module)
    if digest(module) != task.digest:
        raise BadCheckError(f"{module.name} is not the module that was asked about: its code differs here.")
    return _questions(module, task.digest)[task.test]


def _block(task: Task, question: Question) -> "Seeds":
    import torch

    from claimlab.seeds import Seeds

    return Seeds(
        claim=question.claim.id,
        version=question.claim.version,
        epoch=task.epoch,
        indices=task.seeds,
        device=torch.device(task.device),
        dtype=getattr(torch, task.dtype),
    )


def _columns(rows: object, question: Question, task: Task) -> Columns:
    """A block's rows, with `win` as it counts for what is asked: see `claimlab.Rows`."""
    if not isinstance(rows, Rows):
        raise BadCheckError(f"The trial must return Rows(win=..., ...), not {type(rows).__name__}.")
    premise = {} if rows.premise is None else {"premise": rows.premise}
    columns = {name: plain(column) for name, column in ({"win": rows.win} | premise | rows.metrics).items()}
    for name, column in columns.items():
        if not isinstance(column, list) or len(column) != len(task.seeds):
            size = len(column) if isinstance(column, list) else "no"
            raise BadCheckError(
                f"The trial returned {size} rows of {name!r} for {len(task.seeds)} seeds{_where(task)}; "
                "it must return one a seed."
            )
    for name in ("win", *premise):
        if not all(isinstance(entry, bool) for entry in columns[name]):
            raise BadCheckError(f"The trial's `{name}` must be boolean, one a seed.")
    sound = list(speaks(columns))
    against = question.asks == "refutes"
    columns["win"] = [win if speaks else against for win, speaks in zip(columns["win"], sound, strict=True)]
    return columns


def speaks(columns: Columns) -> Iterator[bool]:
    """Whether each row says anything: its premise holds, and all of its numbers are finite."""
    for row, premise in enumerate(columns.get("premise", [True] * len(columns["win"]))):
        yield premise and all(finite(column[row]) for column in columns.values())


def _where(task: Task) -> str:
    return f" on seeds {task.seeds[0]} to {task.seeds[-1]} of epoch {task.epoch!r}"


def _raised(what: str, error: Exception, where: str) -> str:
    """The error in one sentence, then where in the claim's code it came up."""
    return f"{what} raised {type(error).__name__}{where}: {error}\n{traceback_of(error)}"


# -- when to stop -------------------------------------------------------------------------------------------------


class Stopping(Protocol):
    """When enough seeds are measured, and what is kept of them."""

    @property
    def first(self) -> int:
        """The first seed of the first block."""
        ...

    def enough(self, wins: list[bool]) -> bool:
        """Whether these outcomes, in the order of the seeds from `first`, settle the question."""
        ...

    def kept(self) -> slice:
        """The places of the measured seeds that are reported."""
        ...


@dataclass(frozen=True)
class Sequential:
    """Until the sequential test decides; all measured seeds are reported."""

    plan: Statistical
    first = 0

    def enough(self, wins: list[bool]) -> bool:
        """Whether the test has crossed a boundary or used up its seeds."""
        return sequential.decide(wins, self.plan).verdict is not None

    def kept(self) -> slice:
        """All of them."""
        return slice(None)


@dataclass(frozen=True)
class Fixed:
    """Exactly `n` seeds, as a certificate has them."""

    n: int
    first = 0

    def enough(self, wins: list[bool]) -> bool:
        """Whether there are `n`."""
        return len(wins) >= self.n

    def kept(self) -> slice:
        """The first `n`: the rest of the last block had to be trained with them."""
        return slice(self.n)


@dataclass(frozen=True)
class One:
    """One seed, trained in the block that it belongs to, as it was in the run."""

    seed: int
    block: int

    @property
    def first(self) -> int:
        """The first seed of its block."""
        return self.seed - self.seed % self.block

    def enough(self, wins: list[bool]) -> bool:
        """After one block."""
        return bool(wins)

    def kept(self) -> slice:
        """The seed alone."""
        return slice(self.seed - self.first, self.seed - self.first + 1)


Measure = Callable[[Task, Question], Columns]
