"""Times one revision's cases for a comparison: `python -m bench.worker`, run in that revision's checkout.

It reads one JSON object a line and answers with one. What it is told to do:

    {"do": "list"}                                     -> {"cases": {name: digest, ...}}
    {"do": "prepare", "case": name, "check": true}     -> {"seconds": a call, once it is warm and, if told, checked}
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
from bench.environment import core


def main(commands: IO[str], answers: IO[str]) -> None:
    """Answer until the commands end."""
    settle()
    if (pinned := core()) is not None:
        os.sched_setaffinity(0, {pinned})
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
        case {"do": "prepare", "case": name, "check": check}:
            if check:
                cases[name].check()
            ready[name] = cases[name].make()
            for _ in range(3):
                seconds = _time(ready[name], 1)
            return {"seconds": seconds}
        case {"do": "time", "case": name, "calls": calls}:
            return {"seconds": _time(ready[name], calls)}
    raise ValueError(f"unknown command {command}")


def _time(step: Step, calls: int) -> float:
    started = time.perf_counter()
    for _ in range(calls):
        step()
    return time.perf_counter() - started


if __name__ == "__main__":
    main(sys.stdin, os.fdopen(os.dup(1), "w"))
