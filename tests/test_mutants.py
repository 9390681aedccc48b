"""The faults that `make mutants` puts in: each can be, and what goes unnoticed is told."""

import ast
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from tests.mutants.__main__ import MUTANTS, ROOT, main
from tests.mutants.mutant import Mutant


@cache
def functions(path: Path) -> set[str]:
    return {node.name for node in ast.parse(path.read_bytes()).body if isinstance(node, ast.FunctionDef)}


def test_every_fault_can_be_put_in():
    wrong = [
        f"{mutant.fault}: the old text is in {mutant.file} {found} times"
        for mutant in MUTANTS
        if (found := (ROOT / mutant.file).read_text(encoding="utf-8").count(mutant.old)) != 1
    ]
    assert wrong == [], "a fault must be put in anew, or taken off the list, when its place changes"
    assert [mutant.fault for mutant in MUTANTS if mutant.old == mutant.new] == []
    assert [fault for fault, count in Counter(mutant.fault for mutant in MUTANTS).items() if count > 1] == []


def test_every_test_that_has_to_notice_is_there():
    missing = []
    for mutant in MUTANTS:
        assert mutant.red, mutant.fault
        for test in mutant.tests:
            file, name = test.split("::")
            if name.partition("[")[0] not in functions(ROOT / file):
                missing.append(f"{mutant.fault}: {test}")
    assert missing == []


def test_a_fault_in_the_judge_reddens_two_tests_at_least():
    judges = [mutant for mutant in MUTANTS if mutant.file.startswith("claimlab/judge/")]
    assert judges
    assert [mutant.fault for mutant in judges if len(set(mutant.red)) < 2 and not mutant.equivalent] == []


CODE = "def add(a, b):\n    return a + b\n\n\ndef same(a):\n    return a\n"
TESTS = """
import pytest
from claimlab.adding import add, same

@pytest.mark.parametrize("b", [0, 1])
def test_add(b):
    assert add(2, b) == 2 + b

def test_same():
    assert same(3) == 3
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of one module."""
    for place, text in (("claimlab/adding.py", CODE), ("tests/test_adding.py", TESTS), ("pyproject.toml", "")):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text(text)
    return tmp_path


def mutant(fault: str, old: str, new: str, *red: str, equivalent: str = "") -> Mutant:
    tests = tuple(f"tests/test_adding.py::{name}" for name in red)
    return Mutant(fault=fault, file="claimlab/adding.py", old=old, new=new, red=tests, equivalent=equivalent)


def test_what_goes_unnoticed_is_told(project: Path, capsys):
    """A parametrized test notices if one of its cases does."""
    noticed = mutant("subtracts", "a + b", "a - b", "test_add")
    same = mutant("adds the other way round", "a + b", "b + a", "test_add", equivalent="addition commutes")
    assert main(["--jobs", "1"], root=project, mutants=[noticed, same]) == 0
    said = capsys.readouterr().out
    assert "1 of 2  noticed " in said
    assert "2 of 2  equivalent " in said
    assert "2 mutants, 1 of them equivalent, 0 not as they should be." in said
    bad = [
        mutant("is half noticed", "return a\n", "return 4\n", "test_same", "test_add"),
        mutant("is said to be none", "return a\n", "return 4\n", "test_same", equivalent="it is not"),
        mutant("has no place", "a * b", "a - b", "test_add"),
        mutant("breaks the module", "def same", "deaf same", "test_add"),
    ]
    assert main(["--jobs", "1"], root=project, mutants=[noticed, *bad]) == 1
    said = capsys.readouterr().out
    assert "survives: is half noticed\n  in claimlab/adding.py\n  green: tests/test_adding.py::test_add\n" in said
    assert "is noticed, though it is said to be equivalent: is said to be none" in said
    assert "cannot be tried: has no place\n  the old text is in claimlab/adding.py 0 times, not once" in said
    assert "cannot be tried: breaks the module\n  tests/test_adding.py::test_add did not run: " in said
    assert "5 mutants, 1 of them equivalent, 4 not as they should be." in said
    assert (project / "claimlab/adding.py").read_text() == CODE


def test_tests_that_are_red_without_a_fault_prove_nothing(project: Path, capsys):
    (project / "claimlab/adding.py").write_text(CODE.replace("a + b", "a - b"))
    assert main(["--jobs", "1"], root=project, mutants=[mutant("adds", "a - b", "a + b", "test_add")]) == 1
    assert "Without any fault there is already:\ntests/test_adding.py::test_add" in capsys.readouterr().out
