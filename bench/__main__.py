"""`python -m bench`: compare two revisions, check the exact gates, measure how sensitive the comparison is."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import compare, environment, gates, history, sensitivity
from bench.environment import UnfitError
from bench.launch import LAUNCH_SECONDS, Revision
from bench.verdicts import Plan

MINUTES = (5 + LAUNCH_SECONDS * Plan().looks[-1]) / 60

_STATUS = """\
exit status:
  0  no regression
  1  a case regressed, or a gate does not hold
  2  broken: nothing was compared, or a case could not be timed
  3  inconclusive: the machine's noise hides changes as large as the margin (--allow-inconclusive makes it 0)
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the return value is the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Is it slower than before, and how sure is that?"
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    paired = commands.add_parser(
        "compare",
        help="time two revisions in turn and say which cases regressed",
        epilog=_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    paired.add_argument("base", metavar="BASE", help="the revision to compare with: a branch, tag or commit")
    paired.add_argument(
        "head", metavar="HEAD", nargs="?", default="HEAD", help="the revision in question (default: HEAD)"
    )
    paired.add_argument("--only", metavar="WORDS", default="", help="only cases whose name holds WORDS")
    paired.add_argument("--minutes", type=float, default=MINUTES, help=f"the most it may take (default: {MINUTES:.1f})")
    paired.add_argument(
        "--margin", type=float, default=1.0, help="the slowdown in percent that does not matter (default: 1)"
    )
    paired.add_argument("--allow-inconclusive", action="store_true", help="exit with 0 where nothing could be decided")
    _add_output(paired, "comparison.json, comparison.md, history.jsonl and its charts")
    paired.set_defaults(run=_compare)
    exact = commands.add_parser(
        "gates", help="check FLOPs, operators, bytes kept and memory format against bench/gates.json"
    )
    exact.add_argument("--update", action="store_true", help="write what is counted now into bench/gates.json")
    exact.set_defaults(run=_gates)
    power = commands.add_parser(
        "sensitivity",
        help="time this checkout against itself, with slowdowns of known size, and say what compare would call",
    )
    power.add_argument(
        "--minutes", type=float, default=40.0, help="how long to record; 0 judges what is there (default: 40)"
    )
    power.add_argument("--busy", action="store_true", help="keep the other core at work meanwhile")
    _add_output(power, "sensitivity.jsonl is added to, and the table and the curves")
    power.set_defaults(run=_sensitivity)
    chosen = parser.parse_args(arguments)
    try:
        return chosen.run(chosen)
    except UnfitError as error:
        print(f"python -m bench: {error}", file=sys.stderr)
        return compare.BROKEN_STATUS


def _add_output(command: argparse.ArgumentParser, what: str) -> None:
    command.add_argument(
        "--output", type=Path, metavar="DIR", default=Path("reports/benchmarks"),
        help=f"where {what} go (default: reports/benchmarks)",
    )  # fmt: skip


def _compare(chosen: argparse.Namespace) -> int:
    environment.check()
    plan = Plan(margin=chosen.margin / 100)
    with environment.alone(), compare.checked_out([chosen.base, chosen.head]) as (base, head):
        run = compare.compare(base, head, plan, seconds=60 * chosen.minutes, only=chosen.only, say=_say)
    chosen.output.mkdir(parents=True, exist_ok=True)
    text = compare.markdown(run)
    (chosen.output / "comparison.json").write_text(json.dumps(compare.to_json(run)) + "\n", encoding="utf-8")
    (chosen.output / "comparison.md").write_text(text, encoding="utf-8")
    if run.verdicts:
        history.append(chosen.output / "history.jsonl", run, base=base.commit, head=head.commit)
        history.draw(chosen.output / "history.jsonl", chosen.output / "history.svg")
    print(text, end="")
    if run.status == compare.INCONCLUSIVE_STATUS and chosen.allow_inconclusive:
        return compare.OK_STATUS
    return run.status


def _sensitivity(chosen: argparse.Namespace) -> int:
    from bench import curve
    from bench.cases import tracked

    environment.check()
    plan, path = Plan(), chosen.output / sensitivity.RECORDING
    if launches := round(60 * chosen.minutes / LAUNCH_SECONDS):
        here = Revision("this checkout", "", compare.ROOT)
        with environment.alone():
            sensitivity.record(
                path, here, list(tracked()), launches=launches, seconds=LAUNCH_SECONDS, busy=chosen.busy, say=_say
            )
    if not path.exists():
        raise UnfitError(f"{path} does not exist; record something first.")
    recorded = sensitivity.read(path)
    try:
        judged = curve.judge(recorded, plan)
    except ValueError as error:
        raise UnfitError(f"Nothing can be said yet: {error}.") from None
    text = curve.table(judged)
    (chosen.output / sensitivity.TABLE).write_text(text, encoding="utf-8")
    curve.draw(judged, chosen.output / sensitivity.CURVE)
    print(text, end="")
    return 0


def _gates(chosen: argparse.Namespace) -> int:
    counted = gates.count_all()
    if chosen.update:
        gates.write(counted)
        print(f"written: {gates.TABLE.relative_to(compare.ROOT)}")
        return 0
    differences = gates.differences(gates.read(), counted)
    for sentence in differences:
        print(sentence)
    print(f"{len(counted)} cases, {len(differences)} differences from bench/gates.json.")
    if differences:
        print("If they are meant, gains included, write them down: python -m bench gates --update")
    return int(bool(differences))


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
