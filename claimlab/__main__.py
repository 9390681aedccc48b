"""`python -m claimlab report RECORDS...`: the report of a run, made again from its records."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from claimlab import __version__
from claimlab.declare import deck as decks
from claimlab.declare.modules import FOLDER
from claimlab.records import files, history
from claimlab.records.record import Record

# pytest's own words for it: 4 is a wrong command line.
WRITTEN, LEFT_SOMETHING_OUT, USAGE = 0, 1, 4
_SHOWN = 20

FORMATS = {"html": "index.html", "markdown": "summary.md", "json": "claims.json"}
"""The forms of a report, and the file each is written to."""

_EPILOG = """\
exit status:
  0  the report was written
  1  the report was written, but lines of RECORDS could not be read; the report and stderr name them
  4  nothing was written; stderr says why

examples:
  python -m claimlab report reports/latest
  python -m claimlab report cpu/records.jsonl cuda/records.jsonl --output both.html
  python -m claimlab report reports/latest --against before/records.jsonl
  python -m claimlab report reports/latest --format markdown --output -
"""


class UsageError(Exception):
    """Why nothing was written, in one sentence."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"{self.prog}: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the return value is the exit status."""
    parser = _Parser(prog="python -m claimlab", description="Claimlab's command line. Claims are judged by pytest.")
    parser.add_argument("--version", action="version", version=f"claimlab {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    report = commands.add_parser(
        "report",
        help="make the report of a run again from its records, or compare two runs",
        description="Make the report again from record files, without judging anything. The figures are drawn by "
        " the claim modules of the project you are in.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    report.add_argument(
        "records",
        nargs="+",
        type=Path,
        metavar="RECORDS",
        help="a file of records (records.jsonl), or the directory a run wrote it to",
    )
    report.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="the file to write, or - for stdout (default: index.html, summary.md or claims.json beside the first "
        "RECORDS)",
    )
    report.add_argument(
        "--format",
        choices=tuple(FORMATS),
        default="html",
        help="html: the page; markdown: a summary for a pull request; json: every claim for other programs "
        "(default: html)",
    )
    report.add_argument(
        "--against",
        type=Path,
        metavar="RECORDS",
        help="another run to compare with (html and markdown): its verdicts stand beside these, and what changed first",
    )
    report.add_argument(
        "--root",
        type=Path,
        metavar="DIR",
        help="the project whose claims/ draw the figures (default: the nearest directory upwards that has claims/)",
    )
    chosen = parser.parse_args(arguments)
    try:
        return write_report(
            chosen.records, output=chosen.output, root=chosen.root, form=chosen.format, against=chosen.against
        )
    except UsageError as error:
        print(f"python -m claimlab report: {error}", file=sys.stderr)
        return USAGE


def write_report(
    sources: Sequence[Path],
    *,
    output: Path | None = None,
    root: Path | None = None,
    form: str = "html",
    against: Path | None = None,
) -> int:
    """Read the record files, write the report, and say on stderr what could not be read."""
    if against and form == "json":
        raise UsageError("--against compares in html and markdown; claims.json holds one run, so write one for each.")
    judged, complaints = _read_all(sources)
    base, unread = _read_all([against]) if against else (None, [])
    complaints += unread
    past = history.read(_file(sources[0]).with_name(history.FILE))
    text = _written(form, judged, base, complaints, past, root or _project(Path.cwd()))
    output = output or _file(sources[0]).with_name(FORMATS[form])
    if str(output) == "-":
        sys.stdout.write(text)
    else:
        try:
            output.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"the report {output} cannot be written ({error.strerror}).") from error
    for sentence in complaints[:_SHOWN]:
        print(f"left out: {sentence}", file=sys.stderr)
    if len(complaints) > _SHOWN:
        print(f"left out: {len(complaints) - _SHOWN} more lines.", file=sys.stderr)
    if str(output) != "-":
        print(f"report: {output}")
    return LEFT_SOMETHING_OUT if complaints else WRITTEN


def _written(
    form: str,
    judged: list[Record],
    base: list[Record] | None,
    complaints: list[str],
    past: list[history.Past],
    root: Path,
) -> str:
    from claimlab.report import compare, page, summary

    try:
        deck = decks.read(root / FOLDER)
    except decks.BadDeckError as error:
        raise UsageError(str(error)) from None
    match form:
        case "json":
            return summary.claims_json(judged, deck, complaints)
        case "markdown":
            changes = None if base is None else compare.changes(base, judged)
            return summary.markdown(judged, deck, complaints, changes)
        case _:
            return page.render(judged, root=root, complaints=complaints, base=base, history=past)


def _read_all(sources: Sequence[Path]) -> tuple[list[Record], list[str]]:
    judged: list[Record] = []
    complaints: list[str] = []
    for source in sources:
        found, unread = _read(_file(source))
        judged += found
        complaints += unread
    return judged, complaints


def _file(source: Path) -> Path:
    return source / files.RECORDS if source.is_dir() else source


def _read(file: Path) -> tuple[list[Record], list[str]]:
    try:
        found, complaints = files.read(file)
    except FileNotFoundError:
        raise UsageError(f"there is no file {file}.") from None
    except OSError as error:
        raise UsageError(f"{file} cannot be read ({error.strerror}).") from None
    if not found and not complaints:
        raise UsageError(f"{file} is empty: the run that wrote it judged nothing.")
    if not found:
        raise UsageError(f"{file} holds no claimlab records ({complaints[0].rstrip('.')}).")
    return found, complaints


def _project(here: Path) -> Path:
    return next((directory for directory in (here, *here.parents) if (directory / FOLDER).is_dir()), here)


if __name__ == "__main__":
    sys.exit(main())
