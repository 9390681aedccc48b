"""A record's evidence in the words and numbers a reader of the page sees."""

import math
import re
from collections.abc import Iterable, Iterator
from typing import Any

from claimlab.declare.claim import Statistical
from claimlab.judge.sequential import REFUTED, SUPPORTED, boundaries, clopper_pearson
from claimlab.records.record import ERROR, Record, lost, mute, table
from claimlab.records.tally import false_alarm
from claimlab.report.compare import Moved
from claimlab.report.effects import Effect, effects

_LONGEST, _SHOWN = 160, 8
RAISED = str.maketrans("0123456789-\N{MINUS SIGN}", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁻")
_NARROW_SPACE = "\N{NARROW NO-BREAK SPACE}"


def evidence(record: Record) -> Iterator[str]:
    """What the test rests on, a sentence each."""
    if record.kind == "statistical":
        yield from _statistical(record)
        return
    if record.kind == "property":
        worlds = counted(record.examples or 0, "world")
        if record.counterexample is not None and record.asks == "refutes":
            yield f"Refuted by the world that it names: {_cut(_fractions(record.counterexample))}."
        elif record.counterexample is not None:
            yield f"A counterexample after {worlds}: {_cut(_fractions(record.counterexample))}."
        elif record.verdict != ERROR:
            yield f"{worlds} tried, no counterexample."
    elif record.verdict != ERROR:
        yield "A certificate." if record.verdict == SUPPORTED else "A certificate of the opposite."
    if record.numbers:
        yield ", ".join(f"{name.replace('_', ' ')} = {value(entry)}" for name, entry in record.numbers.items()) + "."


def _statistical(record: Record) -> Iterator[str]:
    if not record.n or record.wins is None:
        yield "No seed was judged."
        return
    low, high = clopper_pearson(record.wins, record.n)
    yield (
        f"{record.wins} of {counted(record.n, 'seed')} won "
        f"(95{_NARROW_SPACE}% interval {100 * low:.1f} to {100 * high:.1f}{_NARROW_SPACE}%)."
    )
    if record.path:
        lower, upper = boundaries(Statistical(**record.plan))
        yield (
            f"Log-likelihood ratio {signed(record.path[-1])}; "
            f"supported from {signed(upper)}, refuted from {signed(lower)}."
        )
    elif record.passed:
        yield "A certificate on a number of seeds fixed beforehand."
    if silent := mute(record):
        yield f"Without their premise or a finite number: {counted(len(silent), 'seed')}, which speak against the test."
    against = list(lost(record)) or record.numbers.get("lost", [])
    if 0 < len(against) <= record.n // 2:
        did = "Lost" if record.asks == "supports" else "Won"
        more = f" and {len(against) - _SHOWN} more" if len(against) > _SHOWN else ""
        yield f"{did} by seed{'s' * (len(against) > 1)} {', '.join(map(str, against[:_SHOWN]))}{more}."


def verdict(record: Record) -> str:
    """The verdict, and what the test asked for where the two differ."""
    if record.verdict == ERROR:
        return "could not be judged"
    if record.passed:
        return record.verdict.lower()
    if record.excused:
        return f"{record.verdict.lower()}, as is expected in {record.dtype}"
    wanted = SUPPORTED if record.asks == "supports" else REFUTED
    return f"{record.verdict.lower()}, not {wanted.lower()}"


def before(base: Record | None, head: Record) -> str:
    """What the run compared with says of the same test."""
    if base is None:
        return "Not in the run compared with."
    seeds = f", {base.wins} of {counted(base.n, 'seed')} won" if base.n and base.wins is not None else ""
    note = f", version {base.version} of the claim" if base.version != head.version else ""
    return f"Compared with: {verdict(base)}{seeds}, in {seconds(base.seconds)}{note}."


def verdicts(base: Record | None, head: Record | None) -> str:
    """How a verdict changed."""
    if base is None or head is None:
        record, which = (head, "new") if head else (base, "gone")
        assert record is not None
        return f"{which}, {verdict(record)}"
    if base.finding != head.finding and base.verdict == head.verdict:
        return f"found {base.finding}, now {head.finding}"
    return f"{verdict(base)}, now {verdict(head)}"


def moved(move: Moved) -> str:
    """How an effect size changed."""
    return f"{move.metric} {interval(move.base)}, now {interval(move.head)}"


def costs(base: Record | None, head: Record | None) -> str:
    """How a cost changed."""
    assert base
    assert head
    return f"{seconds(base.seconds)}, now {seconds(head.seconds)}"


def head(judged: list[Record]) -> dict[str, str]:
    """The head of the page: where and how this was measured. Several values stand side by side."""
    measured = [record for record in judged if record.kind == "statistical"]
    times = sorted(record.when for record in judged)
    sequential = [record for record in judged if record.path]
    return {
        "Measured": _span(times),
        "Test time": seconds(math.fsum(record.seconds for record in judged)),
        "Epoch": listed(record.epoch for record in judged),
        "Device": listed(record.device for record in measured) or "none (exact evidence only)",
        "Precision": listed(record.dtype for record in measured) or "exact",
        "Threads": listed(record.threads for record in measured or judged),
        "torch": listed(record.torch for record in judged),
        "Python": listed(record.python for record in judged),
        "Claimlab": listed(record.claimlab for record in judged),
        "Commit": listed(record.commit for record in judged if record.commit),
        "Machine": listed(record.machine for record in judged),
        "Chance of a false alarm": chance(false_alarm(sequential)) if sequential else "",
    }


def _span(times: list[str]) -> str:
    if not times:
        return "never"
    first, last = (time.replace("T", " ").replace("+00:00", "")[:16] for time in (times[0], times[-1]))
    if first == last:
        return f"{first} UTC"
    return f"{first} to {last[11:] if first[:10] == last[:10] else last} UTC"


def interval(effect: Effect) -> str:
    """A mean with its interval."""
    return f"{value(effect.mean)} [{value(effect.low)}, {value(effect.high)}]"


def metrics(record: Record) -> Iterator[tuple[str, str]]:
    """Each metric of a statistical record: its name; median, range and mean with interval over the judged seeds."""
    means = effects(record)
    for name, column in table(record).items():
        if name == "win" or not column:
            continue
        if all(isinstance(entry, bool) for entry in column):
            yield name, f"on {sum(column)} of {counted(len(column), 'seed')}"
            continue
        if not all(isinstance(entry, int | float) for entry in column):
            yield name, f"{len(column)} rows of several numbers each"
            continue
        finite = sorted(entry for entry in column if math.isfinite(entry))
        odd = f"; {len(column) - len(finite)} not finite" if len(finite) < len(column) else ""
        if not finite:
            yield name, "not finite"
        elif finite[0] == finite[-1]:
            yield name, f"{value(finite[0])} on every seed{odd}"
        else:
            mean = f"; mean {interval(means[name])}" if name in means else ""
            yield name, f"{value(_median(finite))} ({value(finite[0])} to {value(finite[-1])}){mean}{odd}"


def _median(ordered: list[float]) -> float:
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def value(entry: Any) -> str:
    """A number as a person reads it, and anything else cut to a readable length."""
    match entry:
        case bool():
            return "yes" if entry else "no"
        case int() if abs(entry) >= 10**18:
            digits = len(str(abs(entry)))
            return _number(f"{entry // 10 ** (digits - 5) / 10**4:.4g}e{digits - 1}") + f" ({digits} digits)"
        case int():
            return _number(f"{entry:,}".replace(",", _NARROW_SPACE) if abs(entry) >= 10**4 else str(entry))
        case float():
            return _number(f"{entry:.5g}")
        case list():
            inside = ", ".join(value(each) for each in entry[:_SHOWN])
            return f"[{inside}{f', … {len(entry)} in all' if len(entry) > _SHOWN else ''}]"
        case dict():
            inside = ", ".join(f"{_cut(name)} = {value(each)}" for name, each in list(entry.items())[:_SHOWN])
            return f"({inside}{f', … {len(entry)} in all' if len(entry) > _SHOWN else ''})"
        case _:
            return _cut(str(entry))


def signed(number: float) -> str:
    """A number of a log-likelihood path, with its sign."""
    return _number(f"{number:+.2f}")


def seconds(duration: float) -> str:
    """A duration, to the precision that means something."""
    if duration < 1:
        return f"{1000 * duration:.0f} ms" if duration >= 0.001 else "under 1 ms"
    return f"{duration:.1f} s" if duration < 60 else f"{duration:.0f} s"


def chance(probability: float) -> str:
    """A small probability, to one digit."""
    return _number(f"{probability:.0e}")


def counted(count: int, noun: str) -> str:
    """`1 seed`, `3 seeds`."""
    return f"{count} {noun}{'s' * (count != 1)}"


def listed(values: Iterable[object]) -> str:
    """Distinct values in order, joined by commas."""
    return ", ".join(sorted({str(each) for each in values}))


def _number(python: str) -> str:
    """Python's spelling of a number as print has it: a true minus sign, and powers of ten raised."""
    mantissa, _, power = python.replace("-", "\N{MINUS SIGN}").partition("e")
    if not power:
        return mantissa
    raised = str(int(python.partition("e")[2])).translate(RAISED)
    return f"{mantissa}{_NARROW_SPACE}\N{MULTIPLICATION SIGN}{_NARROW_SPACE}10{raised}"


def _fractions(python: str) -> str:
    """`Fraction(1, 2)` as 1/2."""
    return re.sub(r"Fraction\((-?\d+), (\d+)\)", lambda it: it[1] if it[2] == "1" else f"{it[1]}/{it[2]}", python)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text)} characters)"
