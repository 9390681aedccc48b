"""One launch: a fresh process for either revision, and every case they share timed in turn, quad by quad.

Both processes are pinned to the same core. A *quad* is two blocks of base and two of head, ABBA or BAAB as a coin
falls, so that a linear drift of the machine cancels in its ratio.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import subprocess
import sys
import time
from collections.abc import Container, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bench import environment
from bench.environment import Meter, UnfitError

LAUNCH_SECONDS = 22.5
"""What a launch takes by default, its start-up included: five of them, the first look, are two minutes."""
BLOCK_SECONDS = 0.012
_FEWEST_QUADS = 3
_WORKER = Path(__file__).with_name("worker.py")


@dataclass(frozen=True)
class Revision:
    """A checkout to time: what it is called, its commit, and where it lies."""

    name: str
    commit: str
    path: Path


@dataclass(frozen=True)
class Quad:
    """Seconds a call of base's two blocks and of head's, and the machine meanwhile.

    `stolen`: seconds the host took from its processors. `running`: processes that wanted a core.
    """

    base: tuple[float, float]
    head: tuple[float, float]
    stolen: float
    running: int

    @property
    def log_ratio(self) -> float:
        """Head over base."""
        return sum(map(math.log, self.head)) / 2 - sum(map(math.log, self.base)) / 2


@dataclass
class Launch:
    """What one launch measured: the quads of each case and its digest, what failed, and the machine meanwhile."""

    quads: dict[str, list[Quad]] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    stolen: float = 0.0
    load: float = 0.0
    speed: float = 1.0


class Worker:
    """A process that times a revision's cases. Raises `UnfitError` where it does not answer."""

    def __init__(self, revision: Revision) -> None:
        self.revision = revision
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(_WORKER), str(environment.core())], cwd=revision.path, text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=os.environ | environment.THREADS | {"PYTHONPATH": str(revision.path)},
        )  # fmt: skip

    def tell(self, **command: Any) -> None:
        assert self.process.stdin
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(command) + "\n")
            self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            assert self.process.stderr
            said = self.process.stderr.read().strip().splitlines()
            reason = said[-1] if said else f"it ended with status {self.process.wait()}"
            raise UnfitError(f"{self.revision.name} cannot be timed: {reason}.")
        return json.loads(line)

    def ask(self, **command: Any) -> dict[str, Any]:
        self.tell(**command)
        return self.answer()

    def close(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe:
                pipe.close()
        self.process.terminate()
        self.process.wait()


def verify(base: Revision, head: Revision, *, only: str = "") -> dict[str, str]:
    """Compare every case with its reference in either revision; a word for each case that is not to be timed."""
    with _workers(base, head, only=only) as (workers, (before, after)):
        left_out = {}
        for name in dict.fromkeys([*before, *after]):
            if name not in before:
                left_out[name] = "NEW: only head has it"
            elif name not in after:
                left_out[name] = "MISSING: only base has it"
            elif before[name] != after[name]:
                left_out[name] = "CHANGED: the case itself differs, so its times say nothing about the library"
            elif error := _error(workers, do="check", case=name):
                left_out[name] = f"FAILED: {error}"
    return left_out


def launch(
    base: Revision,
    head: Revision,
    *,
    seed: int,
    seconds: float,
    only: str = "",
    leave_out: Container[str] = (),
    factors: Mapping[str, float] = MappingProxyType({}),
) -> Launch:
    """Time the cases that both have and whose name holds `only` for `seconds` in all, in an order that `seed` draws.

    `factors` injects slowdowns, for measuring the sensitivity: head's blocks of a case run so many times the calls that
    are recorded.
    """
    found, draw = Launch(), random.Random(seed)
    before, speed, started = Meter.read(), environment.spin(), time.monotonic()
    with _workers(base, head, only=only) as (workers, (cases, of_head)):
        names = [name for name in cases if name in of_head and name not in leave_out]
        draw.shuffle(names)
        calls = {}
        for name in names:
            answers = [worker.ask(do="prepare", case=name) for worker in workers]
            if errors := [answer["error"] for answer in answers if "error" in answer]:
                found.failed[name] = errors[0]
            else:
                calls[name] = max(1, round(BLOCK_SECONDS / answers[0]["seconds"]))
        ends = started + seconds
        for place, name in enumerate(calls):
            share = max(ends - time.monotonic(), 0.0) / (len(calls) - place)
            factor = factors.get(name, 1.0)
            found.quads[name] = list(_quads(workers, name, calls[name], draw, seconds=share, factor=factor))
        found.digests = {name: of_head[name] for name in calls}
    after = Meter.read()
    found.stolen, found.load = after.stolen_since(before), after.load
    found.seconds, found.speed = time.monotonic() - started, environment.spin() / speed
    return found


@contextlib.contextmanager
def _workers(base: Revision, head: Revision, *, only: str) -> Generator[tuple[list[Worker], list[dict[str, str]]]]:
    """Both processes, started together, and the cases of each by name with their digests."""
    with contextlib.ExitStack() as stack:
        workers = [Worker(base), Worker(head)]
        for worker in workers:
            stack.callback(worker.close)
            worker.tell(do="list")
        listed = [worker.answer()["cases"] for worker in workers]
        yield workers, [{name: digest for name, digest in cases.items() if only in name} for cases in listed]


def _error(workers: Sequence[Worker], **command: Any) -> str:
    """What the first of the workers that fails at a command says; empty when none does."""
    for worker in workers:
        worker.tell(**command)
    answers = [worker.answer() for worker in workers]
    return next((answer["error"] for answer in answers if "error" in answer), "")


def _quads(
    workers: Sequence[Worker], name: str, calls: int, draw: random.Random, *, seconds: float, factor: float
) -> Iterator[Quad]:
    """Quads for so many seconds; an odd number, so that their median is one of them."""
    ends, done = time.monotonic() + seconds, 0
    while done < _FEWEST_QUADS or done % 2 == 0 or time.monotonic() < ends:
        before = Meter.read()
        first = draw.randrange(2)
        blocks: tuple[list[float], list[float]] = ([], [])
        for which in (first, 1 - first, 1 - first, first):
            really = round(calls * factor) if which else calls
            # What an injected slowdown asks for and whole calls cannot give is made up in the time.
            missing = calls * factor / really if which else 1.0
            seconds_taken = workers[which].ask(do="time", case=name, calls=really)["seconds"]
            blocks[which].append(seconds_taken * missing / calls)
        after = Meter.read()
        taken = max(0.0, after.stolen - before.stolen)
        yield Quad((blocks[0][0], blocks[0][1]), (blocks[1][0], blocks[1][1]), taken, after.running)
        done += 1
