"""One launch: a fresh process with both revisions, and every case they share timed in turn, quad by quad.

How a quad is timed is in `bench.worker`, the program of that process.
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
from collections.abc import Container, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bench import environment
from bench.environment import Meter, UnfitError

LAUNCH_SECONDS = 11.5
"""What a launch takes by default, its start-up included: ten of them, the first look, are two minutes."""
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
    """The process that times both revisions. Raises `UnfitError` where it does not answer."""

    def __init__(self, base: Revision, head: Revision) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(_WORKER), str(environment.core()), str(base.path), str(head.path)],
            text=True, bufsize=1, cwd=head.path, env=os.environ | environment.THREADS,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.names = {str(base.path): base.name, str(head.path): head.name}

    def ask(self, **command: Any) -> dict[str, Any]:
        assert self.process.stdin
        assert self.process.stdout
        try:
            self.process.stdin.write(json.dumps(command) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise UnfitError(self._why())
        return json.loads(line)

    def _why(self) -> str:
        """What the process said before it ended, and in whose file."""
        assert self.process.stderr
        said = self.process.stderr.read().strip()
        reason = said.splitlines()[-1] if said else f"the process ended with status {self.process.wait()}"
        guilty = [name for path, name in self.names.items() if f'"{path}/' in said] or list(self.names.values())
        return f"{guilty[-1]} cannot be timed: {reason}."

    def close(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe:
                pipe.close()
        self.process.terminate()
        self.process.wait()


def verify(base: Revision, head: Revision, *, only: str = "") -> dict[str, str]:
    """Compare every case with its reference in either revision; a word for each case that is not to be timed."""
    left_out = {}
    with _worker(base, head, only=only) as (worker, before, after):
        for name in dict.fromkeys([*before, *after]):
            if name not in before:
                left_out[name] = "NEW: only head has it"
            elif name not in after:
                left_out[name] = "MISSING: only base has it"
            elif before[name] != after[name]:
                left_out[name] = "CHANGED: the case itself differs, so its times say nothing about the library"
            elif error := worker.ask(do="check", case=name).get("error"):
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
    slower: Mapping[str, float] = MappingProxyType({}),
) -> Launch:
    """Time the cases that both have and whose name holds `only` for `seconds` in all, in an order that `seed` draws.

    `slower` injects slowdowns, for measuring the sensitivity: head takes that share more time in a case.
    """
    found, draw = Launch(), random.Random(seed)
    before, speed, started = Meter.read(), environment.spin(), time.monotonic()
    with _worker(base, head, only=only) as (worker, cases, of_head):
        names = [name for name in cases if name in of_head and name not in leave_out]
        draw.shuffle(names)
        quad, making = {}, {}
        for name in names:
            answer = worker.ask(do="prepare", case=name)
            if "error" in answer:
                found.failed[name] = answer["error"]
            else:
                quad[name], making[name] = answer["quad"], answer["making"]
                found.digests[name] = of_head[name]
        ends = started + seconds
        for name in list(quad):
            # All cases have about as many quads.
            quads = max(ends - time.monotonic() - sum(making.values()), 0.0) / sum(quad.values())
            share = making.pop(name) + quads * quad.pop(name)
            answer = worker.ask(do="time", case=name, seconds=share, seed=draw.random(), slower=slower.get(name, 0.0))
            if "error" in answer:
                found.failed[name] = answer["error"]
            else:
                found.quads[name] = [Quad((b, c), (h, i), *rest) for b, c, h, i, *rest in answer["quads"]]
    after = Meter.read()
    found.stolen, found.load = after.stolen_since(before), after.load
    found.seconds, found.speed = time.monotonic() - started, environment.spin() / speed
    return found


@contextlib.contextmanager
def _worker(base: Revision, head: Revision, *, only: str) -> Generator[tuple[Worker, dict[str, str], dict[str, str]]]:
    """The process, and the cases of base and of head by name with their digests."""
    with contextlib.closing(Worker(base, head)) as worker:
        listed = worker.ask(do="list")
        before, after = (
            {name: digest for name, digest in listed[side].items() if only in name} for side in ("base", "head")
        )
        yield worker, before, after
