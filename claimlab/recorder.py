"""What a run writes: records as the tests are judged, then the terminal's summary and the report."""

import importlib
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from claimlab import judge, records, terminal
from claimlab.judging import Run

RECORDS, PREVIOUS, CERTIFICATES, PAGE = "records.jsonl", "records.previous.jsonl", "certificates.jsonl", "index.html"


class Recorder:
    """Lives in the process that reports (the controller, under xdist) and writes each record as it arrives."""

    def __init__(self, config: pytest.Config, run: Run) -> None:
        self.config, self.run = config, run
        self.judged: list[records.Record] = []
        self.unjudged: list[str] = []
        self.shown: list[str] = []
        self.written = ""

    def pytest_sessionstart(self) -> None:
        if getattr(self.config.option, "numprocesses", None) and self.run.certify is None:
            # The workers run the tests, and this process has nothing to do but to wait for the report.
            threading.Thread(target=_load_what_figures_need, daemon=True).start()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if shown := getattr(report, "claimlab_shown", None):
            self.shown.append(shown)
        if line := getattr(report, "claimlab_record", None):
            if not self.judged and self.run.certify is None:
                self._set_aside()
            self.judged.append(records.decode(line))
            if self.run.certify is None:
                records.append(self.run.report / RECORDS, line)
        elif report.failed and report.when != "teardown" and report.nodeid.startswith("claims/"):
            self.unjudged.append(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        if self.judged:
            self.written = self._write()

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.shown:
            terminalreporter.section(f"one seed of epoch {self.run.epoch}")
            for line in self.shown:
                terminalreporter.write_line(line)
        if not self.judged:
            return
        terminalreporter.section("claims")
        for line, markup in terminal.summary(self.judged, self.unjudged):
            terminalreporter.write_line(line, **markup)
        terminalreporter.write_line(self.written)

    def _set_aside(self) -> None:
        """Keep the run before this one: what was measured is not lost to a run of two tests."""
        path = self.run.report / RECORDS
        if path.exists():
            path.replace(self.run.report / PREVIOUS)

    def _write(self) -> str:
        """Write what the whole run came to; says what and where."""
        if self.run.certify is not None:
            path = self.run.report / CERTIFICATES
            write_certificates(path, self.judged)
            return f"certificates: {path}"
        from claimlab.report import page

        path = self.run.report / PAGE
        text = page.render(self.judged, root=self.config.rootpath, unjudged=self.unjudged)
        path.write_text(text, encoding="utf-8")
        return f"report: {path}"


def _load_what_figures_need() -> None:
    for module in (
        "torch",
        "matplotlib.backends.backend_svg",
        "hypothesis.strategies",
        "scipy.stats",
        "claimlab.report.page",
    ):
        importlib.import_module(module)


def write_certificates(path: Path, judged: list[records.Record]) -> None:
    """Merge certificates into the file: a new one replaces the old one of the same test on the same device.

    Rows are left out: they are many, and the certify epoch draws them again.
    """
    old = records.read(path)[0] if path.exists() else []
    by_test = {(record.claim, record.test, record.device): record for record in old}
    for record in judged:
        if record.wins is not None and record.n:
            low, high = judge.clopper_pearson(record.wins, record.n)
            slim = replace(
                record, rows={}, seeds=[], numbers={"interval": [low, high], "lost": list(records.lost(record))}
            )
            by_test[record.claim, record.test, record.device] = slim
    records.replace(path, (by_test[key] for key in sorted(by_test)))
