"""The table after a run."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from claimlab.records.record import Record
from claimlab.records.tally import evidence, false_alarm, findings


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
            good = all(test.good for test in tests) and tests[0].module not in broken
            seconds = sum(test.seconds for test in tests)
            mark = "--  " if tests[0].declared else "ok  " if good else "FAIL"
            line = f"  {mark} {tests[0].finding:<10} {_name(tests[0]):<{width}}  {evidence(tests)}  {seconds:.1f} s"
            yield line, {"green": good, "red": not good}
    counts = ", ".join(f"{count} {finding}" for finding, count in findings(claims))
    yield "", {}
    tested = sum(not record.declared for record in judged)
    failed = sum(not record.good for record in judged)
    totals = f"{len(claims)} claims: {counts}. {tested} tests judged, {failed} not as found."
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


def _name(record: Record) -> str:
    return f"{' '.join(record.covers):<6} {record.claim.partition('/')[2]}"
