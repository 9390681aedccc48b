"""A run for other programs (`claims.json`) and for a pull request (Markdown), from the same records as the page."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from claimlab.declare.deck import Deck
from claimlab.judge.plain import plain
from claimlab.judge.sequential import clopper_pearson
from claimlab.records.record import Record
from claimlab.records.tally import State, evidence, false_alarm, findings, state, unconfirmed
from claimlab.report import order, words
from claimlab.report.compare import Changes
from claimlab.report.effects import effects

SCHEMA = 2
_LISTED = 30


def claims_json(judged: list[Record], deck: Deck, complaints: Sequence[str] = ()) -> str:
    """Every claim with its tests, in the deck's order; `docs/claims.schema.json` describes it."""
    summary = {
        "schema": SCHEMA,
        "deck": deck.title,
        "green": all(record.good for record in judged) and not complaints,
        "false_alarm": false_alarm(judged),
        "left_out": list(complaints),
        "claims": [_claim(tests) for tests in order.by_claim(judged, deck)],
    }
    return json.dumps(plain(summary), allow_nan=False, indent=1) + "\n"


def _claim(tests: list[Record]) -> dict[str, Any]:
    newest = order.newest(tests)
    told = ("covers", "slide", "version", "finding", "says", "statement", "reason", "scope", "source", "module")
    return {
        "id": newest.claim,
        "section": newest.section,
        **{name: getattr(newest, name) for name in told},
        "green": all(test.good for test in tests),
        "seconds": sum(test.seconds for test in tests),
        "tests": [_test(test) for test in tests if not test.declared],
    }


def _test(test: Record) -> dict[str, Any]:
    told = (
        "test", "about", "kind", "asks", "world", "verdict", "passed", "excused", "message", "seconds", "numbers",
        "examples", "counterexample", "epoch", "device", "dtype", "parts", "torch", "when", "command",
    )  # fmt: skip
    interval = clopper_pearson(test.wins, test.n) if test.n and test.wins is not None else None
    return {
        **{name: getattr(test, name) for name in told},
        "control": test.control,
        "wins": test.wins,
        "seeds": test.n,
        "win_rate_interval": interval,
        "effects": {name: asdict(effect) for name, effect in effects(test).items()},
    }


def markdown(judged: list[Record], deck: Deck, complaints: Sequence[str] = (), changes: Changes | None = None) -> str:
    """A summary that fits into a pull request: what is red, what changed, and a line for each claim."""
    return "\n".join(_lines(judged, deck, complaints, changes)) + "\n"


def _lines(judged: list[Record], deck: Deck, complaints: Sequence[str], changes: Changes | None) -> Iterator[str]:
    claims = order.by_claim(judged, deck)
    tested = [record for record in judged if not record.declared]
    red = [record for record in tested if not record.good]
    counts = ", ".join(f"{count} {finding}" for finding, count in [*findings(claims), *unconfirmed(claims)])
    part = any(state(tests) is State.PART for tests in claims)
    green = "green as far as it was run" if part else "all green"
    yield f"### Claimlab: {f'{len(red)} red' if red else green}"
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
        mark = "-" if first.declared else "✅" if all(test.good for test in tests) else "❌"
        seconds = sum(test.seconds for test in tests)
        name = f"{' '.join(first.covers)} {_text(first.says)}"
        yield f"| {mark} | {name} | {first.finding} | {evidence(tests)} | {seconds:.1f} |"
    yield from ("", "</details>")


def _changed(changes: Changes) -> Iterator[str]:
    yield ""
    if changes.not_run:
        yield f"Of the run compared with, {words.counted(len(changes.not_run), 'claim')} not judged in this one."
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
