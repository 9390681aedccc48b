"""`python -m claimlab report RECORDS...`: the report of a run, made again from its records."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from claimlab import __version__, records

# pytest's own words for it: 4 is a wrong command line.
WRITTEN, LEFT_SOMETHING_OUT, USAGE = 0, 1, 4
_SHOWN = 20

_EPILOG = """\
exit status:
  0  the page was written
  1  the page was written, but lines of RECORDS could not be read; the page and stderr name them
  4  nothing was written; stderr says why

examples:
  python -m claimlab report reports/latest
  python -m claimlab report cpu/records.jsonl cuda/records.jsonl --output both.html
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
        help="make the HTML report of a run again from its records",
        description="Make the HTML report again from record files, without judging anything. The figures are drawn "
        "by the claim modules of the project you are in.",
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
        metavar="PAGE",
        help="the page to write (default: index.html beside the first RECORDS)",
    )
    report.add_argument(
        "--root",
        type=Path,
        metavar="DIR",
        help="the project whose claims/ draw the figures (default: the nearest directory upwards that has claims/)",
    )
    chosen = parser.parse_args(arguments)
    try:
        return write_report(chosen.records, output=chosen.output, root=chosen.root)
    except UsageError as error:
        print(f"python -m claimlab report: {error}", file=sys.stderr)
        return USAGE


def write_report(sources: Sequence[Path], *, output: Path | None = None, root: Path | None = None) -> int:
    """Read the record files, write the page, and say on stderr what could not be read."""
    from claimlab.report import page

    files = [source / "records.jsonl" if source.is_dir() else source for source in sources]
    judged: list[records.Record] = []
    complaints: list[str] = []
    for file in files:
        found, unread = _read(file)
        judged += found
        complaints += unread
    output = output or files[0].with_name("index.html")
    text = page.render(judged, root=root or _project(Path.cwd()), complaints=complaints)
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"the page {output} cannot be written ({error.strerror}).") from error
    for sentence in complaints[:_SHOWN]:
        print(f"left out: {sentence}", file=sys.stderr)
    if len(complaints) > _SHOWN:
        print(f"left out: {len(complaints) - _SHOWN} more lines.", file=sys.stderr)
    print(f"report: {output}")
    return LEFT_SOMETHING_OUT if complaints else WRITTEN


def _read(file: Path) -> tuple[list[records.Record], list[str]]:
    try:
        found, complaints = records.read(file)
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
    return next((directory for directory in (here, *here.parents) if (directory / "claims").is_dir()), here)


if __name__ == "__main__":
    sys.exit(main())
