"""What a run says, and the records it leaves."""

import json
import re

import pytest

from claimlab import Statistical
from claimlab.records.record import Record
from tests.plugin.project import Bench, case, draws, exact, shown, worlds


def test_a_run_judges_writes_and_summarises(bench: Bench):
    bench.write("drawn", **draws())
    bench.write("sum", **exact())
    bench.write("small", **worlds())
    result = bench.run("claims")
    result.assert_outcomes(passed=6)
    result.stdout.re_match_lines(
        [
            r"=+ claims =+",
            r"sec",
            r"  ok   holds      T1     drawn  11/11 seeds; 1/1 control refuted  \d+\.\d s",
            r"  ok   holds      T1     small  30 worlds; 1/1 control refuted  \d+\.\d s",
            r"  ok   holds      T1     sum    exact; 1/1 control refuted  \d+\.\d s",
            r"3 claims: 3 holds. 6 tests judged, 0 not as found. Chance of a false alarm in fresh worlds: \de-\d+\.",
            r"report: .*reports/latest/index\.html",
        ],
        consecutive=False,
    )
    by_test = {(record.claim, record.test): record for record in bench.records()}
    assert len(by_test) == 6
    assert {(record.schema, record.excused, tuple(record.parts)) for record in by_test.values()} == {(2, "", ())}
    drawn = by_test["sec/drawn", "test_claim"]
    assert (drawn.verdict, drawn.asks, drawn.passed, drawn.wins, drawn.n) == ("SUPPORTED", "supports", True, 11, 11)
    assert drawn.seeds == list(range(16))
    assert len(drawn.rows["draw"]) == len(drawn.rows["win"]) == 16
    assert len(drawn.path) == 11
    assert (drawn.about, drawn.module) == ("Almost every draw is small.", "claims/sec/test_drawn.py")
    assert drawn.command == "pytest claims/sec/test_drawn.py::test_claim"
    control = by_test["sec/drawn", "test_control_low"]
    assert (control.verdict, control.asks, control.passed, control.n) == ("REFUTED", "refutes", True, 7)
    assert (drawn.world, control.world) == ({}, {"bound": -3.5})
    assert by_test["sec/sum", "test_claim"].numbers == {"sum": 4}
    assert by_test["sec/small", "test_claim"].examples == 30
    small = by_test["sec/small", "test_control_tight"]
    assert (small.examples, small.counterexample, small.numbers) == (1, "700", {"it": 700})
    assert (bench.path / "reports/latest/index.html").exists()


def test_the_records_of_the_run_before_are_kept_and_a_run_that_judges_nothing_leaves_them_alone(bench: Bench):
    bench.write("sum", **exact())
    bench.write("other", **exact())
    bench.run("claims")
    bench.run("claims/sec/test_sum.py")
    bench.run("claims", "-k", "nothing_like_it")
    bench.put("claims/sec/test_sum.py", "1 / 0")
    bench.run("claims/sec/test_sum.py")
    assert {record.claim for record in bench.records()} == {"sec/sum"}
    assert {record.claim for record in bench.records(name="records.previous.jsonl")} == {"sec/sum", "sec/other"}


def test_two_runs_of_a_few_tests_do_not_cost_the_records_of_a_whole_one(bench: Bench):
    bench.write("sum", **exact())
    bench.write("other", **exact())
    bench.run("claims")
    for _ in range(2):
        bench.run("claims/sec/test_sum.py", "-k", "test_claim")
    assert len(bench.records()) == 1
    assert len(bench.records(name="records.previous.jsonl")) == 4


def test_a_few_of_a_claims_tests_do_not_speak_for_the_claim(bench: Bench):
    bench.write("sum", **exact())
    bench.write("other", **exact())
    text = shown(bench.run("claims", "-k", "control and sum"))
    assert re.search(r"part holds      T1     sum +1/1 control refuted; 1 of 2 tests", text)
    assert "1 of 2 claims: 1 in part. 1 tests judged" in text


def test_a_red_claim_is_not_counted_under_its_finding(bench: Bench):
    bench.write("sum", **exact(b="3"))
    bench.write("other", **exact())
    assert "2 claims: 1 holds, 1 red. 4 tests judged, 1 not as found." in shown(bench.run("claims"))


def test_entries_of_the_catalogue_select_and_a_name_that_selects_nothing_is_told_its_neighbours(bench: Bench):
    bench.write("sum", **exact(), covers=("T11",))
    bench.write("other", **exact())
    bench.write("taste", finding="untestable", evidence=None, covers=("T7",))
    assert {record.claim for record in _after(bench, "T11")} == {"sec/sum"}
    assert {record.claim for record in _after(bench, "T7")} == {"sec/taste"}
    result = bench.run("claims", "-k", "ohter and not slow")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    assert "No claim matches -k 'ohter and not slow'; near names: other." in shown(result)
    assert "-k 'xyzzy'; `pytest claims --collect-only -q` lists all claims." in shown(
        bench.run("claims", "-k", "xyzzy")
    )


def _after(bench: Bench, chosen: str) -> list[Record]:
    bench.run("claims", "-k", chosen)
    return bench.records()


def test_without_a_terminal_the_report_is_written_too(bench: Bench):
    bench.write("sum", **exact())
    assert bench.run("claims", "-p", "no:terminal").ret == 0
    assert len(bench.records()) == 2
    assert (bench.path / "reports/latest/index.html").exists()


@pytest.mark.parametrize("folder", ["claims/sec", "elsewhere"])
def test_from_another_folder_the_report_still_lies_in_the_project(bench: Bench, monkeypatch, folder):
    bench.write("sum", **exact())
    (bench.path / folder).mkdir(exist_ok=True)
    monkeypatch.chdir(bench.path / folder)
    bench.run(str(bench.path / "claims")).assert_outcomes(passed=2)
    assert len(bench.records()) == 2
    bench.run(str(bench.path / "claims"), "--claims-report", "mine").assert_outcomes(passed=2)
    assert len(bench.records(f"{folder}/mine")) == 2


def test_through_a_symbolic_link_the_records_are_written_too(bench: Bench, monkeypatch, tmp_path_factory):
    bench.write("sum", **exact())
    link = tmp_path_factory.mktemp("links") / "project"
    link.symlink_to(bench.path)
    monkeypatch.chdir(link)
    bench.run(str(link / "claims")).assert_outcomes(passed=2)
    assert len(bench.records()) == 2


def test_a_claim_that_cannot_be_tested_is_declared_recorded_and_listed(bench: Bench):
    bench.write("taste", finding="untestable", evidence=None)
    bench.write("sum", **exact())
    result = bench.run()
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(
        ["  --   untestable T1     taste * declared, not tested *", "2 claims: 1 holds, 1 unt*2 tests judged, 0 not *"]
    )
    (declared,) = [record for record in bench.records() if record.declared]
    assert (declared.claim, declared.kind, declared.verdict) == ("sec/taste", "none", "DECLARED")
    bench.run("claims", "--collect-only", "-q").stdout.fnmatch_lines(["sec/taste  T1  untestable  none  0 tests  *"])


def test_a_trial_that_needs_a_precision_computes_in_it_whatever_the_run_says(bench: Bench):
    bits = draws(returns="Rows(win=draw < bound, bits=[draw.element_size() * 8] * len(seeds))")
    bench.write("run", **bits)
    bench.write("own", **bits | {"evidence": Statistical(dtype="float64")})
    marked = case("judge(trial).supports()", name="test_also", marks='@pytest.mark.statistical(dtype="float64")')
    bench.write("mark", **bits | {"tests": [*bits["tests"], marked]})
    bench.run("claims", "--claims-dtype", "bfloat16", "-k", "not control").assert_outcomes(passed=4, deselected=3)
    computed = {(each.claim, each.test): (each.dtype, each.rows["bits"][0]) for each in bench.records()}
    assert computed == {
        ("sec/run", "test_claim"): ("bfloat16", 16),
        ("sec/own", "test_claim"): ("float64", 64),
        ("sec/mark", "test_claim"): ("bfloat16", 16),
        ("sec/mark", "test_also"): ("float64", 64),
    }
    assert bench.record("sec/run").command.endswith("::test_claim --claims-dtype bfloat16")


def test_a_run_repeats_itself_and_an_epoch_draws_other_worlds(bench: Bench):
    bench.write("drawn", **draws())
    rows = []
    for epoch in ("pinned", "pinned", "2031-05-01"):
        bench.run("claims", "--claims-epoch", epoch)
        rows.append(bench.record("sec/drawn").rows["draw"])
    assert rows[0] == rows[1]
    assert not set(rows[0]) & set(rows[2])


def test_the_worlds_of_a_property_are_pinned_too(bench: Bench):
    seen = {
        "given": "st.lists(st.floats(-1e4, 1e5))",
        "before": 'with open("seen", "a") as file: print(it, file=file)',
        "bound": "[1e9]",
        "examples": 80,
    }
    asked = worlds(**seen)
    control = case(
        "judge(lambda number: Certificate(False), given=st.just(1), example=1).refutes()", name="test_control"
    )
    bench.write("worlds", **asked | {"tests": [asked["tests"][0], control]})

    def drawn(*options: str) -> str:
        (bench.path / "seen").unlink(missing_ok=True)
        bench.run("claims", *options).assert_outcomes(passed=2)
        return (bench.path / "seen").read_text()

    pinned, other = drawn(), drawn("--claims-epoch", "2031-05-01")
    assert pinned != other
    # Hypothesis would mix numbers that it finds in loaded modules into its draws.
    bench.pytester.makepyfile(constants="NUMBERS = 12345, 0.7777, 991, 77.5, 31.25")
    bench.pytester.syspathinsert()
    __import__("constants")
    assert drawn() == pinned


def test_ctrl_c_keeps_and_summarises_what_was_judged(bench: Bench):
    bench.write("a", **exact())
    bench.write("b", **exact(before="raise KeyboardInterrupt"))
    bench.write("c", **exact())
    result = bench.run("claims")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert {record.claim for record in bench.records()} == {"sec/a"}
    text = shown(result)
    assert re.search(r"ok   holds      T1     a +exact; 1/1 control refuted", text)
    assert "Interrupted. 1 of 3 claims: 1 holds. 2 tests judged, 0 not as found." in text
    assert re.search(r"report: .*index\.html", text)


def test_every_run_adds_to_the_history_that_the_page_is_given(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    told: list[int] = []
    monkeypatch.setattr("claimlab.report.page.render", lambda *_, history, **__: told.append(len(history)) or "")
    bench.write("drawn", **draws())
    for options in ([], [], ["--claims-certify", "100"], ["--claims-seed", "0"], ["-k", "test_claim"]):
        bench.run("claims", *options)
    lines = (bench.path / "reports/latest/history.jsonl").read_text().splitlines()
    assert [sorted(json.loads(line)["claims"]) for line in lines] == [["sec/drawn"]] * 2
    assert told == [1, 2, 2]
