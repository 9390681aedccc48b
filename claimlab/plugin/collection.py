"""Which tests there are: the modules of claims, the rules they keep, and what a selection holds."""

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from claimlab.declare import rules
from claimlab.declare.claim import KINDS, Claim, Statistical
from claimlab.declare.modules import FOLDER, traceback_of
from claimlab.declare.questions import Question, evidence_of, questions
from claimlab.plugin.options import RUN, Run, runs_claims

IDS = pytest.StashKey[dict[str, Path]]()
QUESTION = pytest.StashKey[Question]()
EXCUSE = pytest.StashKey[str]()
ASKED = pytest.StashKey[int]()


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    if module_path.is_relative_to(parent.config.rootpath / FOLDER):
        return ClaimModule.from_parent(parent, path=module_path)
    return None


class ClaimModule(pytest.Module):
    """A module of the folder of claims. One that breaks the rules is a single failing item that says why."""

    def collect(self) -> Iterator[pytest.Item | pytest.Collector]:
        try:
            module = self.obj
        except (Exception, SystemExit) as error:
            # pytest wraps some errors of an import, with a traceback of its own in the words.
            cause = (error.__cause__ if isinstance(error, pytest.Collector.CollectError) else None) or error
            yield self._broken(f"The module raised {type(cause).__name__} on import: {cause}\n{traceback_of(cause)}")
            return
        run = self.config.stash[RUN]
        if complaints := list(rules.complaints(module, self.path, run.claims, run.deck)) or list(self._taken()):
            yield self._broken("\n".join(complaints))
            return
        if module.CLAIM.finding == "untestable":
            declaration = Declaration.from_parent(self, name="declaration", claim=module.CLAIM)
            declaration.extra_keyword_matches.update(module.CLAIM.covers)
            yield declaration
            return
        asked = questions(module)
        for item in super().collect():
            if isinstance(item, pytest.Function):
                question = _question_of(item, asked)
                item.stash[QUESTION] = question
                item.stash[ASKED] = len(asked)
                item.add_marker(question.plan.kind)
                _excuse(item, question, run)
            item.extra_keyword_matches.update(module.CLAIM.covers)  # so that -k H15 selects by the catalogue's entry
            yield item

    def _broken(self, complaint: str) -> "BrokenClaim":
        return BrokenClaim.from_parent(self, name="declaration", complaint=complaint)

    def _taken(self) -> Iterator[str]:
        claim: Claim = self.obj.CLAIM
        first = self.config.stash.setdefault(IDS, {}).setdefault(claim.id, self.path)
        if first != self.path:
            older, newer = sorted((first, self.path), key=lambda path: path.stat().st_mtime)
            yield (
                f"CLAIM.id {claim.id!r} is that of two modules: {newer.relative_to(self.config.rootpath)} is the newer "
                f"one and needs an id of its own; {older.relative_to(self.config.rootpath)} has this one."
            )


def _question_of(item: pytest.Function, asked: list[Question]) -> Question:
    """What an item asks: its function's question, with the item's parameters (the device is none of them)."""
    given = dict(item.callspec.params) if hasattr(item, "callspec") else {}
    given.pop("judge", None)
    for question in asked:
        same = question.arguments.keys() == given.keys() and all(given[k] is v for k, v in question.arguments.items())
        if question.function is item.function and same:
            return question
    raise LookupError(item.nodeid)


def _excuse(item: pytest.Function, question: Question, run: Run) -> None:
    reason = run.excuses.get(run.dtype, {}).get(f"{question.claim.id}::{question.test}", "")
    if reason and isinstance(question.plan, Statistical) and question.plan.dtype is None:
        item.stash[EXCUSE] = reason
        item.add_marker(pytest.mark.xfail(reason=f"not expected in {run.dtype}: {reason}", strict=False))


class BrokenClaim(pytest.Item):
    """Stands in for a claim module that cannot be judged."""

    def __init__(self, *, complaint: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.complaint = complaint
        for kind in KINDS:
            self.add_marker(kind)  # so that -m shows it, whatever its evidence was to be

    def runtest(self) -> None:
        pytest.fail(self.complaint, pytrace=False)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, self.path.relative_to(self.config.rootpath).as_posix()


class Declaration(pytest.Item):
    """Stands for a claim that nobody can test: it judges nothing, and leaves a record that says why."""

    def __init__(self, *, claim: Claim, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.claim = claim

    def runtest(self) -> None:
        """Nothing to run; the recorder is left a record."""

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, self.claim.id


def claim_of(item: pytest.Item) -> Claim | None:
    """The claim that an item belongs to, if it is a sound one's."""
    if question := item.stash.get(QUESTION, None):
        return question.claim
    return item.claim if isinstance(item, Declaration) else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    claim = getattr(metafunc.module, "CLAIM", None)
    devices = metafunc.config.stash[RUN].devices
    if "judge" in metafunc.fixturenames and isinstance(claim, Claim) and len(devices) > 1:
        # Exact and property evidence does not depend on the device: it is gathered once.
        statistical = isinstance(evidence_of(metafunc.function, claim), Statistical)
        metafunc.parametrize("judge", devices if statistical else devices[:1], indirect=True)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    run = config.stash[RUN]
    if run.certify is None and run.seed is None:
        return
    kept = [item for item in items if claim_of(item) and item.get_closest_marker("statistical")]
    kept += [item for item in items if isinstance(item, BrokenClaim)]
    dropped = [item for item in items if item not in kept]
    config.hook.pytest_deselected(items=dropped)
    items[:] = kept
    if run.seed is not None:
        chosen = {claim.id for item in items if (claim := claim_of(item))}
        if len(chosen) > 1 or not items:  # a broken module, chosen alone, says for itself what is wrong
            several = f"the selection holds {len(chosen)}" if chosen else "the selection holds none"
            raise pytest.UsageError(
                f"--claims-seed {run.seed} needs exactly one statistical claim, and {several}; "
                f"name its module, like pytest {FOLDER}/optimization/test_wide_nets.py --claims-seed 3."
            )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """`--collect-only -q` lists the claims by id instead of their tests, and `-qq` their questions besides."""
    config = session.config
    _keep_for_good(config)
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if not config.option.collectonly or config.option.verbose > -1 or not reporter:
        return
    by_claim: dict[str, list[pytest.Item]] = {}
    for item in session.items:
        if claim := claim_of(item):
            by_claim.setdefault(claim.id, []).append(item)
    for id in sorted(by_claim):
        for line in _listed(by_claim[id], questions_too=config.option.verbose < -1):
            reporter.write_line(line)
    if by_claim:
        session.items = [item for item in session.items if not claim_of(item)]


def _listed(items: list[pytest.Item], *, questions_too: bool) -> Iterator[str]:
    claim = claim_of(items[0])
    assert claim is not None
    module = items[0].path.relative_to(items[0].config.rootpath)
    kind = claim.evidence.kind if claim.evidence else "none"
    tests = len(items) if claim.evidence else 0
    yield f"{claim.id}  {' '.join(claim.covers)}  {claim.finding}  {kind}  {tests} tests  {module}"
    if questions_too:
        for item in items:
            if question := item.stash.get(QUESTION, None):
                about, *_ = question.about.splitlines() or [""]
                yield f"  {question.test}  {question.asks}  {question.plan.kind}  {about}"


def pytest_unconfigure(config: pytest.Config) -> None:
    _keep_for_good(config)


def _keep_for_good(config: pytest.Config) -> None:
    """Have the garbage collector pass over what torch and the claims brought: that took a tenth of a run."""
    if runs_claims(config):
        gc.freeze()
