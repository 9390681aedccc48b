"""`python -m tests.mutants`: put faults into claims and instruments, one by one, and see whether tests notice.

It runs in copies of the checkout, one for each core. The exit status is 1 if a fault goes unnoticed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from queue import SimpleQueue

from tests.mutants import claims, instruments, judge
from tests.mutants.mutant import Mutant, Outcome, copy_of, red_tests, summary, tried

ROOT = Path(__file__).parents[2]
MUTANTS = (*claims.MUTANTS, *instruments.MUTANTS, *judge.MUTANTS)


def main(arguments: Sequence[str] | None = None, *, root: Path = ROOT, mutants: Sequence[Mutant] = MUTANTS) -> int:
    """Try the mutants that are asked for, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description="Do the tests notice faults?")
    parser.add_argument("words", nargs="*", metavar="WORD", help="only mutants with one of these in file or fault")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), metavar="N", help="how many at once")
    chosen = parser.parse_args(arguments)
    asked = [it for it in mutants if not chosen.words or any(word in f"{it.file} {it.fault}" for word in chosen.words)]
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder, ThreadPoolExecutor(chosen.jobs) as pool:
        copies: SimpleQueue[Path] = SimpleQueue()
        for number in range(chosen.jobs):
            copies.put(copy_of(root, Path(folder) / str(number)))
        red, problem = red_tests([test for it in asked for test in it.tests], Path(folder) / "0")
        if red or problem:
            print("\n".join(["Without any fault there is already:", *sorted(red), problem]))
            return 1
        outcomes: list[Outcome] = []
        for done in as_completed([pool.submit(_in_a_copy, it, copies) for it in asked]):
            outcomes.append(done.result())
            print(_line(outcomes[-1], len(outcomes), len(asked)), flush=True)
    print(summary(outcomes))
    return any(not outcome.good for outcome in outcomes)


def _in_a_copy(mutant: Mutant, copies: SimpleQueue[Path]) -> Outcome:
    copy = copies.get()
    try:
        return tried(mutant, copy)
    finally:
        copies.put(copy)


def _line(outcome: Outcome, place: int, of: int) -> str:
    word = "equivalent" if outcome.mutant.equivalent else "noticed"
    word = (
        word
        if outcome.good
        else "BROKEN"
        if outcome.problem
        else "SURVIVES"
        if not outcome.mutant.equivalent
        else "RED"
    )
    return f"{place:3} of {of}  {word:10} {outcome.seconds:4.1f} s  {outcome.mutant.fault}"


if __name__ == "__main__":
    sys.exit(main())
