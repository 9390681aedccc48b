"""What the runs in a directory came to, a line a run: records are replaced by the next run, this is added to.

A run's line has a point for every claim that it judged whole, with the claim's cost and its effect: the mean over the
judged seeds of each metric of the claim's own test.
"""

import json
import math
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from claimlab.judge.plain import plain
from claimlab.records import files
from claimlab.records.record import Record, table
from claimlab.records.tally import CLAIM, State, newest, state

FILE = "history.jsonl"
KEPT = 20
"""How many runs are looked back to; older lines stay in the file."""


@dataclass(frozen=True)
class Point:
    """A claim in one run: its version, whether the run confirmed its finding, its tests' seconds, its effects."""

    version: int
    confirmed: bool
    seconds: float
    effects: dict[str, float]


@dataclass(frozen=True)
class Past:
    """A run: when, of which commit, on which machine and epoch, and a point for each claim by its id."""

    when: str
    commit: str
    machine: str
    epoch: str
    claims: dict[str, Point]


def summed_up(judged: Sequence[Record]) -> Past:
    """What a run came to; a claim of which it judged a part has no point."""
    by_claim: dict[str, list[Record]] = defaultdict(list)
    for record in judged:
        if not record.declared:
            by_claim[record.claim].append(record)
    last = newest(judged)
    points = {claim: _point(tests) for claim, tests in sorted(by_claim.items()) if state(tests) is not State.PART}
    return Past(last.when, last.commit, last.machine, last.epoch, points)


def add(path: Path, past: Past) -> None:
    """Write a run's line, if it judged a claim whole."""
    if past.claims:
        files.append(path, json.dumps(plain(asdict(past)), allow_nan=False, separators=(",", ":")))


def read(path: Path) -> list[Past]:
    """The last runs, oldest first. A file that is not there has none, and a line that says nothing is passed over."""
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            last = deque(lines, maxlen=KEPT)
    except OSError:
        return []
    return [past for past in map(_past, last) if past]


def _point(tests: Sequence[Record]) -> Point:
    own = next((test for test in tests if test.test == CLAIM), tests[0])
    effects = {
        name: math.fsum(column) / len(column)
        for name, column in table(own).items()
        if column and all(type(entry) in (int, float) and math.isfinite(entry) for entry in column)
    }
    return Point(newest(tests).version, state(tests) is State.CONFIRMED, math.fsum(t.seconds for t in tests), effects)


def _past(line: str) -> Past | None:
    try:
        values = json.loads(line)
        json.dumps(values, ensure_ascii=False).encode()  # half a surrogate pair could not be written to a page
        points = {
            claim: Point(
                int(point["version"]),
                point["confirmed"] is True,
                _number(point["seconds"]),
                {name: _number(mean) for name, mean in point["effects"].items()},
            )
            for claim, point in values["claims"].items()
        }
        return Past(*(str(values[name]) for name in ("when", "commit", "machine", "epoch")), points)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("no number to draw")
    return number
