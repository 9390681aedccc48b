"""Runs with workers: the controller writes the same records as a run without, and outlives a worker."""

import re

import pytest

import claimlab.report.page
from claimlab.records.record import Record
from tests.plugin.project import Bench, draws, exact, shown, worlds

FIGURE = """
def figure(measured, ax):
    "The sum."
    ax.plot([measured["claim"]["sum"]])
"""


def test_the_controller_writes_the_records_of_a_run_without_workers(bench: Bench):
    bench.write("drawn", **draws())
    bench.write("small", **worlds())
    bench.put("claims/sec/test_broken.py", "1 / 0")
    bench.run("claims", "--claims-report", "alone").assert_outcomes(passed=4, failed=1)
    bench.run("claims", "-n", "2", "--claims-report", "together").assert_outcomes(passed=4, failed=1)

    def comparable(record: Record) -> dict:
        return {name: value for name, value in vars(record).items() if name not in ("seconds", "threads", "when")}

    one, other = (sorted(map(comparable, bench.records(folder)), key=str) for folder in ("alone", "together"))
    assert one == other
    assert {record.threads for record in bench.records("together") if record.kind == "statistical"} == {1}


def test_a_figure_is_drawn_as_soon_as_its_claim_is_judged_and_a_crashed_worker_loses_its_test_alone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    drawn_ahead = {}
    monkeypatch.setattr(claimlab.report.page, "render", lambda *_, drawn, **__: drawn_ahead.update(drawn) or "")
    bench.write("sum", **exact(), tail=FIGURE)
    bench.put("claims/sec/test_broken.py", "1 / 0")
    bench.write("crash", **exact(before="import os; b == 2 and os._exit(3)"))
    result = bench.run("claims", "-n", "1")
    assert "sec/sum" in drawn_ahead
    picture = drawn_ahead["sec/sum"]
    assert (picture.caption, picture.missing, picture.svg[:4]) == ("The sum.", "", "<svg")
    certificate, control = sorted(
        (each for each in bench.records() if each.claim == "sec/sum"), key=lambda each: each.control
    )
    assert claimlab.report.page.picture([control, certificate], bench.path) == picture
    text = shown(result)
    assert re.search(r"Not judged, see above: .*claims/sec/test_crash\.py::test_claim", text)
    assert {record.test for record in bench.records() if record.claim == "sec/crash"} == {"test_control_other"}
    assert re.search(r"FAIL holds      T1     crash +1/1 control refuted", text)
    assert re.search(r"ok   holds      T1     sum +exact; 1/1 control refuted", text)


def test_a_bad_option_is_a_usage_error(bench: Bench):
    bench.write("sum", **exact())
    result = bench.run("claims", "-n", "2", "--claims-dtype", "int3")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "Traceback" not in shown(result)
