"""What records come to, counted: findings, the chance of a false alarm, the evidence for a claim in a few words."""

from collections import Counter
from collections.abc import Iterable, Sequence
from enum import StrEnum

from claimlab.declare.claim import FINDINGS, Statistical
from claimlab.judge import sequential
from claimlab.records.record import ERROR, Record

CLAIM, DECK_WORDING = "test_claim", "test_deck_wording"


def rank(record: Record) -> int:
    """Where a test stands among those of its claim: the claim, its other tests, its controls.

    Of a claim found false the deck's wording comes first, and then the corrected statement.
    """
    if record.control:
        return 3
    if record.test == DECK_WORDING:
        return 0
    return 1 if record.test == CLAIM else 2


def role(record: Record) -> str:
    """What a test is for its claim."""
    if record.control:
        return "control"
    if record.test == DECK_WORDING:
        return "deck wording"
    if record.test != CLAIM:
        return "also tested"
    return "corrected statement" if record.finding == "false" else "claim"


def newest(tests: Iterable[Record]) -> Record:
    """The record measured last: what a claim declares is read from it."""
    return max(tests, key=lambda record: record.when)


class State(StrEnum):
    """What a run says of a claim's finding."""

    CONFIRMED = "confirmed"
    RED = "red"
    PART = "in part"


def state(tests: Sequence[Record]) -> State:
    """What the judged tests of a claim say of its finding: a few of them, all green, do not confirm it."""
    if not all(test.good for test in tests):
        return State.RED
    asked = max(test.of for test in tests)
    return State.PART if len({test.test for test in tests}) < asked else State.CONFIRMED


def findings(claims: Iterable[Sequence[Record]]) -> list[tuple[str, int]]:
    """How many claims there are of each finding that occurs, those alone whose finding the run confirms."""
    found = Counter(newest(tests).finding for tests in claims if state(tests) is State.CONFIRMED)
    return [(finding, found[finding]) for finding in FINDINGS if finding in found]


def unconfirmed(claims: Iterable[Sequence[Record]]) -> list[tuple[str, int]]:
    """How many claims are red, and how many were judged in part."""
    found = Counter(map(state, claims))
    return [(each.value, found[each]) for each in (State.RED, State.PART) if found[each]]


def false_alarm(judged: Iterable[Record]) -> float:
    """The run's false-alarm budget: the chances of its sequential tests, added up."""
    return sum(
        sequential.false_alarm(Statistical(**record.plan), asks=record.asks)
        for record in judged
        if record.path and record.asks
    )


def evidence(tests: list[Record]) -> str:
    """The evidence for a claim, of all its tests, in a few words."""
    if tests[0].declared:
        return "declared, not tested"
    tests = sorted(tests, key=rank)
    words = []
    if wording := [test for test in tests if role(test) == "deck wording"]:
        words.append(f"as worded: {_counted(wording)}; corrected:")
    words.append(_counted(test for test in tests if not test.control and test not in wording))
    said = [" ".join(word for word in words if word)]
    if controls := [test for test in tests if test.control]:
        refuted = sum(test.passed for test in controls)
        said.append(f"{refuted}/{len(controls)} control{'s' if len(controls) > 1 else ''} refuted")
    if excused := [test for test in tests if test.excused and not test.passed]:
        said.append(f"{len(excused)} not expected in {excused[0].dtype}")
    devices = sorted({test.device for test in tests})
    return "; ".join(word for word in said if word) + (f" ({', '.join(devices)})" if devices != ["cpu"] else "")


def _counted(tests: Iterable[Record]) -> str:
    words = Counter(map(_word, tests))
    return "; ".join(word if count == 1 else f"{count} x {word}" for word, count in words.items())


def _word(test: Record) -> str:
    if test.verdict == ERROR:
        return "error"
    if test.kind == "statistical":
        return f"{test.wins}/{test.n} seeds"
    if test.kind == "property":
        worlds = f"{test.examples} worlds"
        if test.asks == "refutes" and test.verdict == sequential.REFUTED:
            return "refuted by an example"
        return worlds if test.verdict == sequential.SUPPORTED else f"counterexample in {worlds}"
    return "exact" if test.verdict == sequential.SUPPORTED else "refuted exactly"
