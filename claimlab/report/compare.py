"""Two runs side by side: what changed from a base run to this one, the most important first.

Runs are compared test by test, on the same device where both have it. Verdicts come first, then effect sizes whose
intervals have no number in common, then cost. Claims that this run did not judge at all are counted and no more: it may
be a run of a part.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby

from claimlab.records.record import Record
from claimlab.report.effects import Effect, effects

# A test's cost is worth a line when it changed by this factor and by so many seconds: less is a machine's noise.
COST_FACTOR, COST_SECONDS = 1.5, 0.5


@dataclass(frozen=True)
class Pair:
    """One test in both runs; `base` or `head` is None where a run does not have it."""

    base: Record | None
    head: Record | None

    @property
    def either(self) -> Record:
        """The record to name the test by."""
        record = self.head or self.base
        assert record is not None
        return record

    @property
    def other_version(self) -> bool:
        """Whether a threshold or a world changed in between, so that numbers are not comparable."""
        return bool(self.base and self.head and self.base.version != self.head.version)


@dataclass(frozen=True)
class Moved:
    """A metric whose interval left its old place."""

    pair: Pair
    metric: str
    base: Effect
    head: Effect


@dataclass(frozen=True)
class Changes:
    """What changed: each list the largest change first, or in the order of the tests' names.

    `not_run` are the claims of the base run of which this one has no test.
    """

    verdicts: list[Pair] = field(default_factory=list)
    effects: list[Moved] = field(default_factory=list)
    costs: list[Pair] = field(default_factory=list)
    compared: int = 0
    not_run: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.verdicts or self.effects or self.costs)


def changes(base: Iterable[Record], head: Iterable[Record]) -> Changes:
    """What changed from `base` to `head`."""
    base, head = list(base), list(head)
    judged = {record.claim for record in head}
    not_run = sorted({record.claim for record in base} - judged)
    pairs = [pair for pair in matched(base, head) if pair.either.claim in judged]
    both = [pair for pair in pairs if pair.base and pair.head]
    verdicts = [pair for pair in pairs if _verdict(pair.base) != _verdict(pair.head)]
    verdicts.sort(key=lambda pair: (pair.head is None or pair.head.good, pair.either.claim, pair.either.test))
    costs = [pair for pair in both if _cost_changed(pair)]
    costs.sort(key=lambda pair: -abs(_seconds(pair.head) - _seconds(pair.base)))
    moved = [move for pair in both if not pair.other_version for move in _moves(pair)]
    return Changes(verdicts, moved, costs, len(both), tuple(not_run))


def matched(base: Iterable[Record], head: Iterable[Record]) -> list[Pair]:
    """The tests of both runs, by claim and test; on the same device where both runs have it, else the newest."""
    before, after = _by_test(base), _by_test(head)
    pairs = []
    for key in sorted(before.keys() | after.keys()):
        olds, news = before.get(key, {}), after.get(key, {})
        shared = sorted(olds.keys() & news.keys())
        if shared or not olds or not news:
            devices = shared or sorted(olds.keys() | news.keys())
            pairs += [Pair(olds.get(device), news.get(device)) for device in devices]
        else:
            pairs.append(Pair(_newest(olds), _newest(news)))
    return pairs


def _by_test(run: Iterable[Record]) -> dict[tuple[str, str], dict[str, Record]]:
    ordered = sorted(run, key=lambda record: (record.claim, record.test, record.when))
    return {
        key: {record.device: record for record in same}
        for key, same in groupby(ordered, key=lambda record: (record.claim, record.test))
    }


def _newest(by_device: dict[str, Record]) -> Record:
    return max(by_device.values(), key=lambda record: record.when)


def _verdict(record: Record | None) -> tuple[object, ...]:
    return (record.verdict, record.passed, record.finding) if record else ()


def _moves(pair: Pair) -> list[Moved]:
    assert pair.base
    assert pair.head
    if pair.base.rows == pair.head.rows:
        return []
    before, after = effects(pair.base), effects(pair.head)
    return [
        Moved(pair, name, before[name], after[name])
        for name in after
        if name in before and before[name].apart(after[name])
    ]


def _cost_changed(pair: Pair) -> bool:
    slow, fast = sorted((_seconds(pair.base), _seconds(pair.head)), reverse=True)
    return slow - fast >= COST_SECONDS and slow >= COST_FACTOR * fast


def _seconds(record: Record | None) -> float:
    return record.seconds if record else 0.0
