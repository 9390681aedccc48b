"""Times one revision's cases for a comparison: `python worker.py CORE`, with that revision's `bench` on the path.

Of the revision it needs `bench.cases` alone, so that older ones can be timed too. It pins itself to CORE, unless that
is -1, reads one JSON object a line and answers with one:

    {"do": "list"}                                     -> {"cases": {name: digest, ...}}
    {"do": "check", "case": name}                      -> {} once it agrees with its reference
    {"do": "prepare", "case": name}                    -> {"seconds": a call, once it is warm}
    {"do": "time", "case": name, "calls": 20}          -> {"seconds": all of them}

A case that raises answers {"error": sentence}, and the worker goes on.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import IO, Any

from bench.cases import Step, settle, tracked


def main(commands: IO[str], answers: IO[str], *, core: int) -> None:
    """Answer until the commands end."""
    settle()
    if core >= 0:
        os.sched_setaffinity(0, {core})
    cases, ready = tracked(), {}
    for line in commands:
        try:
            answer = _answer(json.loads(line), cases, ready)
        except Exception as error:  # one case's failure must not take the others with it
            answer = {"error": " ".join(f"{type(error).__name__}: {error}".split())[:300]}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _answer(command: dict[str, Any], cases: dict[str, Any], ready: dict[str, Step]) -> dict[str, Any]:
    match command:
        case {"do": "list"}:
            return {"cases": {name: case.digest for name, case in cases.items()}}
        case {"do": "check", "case": name}:
            cases[name].check()
            return {}
        case {"do": "prepare", "case": name}:
            ready[name] = cases[name].make()
            for _ in range(3):
                seconds = _time(ready[name], 1)
            return {"seconds": seconds}
        case {"do": "time", "case": name, "calls": calls}:
            return {"seconds": _time(ready[name], calls)}
    raise ValueError(f"unknown command {command}")


def _time(step: Step, calls: int) -> float:
    """Processor time, which leaves out what other programs took: a case has one thread and waits for nothing."""
    started = time.process_time()
    for _ in range(calls):
        step()
    return time.process_time() - started


if __name__ == "__main__":
    main(sys.stdin, os.fdopen(os.dup(1), "w"), core=int(sys.argv[1]))
