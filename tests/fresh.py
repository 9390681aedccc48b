"""`python -m tests.fresh`: every property test that is to hold, on a hundred fresh epochs.

Nothing bounds beforehand how often a property is refuted by rounding alone: no chance can be computed from worlds that
Hypothesis draws. This counts instead. Controls are left out, as each is refuted by a world that it names.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from claimlab.declare.claim import Property
from claimlab.declare.modules import FOLDER, claim_modules, load
from claimlab.declare.questions import questions
from claimlab.judge import sequential
from claimlab.judge.evidence import UnansweredError, explore

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Explored:
    """What came of one module: how many property tests it has, and a sentence for each epoch that was not as found."""

    module: Path
    tests: int
    seconds: float
    red: tuple[str, ...]


def explored(module: Path, *, epochs: Sequence[str]) -> Explored:
    """All property tests of a module that are to hold, on each of the epochs."""
    started = time.perf_counter()
    loaded, red, tests = load(module), [], 0
    for question in questions(loaded) if loaded.CLAIM.evidence else []:
        if not isinstance(question.plan, Property) or question.asks == "refutes":
            continue
        tests += 1
        for epoch in epochs:
            name = f"{question.claim.id}::{question.test} on epoch {epoch}"
            try:
                outcome = explore(question, question.plan, epoch=epoch)
            except UnansweredError as error:
                red.append(f"{name}: {error}")
                continue
            if outcome.verdict != sequential.SUPPORTED:
                red.append(f"{name}: {outcome.counterexample}")
    return Explored(module, tests, time.perf_counter() - started, tuple(red))


def main(arguments: Sequence[str] | None = None, *, root: Path = ROOT) -> int:
    """Explore the claims; the exit status is 1 if any test was red on any epoch."""
    parser = argparse.ArgumentParser(prog="python -m tests.fresh", description="Are properties true in fresh worlds?")
    parser.add_argument("--epochs", type=int, default=100, metavar="N", help="how many (default: 100)")
    parser.add_argument(
        "--named", default=f"{datetime.now(UTC):%F}", help="what their names begin with (default: today)"
    )
    chosen = parser.parse_args(arguments)
    epochs = [f"{chosen.named}-{number}" for number in range(chosen.epochs)]
    modules = claim_modules(root / FOLDER)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    tests, red = 0, []
    with get_context("spawn").Pool(len(os.sched_getaffinity(0))) as pool:
        for place, one in enumerate(pool.imap_unordered(partial(explored, epochs=epochs), modules), start=1):
            tests += one.tests
            red += one.red
            if one.tests:
                print(
                    f"{place:3} of {len(modules)}  {one.module.stem}: {one.tests} tests, {len(one.red)} red, "
                    f"{one.seconds:.0f} s",
                    flush=True,
                )
    print("\n".join(red), end="\n" if red else "")
    bad = len({sentence.partition(" on epoch ")[2].partition(":")[0] for sentence in red})
    bound = sequential.upper_bound(bad, len(epochs))
    print(
        f"{tests} property tests on {len(epochs)} epochs: {bad} epochs with a red one, so a run in fresh worlds "
        f"has one with a chance of at most {bound:.1%} (at 95 % confidence)."
    )
    return bool(red)


if __name__ == "__main__":
    sys.exit(main())
