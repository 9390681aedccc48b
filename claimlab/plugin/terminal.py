"""Records as lines of text: the table after a run, and what a failure says."""

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from claimlab.declare.claim import FINDINGS, Statistical
from claimlab.judge import sequential as judge
from claimlab.records import record as records
from claimlab.records.record import Record

_SHOWN_SEEDS = 5


def summary(judged: list[Record], unjudged: Sequence[str] = ()) -> Iterator[tuple[str, dict[str, bool]]]:
    """One line a claim, grouped by section, then the totals; each with the markup it is written in.

    `unjudged` names the tests that failed before they could be judged; they leave no record.
    """
    broken = {test.partition("::")[0] for test in unjudged}
    in_order = sorted(judged, key=lambda record: (record.claim, record.test, record.device))
    by_section = groupby(in_order, key=lambda record: record.section)
    width = max(len(_name(record)) for record in judged)
    claims: list[Record] = []
    for section, of_section in by_section:
        yield section, {"bold": True}
        for _, of_claim in groupby(of_section, key=lambda record: record.claim):
            tests = list(of_claim)
            claims.append(tests[0])
            good = all(test.passed for test in tests) and tests[0].module not in broken
            seconds = sum(test.seconds for test in tests)
            mark = "--  " if tests[0].declared else "ok  " if good else "FAIL"
            line = f"  {mark} {tests[0].finding:<10} {_name(tests[0]):<{width}}  {evidence(tests)}  {seconds:.1f} s"
            yield line, {"green": good, "red": not good}
    failed = sum(not record.passed for record in judged)
    counts = ", ".join(f"{count} {finding}" for finding, count in findings(claims))
    yield "", {}
    tested = sum(not record.declared for record in judged)
    totals = f"{len(claims)} claims: {counts}. {tested} tests judged, {failed} not as found."
    if chance := false_alarm(judged):
        totals += f" Chance that this run raises a false alarm: {chance:.0e}."
    yield totals, {"bold": True}
    if unjudged:
        yield f"Not judged, see above: {', '.join(unjudged)}.", {"red": True}


def findings(claims: Iterable[Record]) -> list[tuple[str, int]]:
    """How many claims there are of each finding that occurs, of one record a claim."""
    found = Counter(claim.finding for claim in claims)
    return [(finding, found[finding]) for finding in FINDINGS if finding in found]


def false_alarm(judged: list[Record]) -> float:
    """The run's false-alarm budget: the chances of its sequential tests, added up."""
    return sum(
        judge.false_alarm(Statistical(**record.plan), asks=record.asks)
        for record in judged
        if record.path and record.asks
    )


def failure(record: Record, *, wanted: str, one_seed: str | None) -> str:
    """What a failed test says: the statement, the seeds that decided it, and how to run the first of them again."""
    heading = f"{record.claim} ({', '.join(record.covers)}) was found {record.finding!r}; "
    lines = [heading + f"{record.test} wants {wanted} and the evidence says {record.verdict}."]
    lines += textwrap.wrap(f"Statement: {record.statement}", 100)
    if record.about:
        lines += textwrap.wrap(f"This test: {record.about}", 100)
    if record.kind == "statistical":
        lines += _seeds_that_decided(record)
    if record.counterexample is not None:
        lines.append(f"Counterexample, after {record.examples} worlds: {record.counterexample}")
    lines += [f"  {name} = {short(value)}" for name, value in record.numbers.items()]
    lines.append(f"Run it again: {record.command}")
    if one_seed:
        lines.append(f"Run the first of these seeds alone: {one_seed}")
    return "\n".join(lines)


def _seeds_that_decided(record: Record) -> list[str]:
    lost = list(records.lost(record))
    word = "lost" if record.asks == "supports" else "won"
    yield_line = f"{record.n} seeds judged, {record.wins} won"
    if record.path:
        lower, upper = judge.boundaries(Statistical(**record.plan))
        yield_line += f"; log-likelihood ratio {record.path[-1]:.2f}, refuted at {lower:.2f}, supported at {upper:.2f}"
    lines = [yield_line + "."]
    if lost:
        lines.append(f"Seeds that {word}:")
    for seed in lost[:_SHOWN_SEEDS]:
        place = record.seeds.index(seed)
        row = "  ".join(f"{name}={short(column[place])}" for name, column in record.rows.items() if name != "win")
        lines.append(f"  seed {seed}: {row}")
    if len(lost) > _SHOWN_SEEDS:
        lines.append(f"  and {len(lost) - _SHOWN_SEEDS} more.")
    return lines


def _name(record: Record) -> str:
    return f"{' '.join(record.covers):<6} {record.claim.partition('/')[2]}"


def evidence(tests: list[Record]) -> str:
    """The evidence for a claim, of all its tests, in a few words."""
    if tests[0].declared:
        return "declared, not tested"
    claims = Counter(_word(test) for test in tests if not test.control)
    words = [word if count == 1 else f"{count} x {word}" for word, count in claims.items()]
    controls = [test for test in tests if test.control]
    if controls:
        refuted = sum(test.passed for test in controls)
        words.append(f"{refuted}/{len(controls)} control{'s' if len(controls) > 1 else ''} refuted")
    devices = sorted({test.device for test in tests})
    return "; ".join(words) + (f" ({', '.join(devices)})" if devices != ["cpu"] else "")


def _word(test: Record) -> str:
    if test.verdict == records.ERROR:
        return "error"
    if test.kind == "statistical":
        return f"{test.wins}/{test.n} seeds"
    if test.kind == "property":
        worlds = f"{test.examples} worlds"
        return worlds if test.verdict == judge.SUPPORTED else f"counterexample in {worlds}"
    return "exact" if test.verdict == judge.SUPPORTED else "refuted exactly"


def short(value: Any) -> str:
    """A number as a person reads it."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        inside = ", ".join(short(entry) for entry in value[:8])
        return f"[{inside}{', ...' if len(value) > 8 else ''}]"
    return str(value)
