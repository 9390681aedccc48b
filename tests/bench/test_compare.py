"""The comparison of two revisions, with small cases that need no torch; and the gates' words."""

import json
import math
import statistics
from pathlib import Path

import pytest
import torch

from bench import __main__ as command_line
from bench import compare, environment, gates, history, launch
from bench.compare import Comparison
from bench.gates import Counts
from bench.launch import Launch, Revision
from bench.verdicts import IMPROVED, INCONCLUSIVE, OK, REGRESSED, Plan, Verdict

CASES = """
from collections.abc import Callable
from dataclasses import dataclass
Step = Callable[[], object]

@dataclass(frozen=True)
class Tracked:
    rounds: int
    digest: str
    fails: bool = False
    def make(self):
        return lambda: sum(range(self.rounds))
    def check(self):
        if self.fails:
            raise AssertionError("off by 1")

def settle(): ...
def tracked():
    return {cases}
"""


@pytest.fixture
def revision(tmp_path: Path):
    """Makes a checkout whose cases are the given Python expression."""

    def make(name: str, cases: str) -> Revision:
        package = tmp_path / name / "bench"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "cases.py").write_text(CASES.replace("{cases}", cases))
        return Revision(name, name[0] * 40, tmp_path / name)

    return make


def run(base: Revision, head: Revision) -> Comparison:
    plan = Plan(margin=0.1, looks=(4, 8))
    return compare.compare(base, head, plan, seconds=6, say=lambda words: None)


def verdicts(comparison: Comparison) -> dict[str, str]:
    return {verdict.name: verdict.verdict for verdict in comparison.verdicts}


def test_a_case_of_twice_the_work_regressed_and_of_half_the_work_improved(revision):
    base = revision("base", "{'more': Tracked(20000, 'a'), 'less': Tracked(20000, 'b')}")
    head = revision("head", "{'more': Tracked(40000, 'a'), 'less': Tracked(10000, 'b')}")
    found = run(base, head)
    assert verdicts(found)["more"] == REGRESSED
    assert verdicts(found)["less"] == IMPROVED
    assert found.status == compare.REGRESSED_STATUS
    text = compare.markdown(found)
    assert text.startswith("### Benchmarks: 1 regressed\n")
    assert text.index("| more | REGRESSED | ") < text.index("| less | IMPROVED | ")


def test_a_slowdown_can_be_injected(revision):
    same = "{'same': Tracked(20000, 'a')}"
    found = launch.launch(revision("base", same), revision("head", same), seed=1, seconds=1, slower={"same": 0.6})
    assert 1.3 < math.exp(statistics.median(quad.log_ratio for quad in found.quads["same"])) < 1.9


def test_cases_that_only_one_has_or_that_differ_are_named_and_do_not_gate(revision):
    base = revision("base", "{'kept': Tracked(9000, 'a'), 'gone': Tracked(9, 'b'), 'other': Tracked(9, 'c')}")
    head = revision("head", "{'kept': Tracked(9000, 'a'), 'new': Tracked(9, 'd'), 'other': Tracked(9, 'e')}")
    found = run(base, head)
    assert set(found.streams) == {"kept"}
    assert {name: words.split(":")[0] for name, words in found.left_out.items()} == {
        "gone": "MISSING", "new": "NEW", "other": "CHANGED",
    }  # fmt: skip
    assert found.status != compare.BROKEN_STATUS
    assert "- gone: MISSING: only base has it" in compare.markdown(found)


def test_a_case_that_fails_breaks_the_run_and_the_others_are_timed(revision):
    cases = "{'good': Tracked(9000, 'a'), 'bad': Tracked(9, 'b', fails=True)}"
    found = run(revision("base", cases), revision("head", cases))
    assert set(found.streams) == {"good"}
    assert found.left_out == {"bad": "FAILED: AssertionError: off by 1"}
    assert found.status == compare.BROKEN_STATUS
    assert compare.markdown(found).startswith("### Benchmarks: broken\n")


def test_nothing_in_common_is_broken_and_not_green(revision):
    found = run(revision("base", "{'a': Tracked(9, 'a')}"), revision("head", "{'b': Tracked(9, 'b')}"))
    assert (found.status, found.verdicts) == (compare.BROKEN_STATUS, [])


def test_a_revision_that_cannot_start_says_why(revision):
    base = revision("base", "{'a': Tracked(9, 'a')}")
    with pytest.raises(environment.UnfitError, match=r"head cannot be timed: .*division by zero"):
        run(base, revision("head", "1 / 0"))


def judged(*kinds: str) -> Comparison:
    found = Comparison("base", "head", Plan(), launches=[Launch()])
    found.verdicts = [Verdict(kind.lower(), kind, 1.0, 0.9, 1.1, 0.5, 6) for kind in kinds]
    return found


@pytest.mark.parametrize(
    ("kinds", "status"),
    [((OK, IMPROVED), 0), ((OK, INCONCLUSIVE), 3), ((INCONCLUSIVE, REGRESSED), 1)],
)
def test_exit_statuses(kinds, status):
    assert judged(*kinds).status == status


def test_history_is_appended_a_line_a_case(tmp_path):
    for _ in range(2):
        history.append(tmp_path / "history.jsonl", judged(OK, REGRESSED), base="b" * 40, head="h" * 40)
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert [line["case"] for line in lines] == ["ok", "regressed"] * 2
    assert {line["machine"] for line in lines} == {environment.fingerprint()}


def test_a_history_leads_back_to_its_origin(tmp_path):
    path = tmp_path / "history.jsonl"
    for base, head in (("v1", "a"), ("a", "b"), ("x", "y")):
        found = judged(OK)
        found.verdicts = [Verdict("case", OK, 1.02, 1.01, 1.03, 0.5, 6)]
        history.append(path, found, base=base, head=head)
    first, second, other = history.read(path)
    assert (first["origin"], second["origin"], other["origin"]) == ("v1", "v1", "x")
    _, ratio, high = second["since_origin"]
    assert ratio == pytest.approx(1.02**2, abs=1e-4)
    assert (high - ratio) / ratio == pytest.approx(math.sqrt(2) * 0.01, rel=0.05)
    assert other["since_origin"] == [1.01, 1.02, 1.03]
    history.draw(path, tmp_path / "history.svg")
    assert "<svg" in (tmp_path / "history.svg").read_text()


@pytest.fixture
def by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests may run under xdist, where a comparison is refused."""
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)


@pytest.mark.usefixtures("by_itself")
def test_a_revision_git_does_not_know_is_one_sentence(capsys):
    assert command_line.main(["compare", "no-such-revision"]) == 2
    assert capsys.readouterr().err == "python -m bench: git knows no no-such-revision.\n"


@pytest.mark.usefixtures("by_itself")
def test_two_benchmarks_at_a_time_are_refused(capsys):
    with environment.alone():
        assert command_line.main(["compare", "HEAD"]) == 2
    assert "Another benchmark runs on this machine" in capsys.readouterr().err


def test_under_xdist_nothing_is_compared(capsys, monkeypatch):
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    assert command_line.main(["compare", "HEAD"]) == 2
    assert "run the comparison by itself" in capsys.readouterr().err


def test_gates_name_what_differs_gains_included(tmp_path):
    before = {"a": Counts(100, 7, 64, "channels-last", 0), "gone": Counts(1, 1, 1, "other", 0)}
    now = {"a": Counts(90, 7, 64, "contiguous", 0), "new": Counts(1, 1, 1, "other", 0)}
    assert gates.differences(before, now) == [
        "a: flops 90, not 100.",
        "a: memory format contiguous, not channels-last.",
        "gone: in the table, but no longer a case.",
        "new: a case that the table does not have.",
    ]
    gates.write(now, tmp_path / "gates.json")
    assert gates.differences(gates.read(tmp_path / "gates.json"), now) == []


def test_a_step_that_is_compiled_again_at_every_call_is_counted():
    inputs = (torch.ones(size) for size in range(2, 20))
    double = torch.compile(lambda x: 2 * x, backend="eager", dynamic=False)
    assert gates.count(lambda: double(next(inputs))).recompiled == 1
    assert gates.count(lambda: torch.ones(3) * 2).recompiled == 0


def test_the_committed_gates_hold():
    """No clock: this is the same on every machine of the kind, and belongs to the tests."""
    assert gates.differences(gates.read(), gates.count_all()) == []
