"""The pytest side, used as its users do: small claims are written to a folder and `pytest claims` is run on them."""

import re
import shlex
import sys
from pathlib import Path

import hypothesis.internal.conjecture.providers  # noqa: F401
import pytest
import torch

import claimlab.report.page
from claimlab.declare import modules as discover
from claimlab.plugin.recorder import load_what_figures_need
from claimlab.records import record as records
from claimlab.records.record import Record

# hypothesis above and all this are loaded because a run inside this process forgets what it was the first to load.
load_what_figures_need()

HEAD = """
from claimlab import Certificate, Claim, Exact, Property, Rows, Statistical

CLAIM = Claim(
    id={id!r}, covers=("T1",), slide="A slide", version=1, finding={finding!r}, says="It is said.",
    statement="A draw stays below the bound.", reason="It was looked at.", scope="normal draws", source="nobody",
    evidence={evidence},
)
"""

TRIAL = """
def trial(seeds, bound=3.5):
    draw = seeds.normal("draw")
    return Rows(win=draw < bound, draw=draw)

def test_claim(judge):
    "Almost every draw is small."
    judge(trial).supports()

def test_control_low_bound(judge):
    judge(trial, bound=-3.5).refutes()
"""

EXACT = """
def check(a=2, b=2):
    return Certificate(a + b == 4, sum=a + b)

def test_claim(judge):
    judge(check).supports()

def test_control_other_numbers(judge):
    judge(check, b=3).refutes()
"""

PROPERTY = """
from hypothesis import strategies as st

def check(number, bound=2000):
    return Certificate(number < bound, number=number)

def test_claim(judge):
    judge(check, given=st.integers(0, 1000)).supports()

def test_control_tight_bound(judge):
    judge(check, given=st.integers(0, 1000), bound=700).refutes()
"""

RAISES = """
def trial(seeds):
    return broken(seeds)

def broken(seeds):
    raise RuntimeError("the shapes do not fit")

def test_claim(judge):
    judge(trial).supports()

def test_control(judge):
    judge(trial).refutes()
"""


class Bench:
    """A project with claims of its own, and pytest to run it."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester, self.path = pytester, pytester.path
        pytester.makeconftest("pytest_plugins = ['claimlab.plugin']")
        pytester.makeini("[pytest]\naddopts = --strict-markers --import-mode=importlib")

    def write(
        self, name: str, body: str, *, id: str | None = None, finding: str = "holds", evidence: str = "Statistical()"
    ) -> Path:
        """Add the claim module claims/sec/test_<name>.py."""
        head = HEAD.format(id=id or f"sec/{name.replace('_', '-')}", finding=finding, evidence=evidence)
        return self.write_raw(name, head + body)

    def write_raw(self, name: str, text: str) -> Path:
        path = self.path / "claims" / "sec" / f"test_{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def run(self, *arguments: str) -> pytest.RunResult:
        """`pytest ARGUMENTS` in this process; an interrupt comes back as its exit status."""
        return self.pytester.runpytest_inprocess(
            "-p", "no:cacheprovider", *(arguments or ("claims",)), no_reraise_ctrlc=True
        )

    def records(self, folder: str = "reports/latest", name: str = "records.jsonl") -> list[Record]:
        judged, complaints = records.read(self.path / folder / name)
        assert not complaints
        return judged


@pytest.fixture
def bench(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(claimlab.report.page, "render", lambda *_, **__: "<!doctype html>")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(Path(claimlab.__file__).parents[1]))
    return Bench(pytester)


def shown(result: pytest.RunResult) -> str:
    return "\n".join(result.outlines + result.errlines)


# -- what a run says and leaves ------------------------------------------------------------------------------------


def test_a_run_judges_writes_and_summarises(bench):
    bench.write("drawn", TRIAL)
    bench.write("sum", EXACT, evidence="Exact()")
    bench.write("small", PROPERTY, evidence="Property(examples=30)")
    result = bench.run("claims")
    result.assert_outcomes(passed=6)
    result.stdout.re_match_lines(
        [
            r"=+ claims =+",
            r"sec",
            r"  ok   holds      T1     drawn  11/11 seeds; 1/1 control refuted  \d+\.\d s",
            r"  ok   holds      T1     small  30 worlds; 1/1 control refuted  \d+\.\d s",
            r"  ok   holds      T1     sum    exact; 1/1 control refuted  \d+\.\d s",
            r"3 claims: 3 holds. 6 tests judged, 0 not as found. Chance that this run raises a false alarm: \de-\d+\.",
            r"report: .*reports/latest/index\.html",
        ],
        consecutive=False,
    )
    by_test = {(record.claim, record.test): record for record in bench.records()}
    assert len(by_test) == 6
    drawn = by_test["sec/drawn", "test_claim"]
    assert (drawn.verdict, drawn.asks, drawn.passed, drawn.wins, drawn.n) == ("SUPPORTED", "supports", True, 11, 11)
    assert drawn.seeds == list(range(16))
    assert len(drawn.rows["draw"]) == len(drawn.rows["win"]) == 16
    assert len(drawn.path) == 11
    assert (drawn.about, drawn.module) == ("Almost every draw is small.", "claims/sec/test_drawn.py")
    assert drawn.command == "pytest claims/sec/test_drawn.py::test_claim"
    control = by_test["sec/drawn", "test_control_low_bound"]
    assert (control.verdict, control.asks, control.passed, control.n) == ("REFUTED", "refutes", True, 7)
    assert by_test["sec/sum", "test_claim"].numbers == {"sum": 4}
    assert by_test["sec/small", "test_claim"].examples == 30
    counterexample = by_test["sec/small", "test_control_tight_bound"].counterexample
    assert int(counterexample) > 700  # the first that was drawn: a control's is not shrunk
    assert (bench.path / "reports/latest/index.html").exists()


def test_under_xdist_the_controller_writes_the_same_records(bench):
    bench.write("drawn", TRIAL)
    bench.write("small", PROPERTY, evidence="Property(examples=30)")
    bench.write_raw("broken", "1 / 0")
    alone = bench.run("claims", "--report", "alone")
    bench.run("claims", "-n", "2", "--report", "together").assert_outcomes(passed=4, failed=1)
    alone.assert_outcomes(passed=4, failed=1)

    def comparable(record: Record) -> dict:
        return {name: value for name, value in vars(record).items() if name not in ("seconds", "threads", "when")}

    one, other = (sorted(map(comparable, bench.records(folder)), key=str) for folder in ("alone", "together"))
    assert one == other
    assert {record.threads for record in bench.records("together") if record.kind == "statistical"} == {1}


def test_under_xdist_a_figure_is_drawn_as_soon_as_its_claim_is_judged(bench, monkeypatch):
    drawn_ahead = {}
    monkeypatch.setattr(claimlab.report.page, "render", lambda *_, drawn, **__: drawn_ahead.update(drawn) or "")
    bench.write(
        "sum",
        EXACT + 'def figure(measured, ax):\n    "The sum."\n    ax.plot([measured["claim"]["sum"]])\n',
        evidence="Exact()",
    )
    bench.write_raw("broken", "1 / 0")
    bench.run("claims", "-n", "1")
    assert drawn_ahead.keys() == {"sec/sum"}
    picture = drawn_ahead["sec/sum"]
    assert (picture.caption, picture.missing, picture.svg[:4]) == ("The sum.", "", "<svg")
    (certificate, control) = sorted(bench.records(), key=lambda record: record.control)
    assert claimlab.report.page.picture([control, certificate], bench.path) == picture


def test_the_records_of_the_run_before_are_kept(bench):
    bench.write("sum", EXACT, evidence="Exact()")
    bench.write("other", EXACT, evidence="Exact()")
    bench.run("claims")
    bench.run("claims/sec/test_sum.py")
    assert {record.claim for record in bench.records()} == {"sec/sum"}
    assert {record.claim for record in bench.records(name="records.previous.jsonl")} == {"sec/sum", "sec/other"}


def test_a_run_that_judges_nothing_leaves_the_records_alone(bench):
    bench.write("sum", EXACT, evidence="Exact()")
    bench.run("claims")
    bench.run("claims", "-k", "nothing_like_it")
    bench.write_raw("sum", "1 / 0")
    bench.run("claims")
    assert len(bench.records()) == 2


def test_without_a_terminal_the_report_is_written_too(bench):
    bench.write("sum", EXACT, evidence="Exact()")
    assert bench.run("claims", "-p", "no:terminal").ret == 0
    assert len(bench.records()) == 2
    assert (bench.path / "reports/latest/index.html").exists()


@pytest.mark.parametrize("folder", ["claims", "claims/sec", "elsewhere"])
def test_from_another_folder_the_report_still_lies_in_the_project(bench, monkeypatch, folder):
    bench.write("sum", EXACT, evidence="Exact()")
    (bench.path / folder).mkdir(exist_ok=True)
    monkeypatch.chdir(bench.path / folder)
    bench.run(str(bench.path / "claims")).assert_outcomes(passed=2)
    assert len(bench.records()) == 2
    bench.run(str(bench.path / "claims"), "--report", "mine").assert_outcomes(passed=2)
    assert len(bench.records(f"{folder}/mine")) == 2


def test_through_a_symbolic_link_the_records_are_written_too(bench, monkeypatch, tmp_path_factory):
    bench.write("sum", EXACT, evidence="Exact()")
    link = tmp_path_factory.mktemp("links") / "project"
    link.symlink_to(bench.path)
    monkeypatch.chdir(link)
    bench.run(str(link / "claims")).assert_outcomes(passed=2)
    assert len(bench.records()) == 2


def test_tests_that_are_no_claims_are_left_alone(bench):
    bench.write("sum", EXACT, evidence="Exact()")
    bench.pytester.makepyfile(test_ordinary="def test_ordinary(): pass\ndef test_judge(judge): pass")
    result = bench.run("test_ordinary.py")
    result.assert_outcomes(passed=1, errors=1)
    assert "The judge fixture belongs to the modules under claims/." in shown(result)
    assert not (bench.path / "reports").exists()
    bench.run(".").assert_outcomes(passed=3, errors=1)
    assert len(bench.records()) == 2


# -- selection and options -----------------------------------------------------------------------------------------


def test_a_claim_that_cannot_be_tested_is_declared_recorded_and_listed(bench):
    bench.write("taste", "", finding="untestable", evidence="None")
    bench.write("sums", EXACT, evidence="Exact()")
    result = bench.run()
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(
        ["  --   untestable T1     taste * declared, not tested *", "2 claims: 1 holds, 1 unt*"]
    )
    result.stdout.fnmatch_lines(["*2 tests judged, 0 not as found.*"])
    (declared,) = [record for record in bench.records() if record.declared]
    assert (declared.claim, declared.kind, declared.verdict) == ("sec/taste", "none", "DECLARED")
    bench.run("claims", "--collect-only", "-q").stdout.fnmatch_lines(["sec/taste  T1  untestable  none  0 tests  *"])


def test_an_untestable_claim_with_tests_or_evidence_says_what_to_do(bench):
    bench.write("tested", EXACT, finding="untestable", evidence="None")
    bench.write("evident", "", finding="untestable", evidence="Exact()")
    bench.write("bare", EXACT, evidence="None")
    result = bench.run()
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines_random(
        [
            "*A claim found untestable has no tests; give it the finding that its tests assert.*",
            "*A claim found untestable gathers no evidence; leave CLAIM.evidence out.*",
            "*CLAIM.evidence must be Exact(), Property() or Statistical().*",
        ]
    )


def test_collect_only_lists_claims_by_id(bench):
    bench.write("drawn", TRIAL)
    bench.write("sum", EXACT, evidence="Exact()")
    bench.write_raw("broken", "1 / 0")
    result = bench.run("claims", "--collect-only", "-q")
    assert [line for line in result.outlines if line][:3] == [
        "sec/drawn  T1  holds  statistical  2 tests  claims/sec/test_drawn.py",
        "sec/sum  T1  holds  exact  2 tests  claims/sec/test_sum.py",
        "claims/sec/test_broken.py::declaration",
    ]
    assert result.ret == 0
    assert not (bench.path / "reports").exists()


ALSO_EXACT = """
import pytest

@pytest.mark.exact
def test_also_exactly(judge):
    judge(lambda: Certificate(True)).supports()
"""


@pytest.mark.parametrize(("kind", "tests"), [("exact", 3), ("property", 2), ("statistical", 2)])
def test_the_kinds_of_evidence_are_marks(bench, kind, tests):
    bench.write("drawn", TRIAL + ALSO_EXACT)
    bench.write("sum", EXACT, evidence="Exact()")
    bench.write("small", PROPERTY, evidence="Property(examples=30)")
    bench.write_raw("broken", "1 / 0")
    outcomes = bench.run("claims", "-m", kind).parseoutcomes()
    assert (outcomes["passed"], outcomes["failed"]) == (tests, 1)  # no kind selects a broken module away
    assert [record.kind for record in bench.records()] == [kind] * tests


MARKS_THAT_SAY_MORE = """
import pytest
from hypothesis import strategies as st

@pytest.mark.property(examples=7)
def test_few_worlds(judge):
    judge(lambda number: Certificate(True), given=st.integers()).supports()

@pytest.mark.statistical(block=3)
def test_small_blocks(judge):
    judge(trial).supports()

@pytest.mark.statistical
def test_blocks_of_the_claim(judge):
    judge(trial).supports()
"""


def test_a_mark_says_what_differs_from_the_default_and_from_the_claim(bench):
    bench.write("drawn", TRIAL + MARKS_THAT_SAY_MORE, evidence="Statistical(block=8, max_seeds=64)")
    bench.run("claims")
    plans = {record.test: record.plan for record in bench.records()}
    assert plans["test_few_worlds"] == {"examples": 7}
    assert (plans["test_small_blocks"]["block"], plans["test_small_blocks"]["max_seeds"]) == (3, 64)
    assert plans["test_blocks_of_the_claim"] == plans["test_claim"]


def test_a_run_repeats_itself_and_an_epoch_draws_other_worlds(bench):
    bench.write("drawn", TRIAL)
    rows = []
    for epoch in ("pinned", "pinned", "2031-05-01"):
        bench.run("claims", "--epoch", epoch)
        rows.append(bench.records()[0].rows["draw"])
    assert rows[0] == rows[1]
    assert not set(rows[0]) & set(rows[2])


def test_the_worlds_of_a_property_are_pinned_too(bench):
    body = """
from hypothesis import strategies as st
seen = []

def check(numbers):
    seen.append(numbers)
    return Certificate(True)

def test_claim(judge):
    seen.clear()
    judge(check, given=st.lists(st.floats(-1e4, 1e5))).supports()
    from pathlib import Path
    with Path("seen").open("a") as file:
        print(seen, file=file)

def test_control(judge):
    judge(lambda numbers: Certificate(False), given=st.just(1)).refutes()
"""
    bench.write("worlds", body, evidence="Property(examples=80)")
    # Hypothesis would mix numbers that it finds in loaded modules into its draws.
    module = "NUMBERS = 12345, 0.7777, 991, 77.5, 31.25"
    bench.run("claims")
    bench.run("claims", "--epoch", "2031-05-01")
    bench.pytester.makepyfile(constants=module)
    bench.pytester.syspathinsert()
    __import__("constants")
    bench.run("claims")
    pinned, other, again = (bench.path / "seen").read_text().splitlines()
    assert pinned == again
    assert pinned != other


def test_one_seed_shows_the_row_it_had_in_the_run(bench):
    bench.write("drawn", TRIAL)
    bench.write("sum", EXACT, evidence="Exact()")
    bench.run("claims")
    before = bench.records()
    result = bench.run("claims/sec/test_drawn.py", "--claim-seed", "5")
    result.assert_outcomes(passed=2)
    assert f"sec/drawn  test_claim  seed 5:  win=True  draw={before[0].rows['draw'][5]:.4g}" in result.outlines
    assert bench.records() == before


def test_one_seed_far_beyond_the_plan_can_be_run(bench):
    bench.write(
        "drawn", TRIAL.replace("draw=draw", "block=[f'{seeds.indices[0]} and {len(seeds) - 1} more'] * len(seeds)")
    )
    result = bench.run("claims", "--claim-seed", "1000003")
    assert "seed 1000003:  win=True  block=1000000 and 15 more" in shown(result)  # in the block it would be in


def test_device_all_with_one_device_is_that_device(bench, monkeypatch):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    bench.write("drawn", TRIAL)
    bench.run("claims", "--device", "all").assert_outcomes(passed=2)
    assert [record.device for record in bench.records()] == ["cpu", "cpu"]


def test_device_all_judges_statistical_claims_on_every_device(bench, monkeypatch):
    # two names of one device
    monkeypatch.setattr(
        "claimlab.plugin.collection._available_devices", lambda name: ("cpu", "cpu:0")
    )  # two names of one device
    bench.write("drawn", TRIAL)
    bench.write("sum", EXACT, evidence="Exact()")
    result = bench.run("claims", "--device", "all")
    result.assert_outcomes(passed=6)
    judged = bench.records()
    assert [(record.device, record.kind) for record in judged].count(("cpu:0", "statistical")) == 2
    assert [record.device for record in judged if record.kind == "exact"] == ["cpu", "cpu"]
    rows = [record.rows for record in judged if record.test == "test_claim" and record.kind == "statistical"]
    assert rows[0] == rows[1]
    assert {record.command.partition(" --")[2] for record in judged} == {"", "device cpu:0"}


def test_dtype_is_what_the_trial_computes_in(bench):
    bench.write("drawn", TRIAL.replace("draw=draw", "bits=[draw.element_size() * 8] * len(seeds)"))
    bench.run("claims", "--dtype", "float64").assert_outcomes(passed=2)
    first = bench.records()[0]
    assert (first.dtype, first.rows["bits"][0]) == ("float64", 64)
    assert first.command.endswith("::test_claim --dtype float64")


def test_certify_writes_certificates_of_statistical_tests_alone(bench):
    bench.write("drawn", TRIAL)
    bench.write("sum", EXACT, evidence="Exact()")
    result = bench.run("claims", "--certify", "100", "--report", "reference")
    result.assert_outcomes(passed=2, deselected=2)
    assert "false alarm" not in shown(result)
    claim, control = bench.records("reference", "certificates.jsonl")
    assert (claim.wins, claim.n, claim.epoch, claim.rows, claim.numbers["lost"]) == (100, 100, "certify", {}, [])
    assert claim.numbers["interval"] == pytest.approx([0.9637833073548235, 1])
    assert claim.command == "pytest claims/sec/test_drawn.py::test_claim --certify 100"
    assert (control.wins, control.asks, control.passed) == (0, "refutes", True)
    assert not (bench.path / "reference/records.jsonl").exists()


def test_certify_refuses_too_few_wins_and_replaces_the_old_certificate(bench):
    bench.write("drawn", TRIAL)
    bench.write("other", TRIAL)
    bench.run("claims", "--certify", "100", "--report", "reference")
    bench.write("drawn", TRIAL.replace("bound=3.5", "bound=1.0"))
    result = bench.run("claims/sec/test_drawn.py", "--certify", "100", "--report", "reference")
    result.assert_outcomes(passed=1, failed=1)
    claim, control, *other = bench.records("reference", "certificates.jsonl")
    assert len(other) == 2
    assert claim.wins is not None
    assert claim.wins < 99
    assert not claim.passed
    assert control.passed
    assert len(claim.numbers["lost"]) == 100 - claim.wins
    again = re.search(r"Run the first of these seeds alone: (.*)", shown(result))
    assert again
    assert (
        again[1]
        == f"pytest claims/sec/test_drawn.py::test_claim --epoch certify --claim-seed {claim.numbers['lost'][0]}"
    )


def test_many_certify_seeds_do_not_overflow(bench):
    bench.write("drawn", TRIAL.replace("3.5", "6.0"), evidence="Statistical(block=64)")
    bench.run("claims", "--certify", "2000").assert_outcomes(passed=2)


# -- failures ------------------------------------------------------------------------------------------------------


def test_a_failure_shows_the_statement_the_seeds_that_lost_and_a_command_that_works(bench):
    bench.write("drawn", TRIAL.replace("bound=3.5", "bound=-0.5"))
    result = bench.run("claims", "--epoch", "an epoch")
    result.assert_outcomes(passed=1, failed=1)
    text = shown(result)
    record = next(record for record in bench.records() if not record.passed)
    assert record.verdict == "REFUTED"
    assert "test_claim wants SUPPORTED and the evidence says REFUTED." in text
    assert "Statement: A draw stays below the bound." in text
    lost = list(records.lost(record))
    for seed in lost[:5]:
        assert f"  seed {seed}: draw={record.rows['draw'][seed]:.4g}" in text
    assert "Traceback" not in text
    assert "claimlab/" not in text
    assert re.search(r"FAIL holds      T1     drawn +\d+/\d+ seeds; 1/1 control refuted", text)
    assert "2 tests judged, 1 not as found." in text

    _, *again = shlex.split(line_after(text, "Run it again: "))
    repeated = bench.run(*again)
    repeated.assert_outcomes(failed=1)
    assert bench.records()[0].rows == record.rows

    _, *alone = shlex.split(line_after(text, "Run the first of these seeds alone: "))
    result = bench.run(*alone)
    result.assert_outcomes(failed=1)
    row = f"seed {lost[0]}:  win=False  draw={record.rows['draw'][lost[0]]:.4g}"
    assert row in shown(result)


def line_after(text: str, words: str) -> str:
    return next(line.partition(words)[2] for line in text.splitlines() if words in line)


def test_an_undecided_claim_fails_under_its_own_name(bench):
    bench.write("drawn", TRIAL.replace("bound=3.5", "bound=0.7"), evidence="Statistical(max_seeds=32)")
    result = bench.run("claims")
    result.assert_outcomes(passed=1, failed=1)
    assert "test_claim wants SUPPORTED and the evidence says UNRESOLVED." in shown(result)


def test_an_exact_failure_shows_its_numbers(bench):
    bench.write("sum", EXACT.replace("b=2):", "b=4):"), evidence="Exact()")
    result = bench.run("claims")
    result.assert_outcomes(passed=1, failed=1)
    assert "test_claim wants SUPPORTED and the evidence says REFUTED.\n" in shown(result)
    assert "  sum = 6" in shown(result)


def test_a_property_failure_shows_the_smallest_counterexample(bench):
    bench.write("small", PROPERTY.replace("bound=2000", "bound=321"), evidence="Property()")
    result = bench.run("claims")
    result.assert_outcomes(passed=1, failed=1)
    assert re.search(r"Counterexample, after \d+ worlds: 321\n", shown(result))
    assert "Traceback" not in shown(result)


def test_a_control_that_wins_fails(bench):
    bench.write("drawn", TRIAL.replace("bound=-3.5", "bound=3.6"))
    result = bench.run("claims")
    result.assert_outcomes(passed=1, failed=1)
    assert "test_control_low_bound wants REFUTED and the evidence says SUPPORTED." in shown(result)
    assert "Seeds that won:" in shown(result)


# -- bad input: options --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("--device nonsense", r"--device nonsense is no device torch knows; this machine has cpu.*\."),
        ("--device cuda:99", r"--device cuda:99 is not available; this machine has cpu.*\."),
        ("--device meta", r"--device meta is not available; this machine has cpu.*\."),
        ("--device ''", r"--device  is no device torch knows; this machine has cpu.*\."),
        ("--dtype float8", r"--dtype float8 is unknown; choose one of float64, float32, bfloat16, float16\."),
        ("--dtype Tensor", r"--dtype Tensor is unknown; choose one of float64, float32, bfloat16, float16\."),
        ("--epoch ' '", r"--epoch needs a name; 'pinned' is the one everybody runs\."),
        ("--claim-seed three", r"--claim-seed three must be a whole number from 0\."),
        ("--claim-seed -1", r"--claim-seed -1 must be a whole number from 0\."),
        ("--claim-seed 1.5", r"--claim-seed 1.5 must be a whole number from 0\."),
        ("--certify 0", r"--certify 0 must be a whole number from 1\."),
        ("--certify many", r"--certify many must be a whole number from 1\."),
        ("--certify 9 --epoch x", r"--certify has an epoch of its own \('certify'\); drop --epoch\."),
        ("--certify 9 --claim-seed 1", r"--certify runs many seeds and --claim-seed runs one; give one of them\."),
        ("--claim-seed 1 -n 2", r"--claim-seed runs one seed in this process; drop -n\."),
        ("--claim-seed 1", r"--claim-seed 1 needs exactly one statistical claim, and the selection holds 2; name .*\."),
        ("--claim-seed 1 -k no_such", r"--claim-seed 1 needs exactly one .*, and the selection holds none; name .*\."),
        ("--claim-seed 1 -m exact", r"--claim-seed 1 needs exactly one .*, and the selection holds none; name .*\."),
        ("--report a_file/below", r"--report .*/a_file/below cannot be written \(Not a directory\); name a .*\."),
        ("--report a_file", r"--report .*/a_file cannot be written \(File exists\); name a directory .*\."),
        ("--report ''", r"--report needs the name of a directory\."),
    ],
)
def test_a_bad_option_is_one_sentence(bench, options, sentence):
    bench.write("drawn", TRIAL)
    bench.write("second", TRIAL)
    bench.write("sum", EXACT, evidence="Exact()")
    (bench.path / "a_file").write_text("in the way")
    result = bench.run("claims", *shlex.split(options))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    said = [line for line in result.errlines if line.strip()]
    assert len(said) == 1
    assert re.fullmatch("ERROR: " + sentence, said[0])
    assert "Traceback" not in shown(result)
    assert not (bench.path / "reports/latest/records.jsonl").exists()


def test_a_bad_option_under_xdist_is_one_sentence(bench):
    bench.write("sum", EXACT, evidence="Exact()")
    result = bench.run("claims", "-n", "2", "--dtype", "int3")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "Traceback" not in shown(result)


# -- bad input: modules --------------------------------------------------------------------------------------------


def declaration(**changes: str) -> str:
    """A module with a declaration that is good but for the changes."""
    text = HEAD.format(id="sec/bad", finding="holds", evidence="Exact()") + EXACT
    for old, new in changes.items():
        text = re.sub(rf"\b{old}=('[^']*'|\"[^\"]*\"|\([^)]*\)|\w+(\(\))?)", f"{old}={new}", text, count=1)
    return text


BAD_MODULES = [
    ("def test_claim(): pass", "The module declares no CLAIM; every module under claims/ is one claim"),
    ("CLAIM = 'a claim'", "CLAIM must be a claimlab.Claim, not str."),
    (declaration().replace("test_control", "test_contrast"), "The module has no test_control...: show a world in"),
    (declaration().replace("test_claim", "test_control_claim"), "The module has no test of the claim itself"),
    (declaration().replace("_claim(judge)", "_claim()"), "test_claim does not take the `judge` fixture"),
    (declaration(finding="'maybe'"), "CLAIM.finding 'maybe' is unknown; choose one of holds, scoped, false,"),
    (declaration(finding="['holds']"), "CLAIM.finding ['holds'] is unknown; choose one of holds, scoped, false,"),
    (declaration(finding="'false'"), "A claim found false needs test_deck_wording"),
    (declaration(id="'other/bad'"), "CLAIM.id 'other/bad' must begin with its folder, 'sec/'."),
    (declaration(id="'Sec/Bad One'"), "CLAIM.id 'Sec/Bad One' must read section/name in lower case with dashes"),
    (declaration(id="7"), "CLAIM.id 7 must read section/name in lower case with dashes"),
    (declaration(id="'sec/good'"), "CLAIM.id 'sec/good' is taken by claims/sec/test_a_good.py."),
    (declaration(version="0"), "CLAIM.version 0 must be a whole number from 1."),
    (declaration(statement="' '"), "CLAIM.statement is empty; the report has nothing to print there."),
    (declaration(reason="None"), "CLAIM.reason is empty; the report has nothing to print there."),
    (declaration(covers="'H15'"), "CLAIM.covers must be a tuple of catalogue entries"),
    (declaration(covers="(15,)"), "CLAIM.covers must be a tuple of catalogue entries"),
    (declaration(evidence="Exact"), "CLAIM.evidence must be Exact(), Property() or Statistical()."),
    (declaration(evidence="Statistical(holds=0.5)"), "Statistical evidence needs 0 < broken < holds < 1."),
    (declaration(evidence="Statistical(block=0)"), "Statistical evidence needs a block of at least 1"),
    (declaration(evidence="Property(examples=0)"), "Property evidence needs at least one example."),
    (declaration().replace("version=1, ", ""), "The module raised TypeError on import: Claim.__init__() missing 1"),
    (
        declaration() + "\nimport no_such_module",
        "The module raised ModuleNotFoundError on import: No module named 'no_such",
    ),
    (declaration() + "\ndef broken(:", "The module raised SyntaxError on import: invalid syntax (test_bad_"),
    (declaration() + "\n1 / 0", "The module raised ZeroDivisionError on import: division by zero"),
    (
        "import pytest\n" + declaration().replace("def test_cl", "@pytest.mark.parametrize('b', [1])\ndef test_cl"),
        "test_claim is parametrized; a test judges one world, so write a function for each.",
    ),
    (
        "import pytest\n" + declaration().replace("def test_cl", "@pytest.mark.property(exmples=7)\ndef test_cl"),
        "test_claim: @pytest.mark.property takes examples=, and was given something else.",
    ),
    (
        "import pytest\n" + declaration().replace("def test_cl", "@pytest.mark.exact(1)\ndef test_cl"),
        "test_claim: @pytest.mark.exact takes no arguments, and was given something else.",
    ),
    (
        "import pytest\n" + declaration().replace("def test_cl", "@pytest.mark.statistical(block=0)\ndef test_cl"),
        "test_claim: Statistical evidence needs a block of at least 1",
    ),
]


def test_bad_modules_fail_with_one_sentence_each_and_the_others_go_on(bench):
    bench.write("a_good", EXACT, id="sec/good", evidence="Exact()")
    bench.write("z_good", EXACT, evidence="Exact()")
    for number, (text, _) in enumerate(BAD_MODULES):
        bench.write_raw(f"bad_{number}", text.replace("sec/bad'", f"sec/bad-{number}'"))
    result = bench.run("claims")
    result.assert_outcomes(passed=4, failed=len(BAD_MODULES))
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    text = shown(result)
    for number, (_, sentence) in enumerate(BAD_MODULES):
        assert re.search(rf"_ claims/sec/test_bad_{number}\.py _+\n{re.escape(sentence)}", text)
    assert "Not judged, see above: claims/sec/test_bad_0.py::declaration, claims/sec/test_bad_1.py::decl" in text
    assert "2 claims: 2 holds. 4 tests judged, 0 not as found." in text
    assert_no_frame_of_ours(text)


def assert_no_frame_of_ours(text: str) -> None:
    ours = Path(claimlab.__file__).parent
    assert "Traceback" not in text
    assert f'File "{ours}' not in text
    assert not re.search(r"^claimlab\S*:\d+:", text, re.MULTILINE)


@pytest.mark.parametrize("place", ["claims/test_lost.py", "claims/sec/deeper/test_lost.py"])
def test_a_module_outside_a_section_says_where_to_put_it(bench, place):
    bench.write("good", EXACT, evidence="Exact()")
    (bench.path / place).parent.mkdir(exist_ok=True)
    (bench.path / place).write_text(declaration())
    result = bench.run("claims")
    result.assert_outcomes(passed=2, failed=1)
    assert "The module must lie in the folder of its section: claims/<section>/test_lost.py." in shown(result)


def test_a_broken_module_alone_says_what_is_wrong_when_one_seed_is_asked_for(bench):
    bench.write_raw("bad", declaration(finding="'maybe'"))
    result = bench.run("claims", "--claim-seed", "3")
    result.assert_outcomes(failed=1)
    assert "CLAIM.finding 'maybe' is unknown" in shown(result)


# -- bad input: tests and checks -----------------------------------------------------------------------------------


BAD_TESTS = [
    ("pass", "The test judged nothing: call judge(check) and then .supports() or .refutes()."),
    ("judge.supports()", "The test judged nothing: call judge(check) before it asserts."),
    ("judge(check)", "The test asserts nothing: end judge(...) with .supports() or .refutes()."),
    ("judge(check); judge(check).supports()", "A test judges once; write a second test for a second verdict."),
    ("judge(check).supports(); judge.refutes()", "A test asserts once; write a second test for a second verdict."),
]


def test_tests_that_do_not_judge_once_fail_and_the_others_go_on(bench):
    bench.write("good", EXACT, evidence="Exact()")
    for number, (line, _) in enumerate(BAD_TESTS):
        bench.write(f"bad_{number}", EXACT.replace("judge(check).supports()", line), evidence="Exact()")
    result = bench.run("claims")
    result.assert_outcomes(passed=len(BAD_TESTS) + 2, failed=len(BAD_TESTS))
    by_test = {(record.claim, record.test): record for record in bench.records()}
    for number, (_, sentence) in enumerate(BAD_TESTS):
        assert f"FAILED claims/sec/test_bad_{number}.py::test_claim - Failed: {sentence}" in result.outlines
        record = by_test[f"sec/bad-{number}", "test_claim"]
        assert (record.verdict, record.passed, record.message) == ("ERROR", False, f"Failed: {sentence}")
        assert re.search(rf"FAIL holds      T1     bad-{number} +error; 1/1 control refuted", shown(result))
    assert_no_frame_of_ours(shown(result))


def test_a_control_that_calls_supports_fails(bench):
    bench.write("drawn", TRIAL.replace("bound=-3.5).refutes()", "bound=3.6).supports()"))
    result = bench.run("claims")
    result.assert_outcomes(passed=1, failed=1)
    assert "A control must be refuted: end it with .refutes()." in shown(result)


BAD_ROWS = [
    ("None", "The trial must return Rows(win=..., ...), not NoneType."),
    ("Rows()", "The trial raised TypeError on seeds 0 to 15 of epoch 'pinned': Rows.__init__() missing 1 required"),
    ("Rows(win=draw)", "The trial's `win` must be boolean, one a seed."),
    ("Rows(win=True)", "The trial returned no rows of 'win' for 16 seeds on seeds 0 to 15 of epoch 'pinned'"),
    ("Rows(win=(draw < 4)[:7])", "The trial returned 7 rows of 'win' for 16 seeds on seeds 0 to 15"),
    ("Rows(win=draw < 4, loss=draw[1:])", "The trial returned 15 rows of 'loss' for 16 seeds on seeds 0 to 15"),
    ("Rows(win=draw < 4, loss=draw.mean())", "The trial returned no rows of 'loss' for 16 seeds on seeds 0 to 15"),
    (
        "Rows(win=draw < 0.7, **({'draw': draw} if seeds.indices[0] else {}))",
        "The trial's rows changed their columns between two blocks of seeds.",
    ),
]


def test_rows_that_cannot_be_judged_fail_and_the_others_go_on(bench):
    bench.write("good", TRIAL)
    for number, (returned, _) in enumerate(BAD_ROWS):
        bench.write(f"bad_{number}", TRIAL.replace("Rows(win=draw < bound, draw=draw)", returned))
    result = bench.run("claims")
    result.assert_outcomes(passed=2, failed=2 * len(BAD_ROWS))
    by_claim = {record.claim: record for record in bench.records()}
    for number, (_, sentence) in enumerate(BAD_ROWS):
        assert f"sec/bad-{number}: {sentence}" in shown(result)
        record = by_claim[f"sec/bad-{number}"]
        assert (record.verdict, record.passed) == ("ERROR", False)
        assert record.message.startswith(sentence)
    assert by_claim["sec/good"].passed
    assert_no_frame_of_ours(shown(result))


def test_a_number_that_is_not_finite_is_a_loss_and_is_shown(bench):
    body = TRIAL.replace("draw=draw", "loss=[float('nan')] * 3 + [float('inf')] + [1.0] * 4 + [float('nan')] * 8")
    bench.write("drawn", body)
    result = bench.run("claims")
    result.assert_outcomes(passed=1, failed=1)
    record = next(record for record in bench.records() if not record.passed)
    assert record.rows["win"] == [False] * 4 + [True] * 4 + [False] * 8
    assert "  seed 0: loss=nan" in shown(result)
    assert "  seed 3: loss=inf" in shown(result)


def test_a_trial_that_raises_names_its_seeds_and_shows_no_frame_of_ours(bench):
    bench.write("bad", RAISES, evidence="Statistical(block=8)")
    bench.write("good", TRIAL)
    result = bench.run("claims")
    result.assert_outcomes(passed=2, failed=2)
    text = shown(result)
    assert "The trial raised RuntimeError on seeds 0 to 7 of epoch 'pinned': the shapes do not fit\n" in text
    assert ", in trial\n" in text
    assert ", in broken\n" in text
    assert_no_frame_of_ours(text)
    assert re.search(r"FAIL holds      T1     bad +error; 0/1 control refuted", text)


def test_a_trial_that_raises_later_keeps_the_seeds_before(bench):
    body = TRIAL.replace(
        "def trial(seeds, bound=3.5):", "def trial(seeds, bound=3.5):\n    assert 8 not in seeds.indices"
    )
    bench.write("bad", body, evidence="Statistical(block=8)")
    result = bench.run("claims")
    result.assert_outcomes(passed=1, failed=1)
    assert "The trial raised AssertionError on seeds 8 to 15 of epoch 'pinned'" in shown(result)
    record = next(record for record in bench.records() if not record.passed)
    assert (record.wins, record.n, record.seeds, len(record.rows["draw"])) == (8, 8, list(range(8)), 8)


BAD_CHECKS = [
    ("Exact()", EXACT.replace("return", "return a / 0 or"), "The check raised ZeroDivisionError: division by zero"),
    (
        "Exact()",
        EXACT.replace("return Certificate(", "return dict(held="),
        "The check must return a Certificate, not dict",
    ),
    ("Exact()", EXACT.replace("judge(check)", "judge(check, c=1)"), "The check raised TypeError: check() got an unexp"),
    (
        "Property()",
        PROPERTY.replace("return", "1 // max(0, 500 - number)\n    return"),
        "The check raised ZeroDivisionError on the world 500: integer division or modulo by zero",
    ),
    (
        "Property()",
        PROPERTY.replace("judge(check, given=st.integers(0, 1000))", "judge(check)"),
        "A property needs worlds: judge(check, given=a Hypothesis strategy).",
    ),
    (
        "Property()",
        PROPERTY.replace("given=st.integers(0, 1000))", "given=st.integers().filter(lambda number: False))"),
        "Hypothesis could not explore the worlds: ",
    ),
]


def test_checks_that_cannot_be_judged_fail_and_the_others_go_on(bench):
    bench.write("good", EXACT, evidence="Exact()")
    for number, (evidence, body, _) in enumerate(BAD_CHECKS):
        bench.write(f"bad_{number}", body, evidence=evidence)
    result = bench.run("claims")
    for number, (_, _, sentence) in enumerate(BAD_CHECKS):
        assert f"sec/bad-{number}: {sentence}" in shown(result)
    assert_no_frame_of_ours(shown(result))
    assert [record.passed for record in bench.records() if record.claim == "sec/good"] == [True, True]


def test_a_crashed_worker_loses_its_test_alone(bench):
    bench.write("bad", EXACT.replace("return", "import os\n    b == 2 and os._exit(3)\n    return"), evidence="Exact()")
    bench.write("good", EXACT, evidence="Exact()")
    result = bench.run("claims", "-n", "1")
    assert "Not judged, see above: claims/sec/test_bad.py::test_claim" in shown(result)
    assert {record.test for record in bench.records() if record.claim == "sec/bad"} == {"test_control_other_numbers"}
    assert re.search(r"FAIL holds      T1     bad +1/1 control refuted", shown(result))
    assert re.search(r"ok   holds      T1     good +exact; 1/1 control refuted", shown(result))


def test_a_check_that_runs_out_of_time_is_an_error_and_shows_where_it_stood(bench):
    bench.write("bad", EXACT.replace("return", "import time; time.sleep(60)\n    return", 1), evidence="Exact()")
    result = bench.run("claims", "-k", "test_claim", "--timeout", "0.5")
    result.assert_outcomes(failed=1, deselected=1)
    assert "claims/sec/test_bad.py:11: Failed" in result.outlines
    assert_no_frame_of_ours(shown(result))
    (record,) = bench.records()
    assert (record.verdict, record.message) == ("ERROR", "Failed: Timeout (>0.5s) from pytest-timeout.")


def test_ctrl_c_keeps_and_summarises_what_was_judged(bench):
    bench.write("a_first", EXACT, evidence="Exact()")
    bench.write("b_stopped", EXACT.replace("return", "raise KeyboardInterrupt\n    return", 1), evidence="Exact()")
    bench.write("c_never", EXACT, evidence="Exact()")
    result = bench.run("claims")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert {record.claim for record in bench.records()} == {"sec/a-first"}
    text = shown(result)
    assert re.search(r"ok   holds      T1     a-first +exact; 1/1 control refuted", text)
    assert "1 claims: 1 holds. 2 tests judged, 0 not as found." in text
    assert re.search(r"report: .*index\.html", text)


def test_a_module_with_postponed_annotations_can_hold_a_dataclass(bench):
    """The report and the suite's own tests load modules by path, outside sys.modules."""
    body = "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass World:\n    size: int\n" + EXACT
    text = "from __future__ import annotations\n" + HEAD.format(id="sec/later", finding="holds", evidence="Exact()")
    path = bench.write_raw("later", text + body)
    before = set(sys.modules)
    assert discover.load(path).World(3).size == 3
    assert set(sys.modules) - before <= {"claimlab.seeds"}
