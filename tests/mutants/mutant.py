"""A fault that is put in by hand, and what comes of the tests that have to notice it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

COPIED = ("claimlab", "claims", "tests", "docs", "conftest.py", "pyproject.toml")
"""What a copy of the project has: what a fault may be put into, and what the tests need."""


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """A fault: in `file` the text `old`, which is there once, becomes `new`.

    Each test of `red` has to go red. A name without a file is a test of the mutated file itself. Where `equivalent`
    gives a reason why the fault is none, the tests have to stay green instead.
    """

    fault: str
    file: str
    old: str
    new: str
    red: tuple[str, ...]
    equivalent: str = ""

    @property
    def tests(self) -> tuple[str, ...]:
        """The tests by file and name."""
        return tuple(test if "::" in test else f"{self.file}::{test}" for test in self.red)


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant: the tests that were not as they should be, or why it could not be tried."""

    mutant: Mutant
    wrong: tuple[str, ...]
    problem: str
    seconds: float

    @property
    def good(self) -> bool:
        """Whether all tests noticed it; or none, if it is equivalent."""
        return not self.wrong and not self.problem


def copy_of(root: Path, place: Path) -> Path:
    """A copy of the project at `place`, without caches."""
    for name in COPIED:
        if (root / name).is_dir():
            shutil.copytree(root / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif (root / name).exists():
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, place / name)
    return place


def tried(mutant: Mutant, copy: Path) -> Outcome:
    """Put the fault into a copy of the project, run the tests, and take it out again."""
    started = time.perf_counter()
    path = copy / mutant.file
    whole = path.read_text(encoding="utf-8") if path.exists() else ""
    if (found := whole.count(mutant.old)) != 1:
        return Outcome(mutant, (), f"the old text is in {mutant.file} {found} times, not once", 0.0)
    path.write_text(whole.replace(mutant.old, mutant.new), encoding="utf-8")
    try:
        red, problem = red_tests(mutant.tests, copy)
    finally:
        path.write_text(whole, encoding="utf-8")
    wrong = tuple(test for test in mutant.tests if (test in red) is bool(mutant.equivalent))
    return Outcome(mutant, () if problem else wrong, problem, time.perf_counter() - started)


def red_tests(tests: Iterable[str], copy: Path) -> tuple[set[str], str]:
    """Which of these tests are red in a copy of the project; and why they could not be run, or nothing.

    Of a parametrized test that is named without a case, one red case is enough.
    """
    tests, told = list(dict.fromkeys(tests)), copy / "told.xml"
    told.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "pytest_timeout", *tests]
    command += ["--junit-xml", str(told), "-o", "junit_family=xunit1"]
    if any(test.startswith("claims/") for test in tests):
        command += ["--claims-report", str(copy / "reports" / "mutants")]
    # Without bytecode, which Python would take for that of the text before: it goes by the size and the second.
    own = {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    own["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # the plugins that a run does without cost a second each time
    run = subprocess.run(command, cwd=copy, env=os.environ | own, capture_output=True, text=True)
    if not told.exists():
        return set(), run.stdout[-2000:] + run.stderr[-2000:]
    red, seen = set(), set()
    for case in ElementTree.parse(told).iter("testcase"):
        name = f"{case.get('file')}::{case.get('name')}"
        names = {name, name.partition("[")[0]}
        seen |= names
        if case.find("failure") is not None or case.find("error") is not None:
            red |= names
    missing = sorted(set(tests) - seen)
    last = run.stdout.strip().splitlines()[-1:] if missing else []
    return red, f"{', '.join(missing)} did not run: {' '.join(last)}" if missing else ""


def summary(outcomes: Sequence[Outcome]) -> str:
    """What there is to mend, a paragraph a mutant, and the totals."""
    lines = []
    for outcome in outcomes:
        if outcome.problem:
            lines += [f"cannot be tried: {outcome.mutant.fault}", f"  {outcome.problem}"]
        elif outcome.wrong:
            said = "is noticed, though it is said to be equivalent" if outcome.mutant.equivalent else "survives"
            lines += [f"{said}: {outcome.mutant.fault}", f"  in {outcome.mutant.file}"]
            lines += [f"  {'red' if outcome.mutant.equivalent else 'green'}: {test}" for test in outcome.wrong]
    equivalent = sum(bool(outcome.mutant.equivalent) for outcome in outcomes)
    bad = sum(not outcome.good for outcome in outcomes)
    lines.append(f"{len(outcomes)} mutants, {equivalent} of them equivalent, {bad} not as they should be.")
    return "\n".join(lines)
