"""Times two revisions' cases in one process: `python worker.py CORE BASE HEAD`, the last two being checkouts.

Calls of both alternate within milliseconds, so that both meet the same noise. Of a checkout it needs `bench.cases`
alone, so that older ones can be timed too. It pins itself to CORE, unless that is -1, reads one JSON object a line and
answers with one:

    {"do": "list"}                        -> {"base": {name: digest, ...}, "head": {...}}
    {"do": "check", "case": name}         -> {} once it agrees with its reference in both
    {"do": "prepare", "case": name}       -> {"quad": seconds of one, once it is warm, "making": seconds before all}
    {"do": "time", "case": name, "seconds": 0.5, "seed": 1, "slower": 0.0}
                                          -> {"quads": [[base, base, head, head, stolen, running], ...]}

Where a case's tensors come to lie in memory can change its time by a third. So they are made anew several times while
it is timed, head's before base's or after as a coin falls, and none of the places is used again.

A quad is two blocks of base and two of head, ABBA or BAAB as a coin falls, in seconds a call; `slower` lets head spend
that share more, idly. `stolen` are the seconds that the host took from its processors meanwhile, `running` the
processes that wanted one. A command that fails answers {"error": sentence}, and the worker goes on.
"""

from __future__ import annotations

import gc
import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import IO, Any

BLOCK_SECONDS = 0.0005
"""Short: a shared processor changes its speed within a tenth of a second, and only what changes more slowly cancels."""
REMAKINGS = 5
OWN = ("bench", "claimlab")

Step = Callable[[], object]


def main(commands: IO[str], answers: IO[str], base: Path, head: Path) -> None:
    """Answer until the commands end."""
    gc.disable()
    sides = Side(base), Side(head)
    for line in commands:
        try:
            answer = _answer(json.loads(line), sides)
        except Exception as error:  # one case's failure must not take the others with it
            answer = {"error": " ".join(f"{type(error).__name__}: {error}".split())[:300]}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


class Side:
    """A checkout's cases, in modules of its own."""

    def __init__(self, checkout: Path) -> None:
        _forget()
        sys.path.insert(0, str(checkout))
        try:
            import bench.cases as cases
        finally:
            sys.path.pop(0)
        cases.settle()
        self.cases = cases.tracked()
        self.modules = _forget()

    def do(self, work: Callable[[], Any]) -> Any:
        """Work in which an import finds this checkout's modules."""
        _forget()
        sys.modules.update(self.modules)
        return work()


def _forget() -> dict[str, ModuleType]:
    """Take the checkouts' modules out of the loaded ones."""
    return {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in OWN}


def _answer(command: dict[str, Any], sides: tuple[Side, Side]) -> Any:
    base, head = sides
    match command:
        case {"do": "list"}:
            return {
                "base": {name: case.digest for name, case in base.cases.items()},
                "head": {name: case.digest for name, case in head.cases.items()},
            }
        case {"do": "check", "case": name}:
            for side in sides:
                side.do(side.cases[name].check)
            return {}
        case {"do": "prepare", "case": name}:
            started = time.monotonic()
            each = max(_warm(side.do(side.cases[name].make)) for side in sides)
            making = min(time.monotonic() - started, 0.1)  # the first time more than later
            return {"quad": 4 * _calls(each) * each, "making": REMAKINGS * making}
        case {"do": "time", "case": name, "seconds": seconds, "seed": seed, "slower": slower}:
            draw, kept, quads = random.Random(seed), [], []
            for _ in range(REMAKINGS):
                ends = time.monotonic() + seconds / REMAKINGS
                order = draw.sample(sides, 2)
                made = {side: side.do(side.cases[name].make) for side in order}
                each = max(_warm(made[side]) for side in order)
                quads += _quads(made[base], made[head], _calls(each), draw, ends=ends, slower=slower)
                kept.append((made, bytearray(draw.randrange(1 << 16))))
            return {"quads": quads}
    raise ValueError(f"unknown command {command}")


def _warm(step: Step) -> float:
    """Seconds a call, the third time."""
    return [_time(step, 1) for _ in range(3)][-1]


def _calls(seconds: float) -> int:
    """The calls of a block."""
    return max(1, round(BLOCK_SECONDS / seconds))


def _quads(
    base: Step, head: Step, calls: int, draw: random.Random, *, ends: float, slower: float
) -> Iterator[list[float]]:
    """Quads until the clock says `ends`, one at least."""
    before, now = _stolen(), 0.0
    while not now or now < ends:
        first = draw.randrange(2)
        blocks: tuple[list[float], list[float]] = ([], [])
        for which in (first, 1 - first, 1 - first, first):
            taken = _time(head, calls, slower) if which else _time(base, calls)
            blocks[which].append(taken / calls)
        after, now = _stolen(), time.monotonic()
        yield [*blocks[0], *blocks[1], max(0.0, after - before), _running()]
        before = after


def _time(step: Step, calls: int, slower: float = 0.0) -> float:
    """Processor time, which leaves out what other programs took: a case has one thread and waits for nothing."""
    started = time.process_time()
    for _ in range(calls):
        step()
    if slower:
        ends = started + (1 + slower) * (time.process_time() - started)
        while time.process_time() < ends:
            pass
    return time.process_time() - started


def processor_seconds() -> list[float]:
    """What this machine's processors have done so far, in the order of /proc/stat; the eighth is what the host took."""
    per_second = os.sysconf("SC_CLK_TCK")
    return [int(ticks) / per_second for ticks in _first_words("/proc/stat")[1:9]]


def _stolen() -> float:
    return sum(processor_seconds()[7:])


def _running() -> int:
    """The processes that want a processor now, this one included."""
    words = _first_words("/proc/loadavg")
    return int(words[3].partition("/")[0]) if len(words) > 3 else 0


def _first_words(path: str) -> list[str]:
    try:
        with Path(path).open(encoding="ascii") as file:
            return file.readline().split()
    except OSError:
        return []


if __name__ == "__main__":
    core, base, head = sys.argv[1:]
    if int(core) >= 0:
        os.sched_setaffinity(0, {int(core)})
    main(sys.stdin, os.fdopen(os.dup(1), "w"), Path(base), Path(head))
