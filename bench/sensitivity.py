"""`python -m bench sensitivity`: how small a slowdown does `compare` call, and how often does it cry wolf?

Both sides of every launch are this checkout, so that what is measured is the machine's noise. In every second launch
head's blocks spend some percent more time, idly: a slowdown of known size, which must show. Once it is seen that it
does, any launch can be judged as if a case were slower by any factor. Launches are kept in a file, and later
runs add to it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np

from bench import environment
from bench.environment import Say
from bench.launch import Launch, Revision, launch
from bench.rules import Rule
from bench.verdicts import ALL_CASES, REGRESSED, Estimate, Plan, decide, estimates_of_medians, settled
from claimlab.judge.sequential import clopper_pearson

SLOWDOWNS = (0.0, 0.01, 0.02, 0.03, 0.05, 0.10)
RECORDING, TABLE, CURVE = "sensitivity.jsonl", "sensitivity.md", "sensitivity.svg"
_SHUFFLED_RUNS = 1000


@dataclass(frozen=True)
class Blocks:
    """What one launch measured of one case, the injected slowdown taken out again.

    `base` and `head`: seconds a call, `[2 Q]` for Q quads; `log_ratios`: head over base, `[Q]`.
    """

    base: np.ndarray
    head: np.ndarray
    log_ratios: np.ndarray
    injected: float

    @cached_property
    def median(self) -> float:
        """The launch's estimate for this case."""
        return float(np.median(self.log_ratios))


@dataclass(frozen=True)
class Recorded:
    """A launch: its cases, how long it took, and whether the other core was kept busy."""

    cases: Mapping[str, Blocks]
    seconds: float
    busy: bool


@dataclass(frozen=True)
class Rate:
    """`called` of so many `trials` were called REGRESSED."""

    called: int
    trials: int

    @property
    def percent(self) -> float:
        return 100 * self.called / self.trials

    def __str__(self) -> str:
        low, high = clopper_pearson(self.called, self.trials)
        return f"{self.called}/{self.trials} ({100 * low:.1f} to {100 * high:.1f} %)"


def record(
    path: Path, here: Revision, names: Sequence[str], *, launches: int, seconds: float, busy: bool, say: Say
) -> None:
    """Add launches of `seconds` each to the file; with `busy` a program keeps the other core at work meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    done = len(path.read_text(encoding="utf-8").splitlines()) if path.exists() else 0
    with environment.neighbour(busy=busy):
        for number in range(done + 1, done + launches + 1):
            slower = {name: injected(number, place) for place, name in enumerate(names)}
            found = launch(here, here, seed=number, seconds=seconds, slower=slower)
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(_line(found, slower, busy=busy)) + "\n")
            say(f"launch {number - done} of {launches}, {found.seconds:.0f} s, load {found.load:.1f}")


def injected(number: int, place: int) -> float:
    """The slowdown of a case in a launch: none in odd launches; in even ones every slowdown has its turn."""
    return 0.0 if number % 2 else SLOWDOWNS[(number // 2 + place) % len(SLOWDOWNS)]


def _line(found: Launch, slower: Mapping[str, float], *, busy: bool) -> dict[str, object]:
    blocks = {
        name: [[float(f"{seconds:.5g}") for seconds in (*quad.base, *quad.head)] for quad in quads]
        for name, quads in found.quads.items()
    }
    return {
        "machine": environment.fingerprint(), "busy": busy, "seconds": round(found.seconds, 2), "load": found.load,
        "stolen": round(found.stolen, 4), "slower": slower, "blocks": blocks,
    }  # fmt: skip


def read(path: Path) -> list[Recorded]:
    """The recorded launches, in order."""
    return [_recorded(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def _recorded(line: dict[str, object]) -> Recorded:
    slower, blocks = line["slower"], line["blocks"]
    assert isinstance(slower, dict)
    assert isinstance(blocks, dict)
    cases = {}
    for name, quads in blocks.items():
        seconds = np.array(quads)
        seconds[:, 2:] /= 1 + slower[name]
        logs = np.log(seconds)
        ratios = logs[:, 2:].mean(axis=1) - logs[:, :2].mean(axis=1)
        cases[name] = Blocks(seconds[:, :2].ravel(), seconds[:, 2:].ravel(), ratios, slower[name])
    return Recorded(cases, float(str(line["seconds"])), bool(line["busy"]))


def injections(launches: Sequence[Recorded]) -> dict[float, tuple[float, float, float]]:
    """Each injected slowdown as it was measured: the mean over cases and launches, and its 95 % interval."""
    found = {}
    for slowdown in SLOWDOWNS:
        medians = [
            blocks.median + math.log1p(slowdown)
            for launch in launches
            for blocks in launch.cases.values()
            if blocks.injected == slowdown
        ]
        if len(medians) > 1:
            mean, error = float(np.mean(medians)), float(np.std(medians, ddof=1)) / math.sqrt(len(medians))
            found[slowdown] = (math.expm1(mean), math.expm1(mean - 1.96 * error), math.expm1(mean + 1.96 * error))
    return found


def runs(launches: Sequence[Recorded], length: int) -> list[Sequence[Recorded]]:
    """Comparisons of so many launches one after the other, none of which share a launch."""
    return [launches[first : first + length] for first in range(0, len(launches) - length + 1, length)]


def shuffled_runs(launches: Sequence[Recorded], length: int, *, seed: int = 0) -> Iterator[Sequence[Recorded]]:
    """Comparisons whose launches are drawn at random, none twice in one; they share launches with each other."""
    draw = np.random.default_rng(seed)
    for _ in range(_SHUFFLED_RUNS):
        yield [launches[place] for place in draw.permutation(len(launches))[:length]]


class Replay:
    """A comparison of recorded launches, look by look, in which one case can be made slower."""

    def __init__(self, run: Sequence[Recorded], plan: Plan) -> None:
        self.plan, self.names = plan, list(run[0].cases)
        self.looks = {
            look: estimates_of_medians(
                {name: [launch.cases[name].median for launch in run[:look]] for name in self.names}
            )
            for look in plan.looks
            if look <= len(run)
        }

    def called(self, case: str = "", slowdown: float = 0.0) -> tuple[set[str], int]:
        """The cases called REGRESSED when `case` is slower by so much, and the number of launches it took."""
        called, taken = set(), 0
        for look, found in self.looks.items():
            verdicts = decide(self._slowed(found, case, slowdown) if case else found, self.plan)
            called, taken = {verdict.name for verdict in verdicts if verdict.verdict == REGRESSED}, look
            if settled(verdicts):
                break
        return called, taken

    def _slowed(self, found: Mapping[str, Estimate], case: str, slowdown: float) -> dict[str, Estimate]:
        moved = math.log1p(slowdown)
        return {**found, case: found[case].moved(moved), ALL_CASES: found[ALL_CASES].moved(moved / len(self.names))}


@dataclass(frozen=True)
class Power:
    """How often one slower case was called, at the first look and in the end; launches taken, in the mean."""

    first_look: Rate
    end: Rate
    launches: float


def power(first_looks: Sequence[Replay], whole: Sequence[Replay], slowdown: float) -> Power:
    """Every case in turn slower, in comparisons that end with the first look and in whole ones."""
    early, late = (
        [(case, *replay.called(case, slowdown)) for replay in replays for case in replay.names]
        for replays in (first_looks, whole)
    )
    first, end = (Rate(sum(case in called for case, called, _ in of), len(of)) for of in (early, late))
    return Power(first, end, float(np.mean([launches for _, _, launches in late])))


def false_alarms(replays: Iterable[Replay]) -> Rate:
    """How many comparisons of a checkout with itself called anything REGRESSED."""
    called = [bool(replay.called()[0]) for replay in replays]
    return Rate(sum(called), len(called))


def of_rule(rule: Rule, launches: Sequence[Recorded], slowdown: float) -> tuple[Rate, Rate]:
    """Another rule's calls, of cases and of runs, as such tools are used: base in one launch, head in the next."""
    cases, of_run = [], []
    for before, after in pairwise(launches):
        called = [rule(before.cases[name].base, (1 + slowdown) * after.cases[name].head) for name in before.cases]
        cases += called
        of_run.append(any(called))
    return Rate(sum(cases), len(cases)), Rate(sum(of_run), len(of_run))
