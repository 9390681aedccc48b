"""What a run writes: records as the tests are judged, then the terminal's summary and the report."""

import importlib
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from claimlab.declare.modules import FOLDER, claim_modules, names
from claimlab.judge import sequential
from claimlab.plugin import terminal
from claimlab.plugin.options import RUN, Run, is_worker, make_writable, runs_claims
from claimlab.records import files, history
from claimlab.records.record import Record, decode, lost

if TYPE_CHECKING:
    from claimlab.report.figures import Picture

PAGE = "index.html"


def pytest_configure(config: pytest.Config) -> None:
    if not is_worker(config) and runs_claims(config) and not config.option.collectonly:
        run = config.stash[RUN]
        make_writable(run.report)
        config.pluginmanager.register(Recorder(run), "claimlab-recorder")


class Recorder:
    """Lives in the process that reports (the controller, under xdist) and writes each record as it arrives."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.judged: list[Record] = []
        self.unjudged: list[str] = []
        self.shown: list[str] = []
        self.written = ""
        self.interrupted = False
        self.artist = Artist(run.root)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_setupnodes(self) -> None:
        if self.run.certify is None:
            self.artist.prepare()

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        if self.run.certify is None:
            self.artist.await_tests(ids)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if shown := getattr(report, "claimlab_shown", None):
            self.shown.append(shown)
        if line := getattr(report, "claimlab_record", None):
            if not self.judged and self.run.certify is None:
                self._set_aside()
            self.judged.append(decode(line))
            if self.run.certify is None:
                files.append(self.run.report / files.RECORDS, line)
        elif report.failed and report.when != "teardown" and report.nodeid.startswith(f"{FOLDER}/"):
            self.unjudged.append(report.nodeid)
        if report.when == "teardown":
            self.artist.see(report.nodeid, self.judged)

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        self.interrupted = exitstatus == pytest.ExitCode.INTERRUPTED or bool(session.shouldstop or session.shouldfail)
        if self.judged:
            self.written = self._write()

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, exitstatus: int) -> None:
        if self.shown:
            terminalreporter.section(f"one seed of epoch {self.run.epoch}")
            for line in self.shown:
                terminalreporter.write_line(line)
        if not self.judged:
            wanted = terminalreporter.config.option.keyword
            if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and wanted:
                terminalreporter.write_line(terminal.nothing_selected(wanted, names(self.run.root / FOLDER)))
            return
        terminalreporter.section("claims")
        for line, markup in terminal.summary(
            self.judged,
            self.unjudged,
            claims_there=len(claim_modules(self.run.root / FOLDER)),
            interrupted=self.interrupted,
        ):
            terminalreporter.write_line(line, **markup)
        terminalreporter.write_line(self.written)

    def _set_aside(self) -> None:
        """Keep the run before this one, unless the one that is kept already judged more: two runs of a few tests each
        must not cost the records of a whole one.
        """
        path, kept = self.run.report / files.RECORDS, self.run.report / files.PREVIOUS
        if not path.exists():
            return
        if files.lines(path) >= files.lines(kept):
            path.replace(kept)
        else:
            path.unlink()

    def _write(self) -> str:
        """Write what the whole run came to; says what and where."""
        if self.run.certify is not None:
            path = self.run.report / files.CERTIFICATES
            write_certificates(path, self.judged)
            return f"certificates: {path}"
        from claimlab.report import page

        history.add(self.run.report / history.FILE, history.summed_up(self.judged))
        path = self.run.report / PAGE
        text = page.render(
            self.judged,
            root=self.run.root,
            unjudged=self.unjudged,
            drawn=self.artist.pictures(),
            interrupted=self.interrupted,
            history=history.read(self.run.report / history.FILE),
        )
        path.write_text(text, encoding="utf-8")
        return f"report: {path}"


class Artist:
    """Draws each claim's figure as soon as its last test is done, while workers still run the others'."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.awaited: Counter[str] = Counter()
        self.drawing: dict[str, Future[Picture]] = {}
        self.thread = ThreadPoolExecutor(1)  # no more, for matplotlib's styles belong to the process

    def prepare(self) -> None:
        """There are workers: load what figures need while the workers load what tests need."""
        self.thread.submit(load_what_figures_need)

    def await_tests(self, nodeids: Sequence[str]) -> None:
        """What a worker has collected, which is what every worker has."""
        self.awaited = Counter(map(_module_of, nodeids))

    def see(self, nodeid: str, judged: list[Record]) -> None:
        """A test is done: was it the last of its module?"""
        module = _module_of(nodeid)
        self.awaited[module] -= 1
        if self.awaited[module]:
            return
        if tests := [record for record in judged if record.module == module]:
            self.drawing[tests[0].claim] = self.thread.submit(self._draw, tests)

    def pictures(self) -> dict[str, "Picture"]:
        """The figures by their claims' ids; those of unfinished claims are left to the report."""
        return {claim: picture.result() for claim, picture in self.drawing.items()}

    def _draw(self, tests: list[Record]) -> "Picture":
        from claimlab.report import page

        return page.picture(tests, self.root)


def _module_of(nodeid: str) -> str:
    return nodeid.partition("::")[0]


def load_what_figures_need() -> None:
    """A few seconds' worth of modules that would else be loaded when the first figure is drawn."""
    for module in (
        "torch",
        "matplotlib.backends.backend_svg",
        "matplotlib.figure",
        "hypothesis.strategies",
        "scipy.stats",
        "claimlab.report.page",
    ):
        importlib.import_module(module)


def write_certificates(path: Path, judged: list[Record]) -> None:
    """Merge certificates into the file: a new one replaces the old one of the same test on the same device.

    Rows are left out: they are many, and the epoch draws them again.
    """
    old = files.read(path)[0] if path.exists() else []
    by_test = {(record.claim, record.test, record.device): record for record in old}
    for record in judged:
        if record.wins is not None and record.n:
            low, high = sequential.clopper_pearson(record.wins, record.n)
            slim = replace(record, rows={}, seeds=[], numbers={"interval": [low, high], "lost": list(lost(record))})
            by_test[record.claim, record.test, record.device] = slim
    files.replace(path, (by_test[key] for key in sorted(by_test)))
