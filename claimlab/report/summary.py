"""A run for other programs (`claims.json`) and for a pull request (Markdown), from the same records as the page."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from claimlab.judge import sequential as judge
from claimlab.plugin import terminal
from claimlab.records import record as records
from claimlab.records.record import Record
from claimlab.report import deck, words
from claimlab.report.compare import Changes
from claimlab.report.effects import effects

SCHEMA = 1
_LISTED = 30


def claims_json(judged: list[Record], complaints: Sequence[str] = ()) -> str:
    """Every claim with its tests, in the deck's order; `docs/claims.schema.json` describes it."""
    summary = {
        "schema": SCHEMA,
        "deck": deck.DECK,
        "green": all(record.passed for record in judged) and not complaints,
        "false_alarm": terminal.false_alarm(judged),
        "left_out": list(complaints),
        "claims": [_claim(tests) for tests in deck.by_claim(judged)],
    }
    return json.dumps(records.plain(summary), allow_nan=False, indent=1) + "\n"


def _claim(tests: list[Record]) -> dict[str, Any]:
    newest = deck.newest(tests)
    told = ("covers", "slide", "version", "finding", "says", "statement", "reason", "scope", "source", "module")
    return {
        "id": newest.claim,
        "section": newest.section,
        **{name: getattr(newest, name) for name in told},
        "green": all(test.passed for test in tests),
        "seconds": sum(test.seconds for test in tests),
        "tests": [_test(test) for test in tests if not test.declared],
    }


def _test(test: Record) -> dict[str, Any]:
    told = (
        "test", "about", "kind", "asks", "verdict", "passed", "message", "seconds", "numbers", "examples",
        "counterexample", "epoch", "device", "dtype", "torch", "when", "command",
    )  # fmt: skip
    interval = judge.clopper_pearson(test.wins, test.n) if test.n and test.wins is not None else None
    return {
        **{name: getattr(test, name) for name in told},
        "control": test.control,
        "wins": test.wins,
        "seeds": test.n,
        "win_rate_interval": interval,
        "effects": {name: asdict(effect) for name, effect in effects(test).items()},
    }


def markdown(judged: list[Record], complaints: Sequence[str] = (), changes: Changes | None = None) -> str:
    """A summary that fits into a pull request: what is red, what changed, and a line for each claim."""
    return "\n".join(_lines(judged, complaints, changes)) + "\n"


def _lines(judged: list[Record], complaints: Sequence[str], changes: Changes | None) -> Iterator[str]:
    claims = deck.by_claim(judged)
    tested = [record for record in judged if not record.declared]
    red = [record for record in tested if not record.passed]
    counts = ", ".join(f"{count} {finding}" for finding, count in terminal.findings(tests[0] for tests in claims))
    yield f"### Claimlab: {f'{len(red)} red' if red else 'all green'}"
    yield ""
    yield f"{words.counted(len(claims), 'claim')} ({counts}), {words.counted(len(tested), 'test')} judged."
    for sentence in complaints[:_LISTED]:
        yield f"- left out: {_text(sentence)}"
    if red:
        yield ""
        for record in red[:_LISTED]:
            yield f"- **red** `{record.claim}` `{record.test}`: {words.verdict(record)}. `{record.command}`"
        if len(red) > _LISTED:
            yield f"- and {len(red) - _LISTED} more"
    if changes is not None:
        yield from _changed(changes)
    yield from ("", "<details><summary>Every claim</summary>", "")
    yield from ("| | claim | finding | evidence | seconds |", "|---|---|---|---|---|")
    for tests in claims:
        first = tests[0]
        mark = "-" if first.declared else "✅" if all(test.passed for test in tests) else "❌"
        seconds = sum(test.seconds for test in tests)
        name = f"{' '.join(first.covers)} {_text(first.says)}"
        yield f"| {mark} | {name} | {first.finding} | {terminal.evidence(tests)} | {seconds:.1f} |"
    yield from ("", "</details>")


def _changed(changes: Changes) -> Iterator[str]:
    yield ""
    if not changes:
        yield f"Nothing that matters changed in {words.counted(changes.compared, 'test')}."
        return
    yield "What changed:"
    yield ""
    lines = [
        *((pair.either, words.verdicts(pair.base, pair.head)) for pair in changes.verdicts),
        *((move.pair.either, words.moved(move)) for move in changes.effects),
        *((pair.either, words.costs(pair.base, pair.head)) for pair in changes.costs),
    ]
    for record, says in lines[:_LISTED]:
        yield f"- `{record.claim}` `{record.test}`: {_text(says)}"
    if len(lines) > _LISTED:
        yield f"- and {len(lines) - _LISTED} more"


def _text(words_of_a_record: str) -> str:
    """Text that Markdown takes as it is: no table cell ends early, no tag begins."""
    flat = " ".join(words_of_a_record.split())
    return flat.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "\\`")
