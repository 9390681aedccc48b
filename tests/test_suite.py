"""Checks of the claims as a whole, and of the house: what all of them promise together."""

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

from claimlab import Statistical
from claimlab.declare import deck, excuses, rules
from claimlab.declare.digest import digest
from claimlab.declare.modules import claim_modules, load
from claimlab.declare.questions import Question, questions
from claimlab.judge import sequential
from claimlab.plugin.options import certified_epoch
from claimlab.records import files
from claimlab.records.record import Record

ROOT = Path(__file__).parents[1]
CLAIMS = ROOT / "claims"
CERTIFICATES = ROOT / "reports" / "reference" / files.CERTIFICATES

NIGHTS = 3652  # ten years
TESTS_A_NIGHT = 100
CERTIFIED_SEEDS = 100

LONGEST_STATEMENT = 70
LINES = 320


@cache
def modules() -> dict[Path, ModuleType]:
    return {path: load(path) for path in claim_modules(CLAIMS)}


@cache
def statistical() -> dict[str, tuple[Path, Question, Statistical]]:
    """The suite's statistical questions with their modules and plans, by `claim::test`."""
    return {
        f"{question.claim.id}::{question.test}": (path, question, question.plan)
        for path, module in modules().items()
        for question in questions(module)
        if isinstance(question.plan, Statistical)
    }


@cache
def certificates() -> dict[str, Record]:
    """The certificates drawn on the CPU, by `claim::test`. One of another schema is none."""
    read = files.read(CERTIFICATES)[0] if CERTIFICATES.exists() else []
    return {f"{record.claim}::{record.test}": record for record in read if record.device == "cpu"}


# -- the claims ----------------------------------------------------------------------------------------------------


def test_there_are_claims():
    assert modules()
    assert statistical()


def test_every_module_keeps_the_rules():
    its_deck = deck.read(CLAIMS)
    assert its_deck.slides, "without slides any title would do"
    assert {
        path.name: found
        for path, module in modules().items()
        if (found := list(rules.complaints(module, path, CLAIMS, its_deck)))
    } == {}


def test_ids_and_catalogue_entries_are_each_used_once():
    ids = Counter(module.CLAIM.id for module in modules().values())
    covers = Counter(entry for module in modules().values() for entry in module.CLAIM.covers)
    assert [name for name, count in (ids + covers).items() if count > 1] == []


def test_no_declaration_is_a_stub():
    stubs = [
        f"{module.CLAIM.id}: {field} {words!r}"
        for module in modules().values()
        for field in ("slide", "says", "statement", "reason", "scope", "source")
        if len((words := getattr(module.CLAIM, field)).strip(" .")) < 8
    ]
    assert stubs == []


def test_a_statement_can_be_read_aloud():
    """About sixty words: numbers of sizes, budgets and margins stand in the tests' docstrings."""
    words = {module.CLAIM.id: len(module.CLAIM.statement.split()) for module in modules().values()}
    assert {claim: count for claim, count in words.items() if count > LONGEST_STATEMENT} == {}


def test_ten_years_of_nights_raise_a_false_alarm_with_a_chance_below_four_percent():
    """The budget: each test's exact chance to go red though all is well, over 100 tests a night or all there are.

    It holds all tests whose chance is bounded beforehand. Exact tests and controls of properties draw nothing, and for
    properties that are to hold the weekly run of `tests/fresh.py` counts.
    """
    chances = {
        name: sequential.false_alarm(plan, asks=question.asks) for name, (_, question, plan) in statistical().items()
    }
    a_night = max(1, TESTS_A_NIGHT / len(chances)) * sum(chances.values())
    assert a_night * NIGHTS < 0.04, f"{a_night * NIGHTS:.3f} in ten years; the largest: " + ", ".join(
        f"{name} {chances[name]:.1e}" for name in sorted(chances, key=chances.__getitem__)[-5:]
    )


def test_every_statistical_test_has_a_certificate_that_is_up_to_date():
    wrong = [
        f"{name} {why}"
        for name, (path, question, plan) in statistical().items()
        if (why := what_is_wrong(certificates().get(name), path, question, plan))
    ]
    assert not wrong, "Certificates to draw anew, by `make certify`:\n" + "\n".join(wrong)


def what_is_wrong(certificate: Record | None, path: Path, question: Question, plan: Statistical) -> str:
    """Why a certificate does not vouch for its test as it stands, or nothing."""
    if certificate is None:
        return "has no certificate"
    if certificate.version != question.claim.version:
        return "has a certificate of another version of the claim"
    if certificate.digest != digest(path):
        return "has a certificate from before its code, or an instrument's, changed"
    drawn = certified_epoch(digest(path))
    if (certificate.epoch, certificate.asks, certificate.plan) != (drawn, question.asks, asdict(plan)):
        return "has a certificate of another epoch, question or plan"
    if certificate.wins is None or certificate.n is None or certificate.n < CERTIFIED_SEEDS:
        return f"has a certificate of fewer than {CERTIFIED_SEEDS} seeds"
    certified = sequential.certifies(certificate.wins, certificate.n, plan, asks=question.asks)
    if not certified or not certificate.passed:
        return f"won {certificate.wins} of {certificate.n} seeds: find a larger effect, not a smaller margin"
    return ""


def test_no_certificate_is_left_of_a_test_that_is_gone():
    gone = sorted(certificates().keys() - statistical().keys())
    assert gone == [], f"delete reports/reference/{files.CERTIFICATES} and run `make certify`"


def test_every_excused_test_is_there_and_computes_in_the_precision_of_the_run():
    listed = {name for tests in excuses.read(CLAIMS).values() for name in tests}
    own = {name for name, (_, _, plan) in statistical().items() if plan.dtype is not None}
    assert sorted(listed - statistical().keys()) == [], "no statistical tests of the suite"
    assert sorted(listed & own) == [], "they compute in a precision of their own, so nothing excuses them"


# -- the house -----------------------------------------------------------------------------------------------------

INSTRUMENTS = ("data", "measure", "nets", "parts", "train")

MAY_IMPORT = {
    "seeds": (),
    **dict.fromkeys(INSTRUMENTS, (*INSTRUMENTS, "seeds")),
    "declare": (),
    "judge": ("declare", "seeds", "parts"),
    "records": ("judge", "declare"),
    "report": ("records", "judge", "declare"),
    "draw": ("report",),
    "plugin": ("report", "records", "judge", "declare"),
    "__main__": ("report", "records", "judge", "declare"),
    "__init__": ("declare", "seeds"),
}
"""The parts of claimlab, and what each may import besides itself."""


def imports(path: Path) -> Iterator[str]:
    """The modules that a file imports to run, with the names it takes from them; not what is for a type checker."""
    waiting: list[ast.AST] = [ast.parse(path.read_bytes())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            waiting += node.orelse
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path.name} imports by dots"
            yield from (f"{node.module}.{name.name}" for name in node.names)
        else:
            waiting += ast.iter_child_nodes(node)


def parts_of_claimlab(path: Path) -> set[str]:
    """The parts of claimlab that a file imports something of."""
    told = (name.split(".") for name in imports(path))
    parts = {name[1] if len(name) > 1 else "__init__" for name in told if name[0] == "claimlab"}
    return {part if part in MAY_IMPORT else "__init__" for part in parts}


def files_of_claimlab() -> list[Path]:
    return sorted((ROOT / "claimlab").rglob("*.py"))


def test_arrows_point_one_way():
    wrong = {}
    for path in files_of_claimlab():
        part = path.relative_to(ROOT / "claimlab").parts[0].removesuffix(".py")
        beyond = parts_of_claimlab(path) - {part, "__init__", *MAY_IMPORT[part]}
        if beyond:
            wrong[path.relative_to(ROOT).as_posix()] = sorted(beyond)
    assert wrong == {}


def test_claims_import_instruments_and_no_other_claim():
    allowed = {*INSTRUMENTS, "seeds", "draw", "__init__"}
    wrong = {path.name: beyond for path in modules() if (beyond := sorted(parts_of_claimlab(path) - allowed))}
    assert wrong == {}
    others = [path.name for path in modules() if any(name.partition(".")[0] == "claims" for name in imports(path))]
    assert others == []


def test_nothing_in_claimlab_imports_a_claim_a_test_or_a_benchmark():
    outside = ("claims", "tests", "bench")
    assert [path.name for path in files_of_claimlab() if any(it.split(".")[0] in outside for it in imports(path))] == []


def test_no_module_is_longer_than_can_be_read():
    long = {path.name: lines for path in files_of_claimlab() if (lines := len(path.read_text().splitlines())) > LINES}
    assert long == {}


@pytest.mark.parametrize(
    "names",
    [
        "claimlab",
        "claimlab.plugin, claimlab.plugin.options, claimlab.plugin.collection, claimlab.plugin.fixture",
        "claimlab.plugin.recorder, claimlab.report.page",
        "claimlab.declare.questions, claimlab.declare.rules, claimlab.declare.digest, claimlab.declare.excuses",
        "claimlab.judge.sequential, claimlab.judge.task, claimlab.judge.evidence",
        "claimlab.records.files, claimlab.records.tally, claimlab.records.provenance",
    ],
)
def test_torch_is_loaded_only_when_a_claim_needs_it(names: str):
    code = f"import sys, {names}; print('torch' in sys.modules)"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert printed.strip() == "False"
