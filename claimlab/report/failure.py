"""What a failed test says, on the terminal and on the page."""

import textwrap
from collections.abc import Iterator
from typing import Any

from claimlab.declare.claim import Statistical
from claimlab.judge import sequential
from claimlab.records.record import Record, lost, mute

_SHOWN_SEEDS = 5


def failure(record: Record, *, one_seed: str | None = None, predicate: str = "") -> str:
    """The statement, the seeds that decided, and how to run the test (and with `one_seed` the first seed) again.

    `predicate` is the check's docstring: what was to hold.
    """
    wanted = sequential.SUPPORTED if record.asks == "supports" else sequential.REFUTED
    heading = f"{record.claim} ({', '.join(record.covers)}) was found {record.finding!r}; "
    lines = [heading + f"{record.test} wants {wanted} and the evidence says {record.verdict}."]
    lines += textwrap.wrap(f"Statement: {record.statement}", 100)
    if record.about:
        lines += textwrap.wrap(f"This test: {record.about}", 100)
    if predicate:
        lines += textwrap.wrap(f"The check: {' '.join(predicate.split())}", 100)
    if record.kind == "statistical":
        lines += _seeds_that_decided(record)
    if record.counterexample is not None:
        lines.append(f"Counterexample, after {record.examples} worlds: {record.counterexample}")
    lines += [f"  {name} = {short(value)}" for name, value in record.numbers.items()]
    lines.append(f"Run it again: {record.command}")
    if one_seed:
        lines.append(f"Run the first of these seeds alone: {one_seed}")
    return "\n".join(lines)


def _seeds_that_decided(record: Record) -> Iterator[str]:
    line = f"{record.n} seeds judged, {record.wins} won"
    if record.path:
        lower, upper = sequential.boundaries(Statistical(**record.plan))
        line += f"; log-likelihood ratio {record.path[-1]:.2f}, refuted at {lower:.2f}, supported at {upper:.2f}"
    elif record.verdict == sequential.UNRESOLVED and record.n:
        line += f", and a certificate needs {_needed(record, record.n)}"
    yield f"{line}."
    if silent := mute(record):
        yield (
            f"{len(silent)} of them without their premise or with numbers that are not finite, "
            f"which speaks against what the test wants."
        )
    against = list(lost(record))
    if against:
        yield f"Seeds that {'lost' if record.asks == 'supports' else 'won'}:"
    for seed in against[:_SHOWN_SEEDS]:
        place = record.seeds.index(seed)
        row = "  ".join(f"{name}={short(column[place])}" for name, column in record.rows.items() if name != "win")
        yield f"  seed {seed}: {row}"
    if len(against) > _SHOWN_SEEDS:
        yield f"  and {len(against) - _SHOWN_SEEDS} more."


def _needed(record: Record, n: int) -> str:
    """How many of n seeds a certificate needs."""
    plan = Statistical(**record.plan)
    enough = [wins for wins in range(n + 1) if sequential.certifies(wins, n, plan, asks=record.asks)]
    if not enough:
        return "more seeds than these, however many of them win"
    return f"at least {enough[0]}" if record.asks == "supports" else f"at most {enough[-1]}"


def short(value: Any) -> str:
    """A number as a person reads it."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        inside = ", ".join(short(entry) for entry in value[:8])
        return f"[{inside}{', ...' if len(value) > 8 else ''}]"
    return str(value)
