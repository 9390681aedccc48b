"""The table after a run."""

import re
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from itertools import groupby

from claimlab.records.record import Record
from claimlab.records.tally import State, evidence, false_alarm, findings, state, unconfirmed

_MARKS = {State.CONFIRMED: "ok  ", State.RED: "FAIL", State.PART: "part"}


def summary(
    judged: list[Record], unjudged: Sequence[str] = (), *, claims_there: int = 0, interrupted: bool = False
) -> Iterator[tuple[str, dict[str, bool]]]:
    """One line a claim, grouped by section, then the totals; each with the markup it is written in.

    `unjudged` names the tests that failed before they could be judged; they leave no record. `claims_there` is how many
    claims the project has.
    """
    broken = {test.partition("::")[0] for test in unjudged}
    in_order = sorted(judged, key=lambda record: (record.claim, record.test, record.device))
    by_section = groupby(in_order, key=lambda record: record.section)
    width = max(len(_name(record)) for record in judged)
    claims: list[list[Record]] = []
    for section, of_section in by_section:
        yield section, {"bold": True}
        for _, of_claim in groupby(of_section, key=lambda record: record.claim):
            tests = list(of_claim)
            claims.append(tests)
            came = State.RED if tests[0].module in broken else state(tests)
            seconds = sum(test.seconds for test in tests)
            mark = "--  " if tests[0].declared else _MARKS[came]
            few = f"; {len({test.test for test in tests})} of {tests[0].of} tests" if came is State.PART else ""
            line = (
                f"  {mark} {tests[0].finding:<10} {_name(tests[0]):<{width}}  {evidence(tests)}{few}  {seconds:.1f} s"
            )
            yield line, {"green": came is State.CONFIRMED, "red": came is State.RED, "yellow": came is State.PART}
    counts = ", ".join(f"{count} {which}" for which, count in [*findings(claims), *unconfirmed(claims)])
    yield "", {}
    tested = sum(not record.declared for record in judged)
    failed = sum(not record.good for record in judged)
    of_all = f"{len(claims)} of {claims_there}" if len(claims) < claims_there else f"{len(claims)}"
    totals = f"{of_all} claim{'s' if of_all != '1' else ''}: {counts}. {tested} tests judged, {failed} not as found."
    if interrupted:
        totals = f"Interrupted. {totals}"
    if chance := false_alarm(judged):
        totals += f" Chance of a false alarm in fresh worlds: {chance:.0e}."
    yield totals, {"bold": True}
    if excused := [record for record in judged if record.excused]:
        surprises = [f"{record.claim}::{record.test}" for record in excused if record.passed]
        yield f"{len(excused) - len(surprises)} tests came out otherwise, as is expected in {excused[0].dtype}.", {}
        if surprises:
            yield f"As found although not expected, take them off the list: {', '.join(surprises)}.", {"yellow": True}
    if unjudged:
        yield f"Not judged, see above: {', '.join(unjudged)}.", {"red": True}


def nothing_selected(wanted: str, names: Iterable[str]) -> str:
    """What to say of a `-k` that selects no claim: the names that are near."""
    folded = {name.casefold(): name for name in names}
    words = [word for word in re.findall(r"[\w-]+", wanted.casefold()) if word not in ("and", "or", "not")]
    near = {folded[each]: None for word in words for each in get_close_matches(word, folded, n=3)}
    hint = f"near names: {', '.join(near)}" if near else "`pytest claims --collect-only -q` lists all claims"
    return f"No claim matches -k {wanted!r}; {hint}."


def _name(record: Record) -> str:
    return f"{' '.join(record.covers):<6} {record.claim.partition('/')[2]}"
