"""What a module of claims must keep before it is judged. Nothing here knows pytest."""

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any

from claimlab.declare.claim import FINDINGS, KINDS, Claim, Evidence, Property, Statistical
from claimlab.declare.deck import FILE, Deck
from claimlab.declare.questions import UnsoundTestError, asked_by, evidence_of, is_control, tests_of

DTYPES = ("float64", "float32", "bfloat16", "float16")
"""The precisions a trial can compute in."""

MOST_SEEDS = 4096
"""A test that needs more seeds than this has an effect that nobody would care about."""

_NO_DECK = Deck()


def complaints(module: ModuleType, path: Path, root: Path, deck: Deck = _NO_DECK) -> Iterator[str]:
    """What keeps a module of the folder `root` from being judged, one clear sentence each."""
    claim = getattr(module, "CLAIM", None)
    if claim is None:
        yield f"The module declares no CLAIM; every module under {root.name}/ is one claim (see the README's guide)."
        return
    declared = list(problems(claim))
    yield from declared
    if not isinstance(claim, Claim):
        return
    *folders, _ = path.relative_to(root).parts
    if len(folders) != 1:
        yield f"The module must lie in the folder of its section: {root.name}/<section>/{path.name}."
    elif not str(claim.id).startswith(f"{folders[0]}/"):
        yield f"CLAIM.id {claim.id!r} must begin with its folder, '{folders[0]}/'."
    if deck.lacks(claim.slide):
        yield f"CLAIM.slide {claim.slide!r} is no slide of the deck; {root.name}/{FILE} lists them."
    tests = tests_of(module)
    if claim.finding == "untestable":
        if tests:
            yield "A claim found untestable has no tests; give it the finding that its tests assert."
        return
    if not any(map(is_control, tests)):
        yield "The module has no test_control...: show a world in which the same predicate is refuted."
    if all(map(is_control, tests)):
        yield "The module has no test of the claim itself beside its controls."
    if claim.finding == "false" and "test_deck_wording" not in tests:
        yield "A claim found false needs test_deck_wording, which refutes it as the deck words it."
    for name, test in tests.items():
        yield from _test_problems(name, test, claim, sound=not declared)


def _test_problems(name: str, test: Callable[..., Any], claim: Claim, *, sound: bool) -> Iterator[str]:
    marks = list(_mark_problems(name, test, claim))
    yield from marks
    if not is_control(name) and not (test.__doc__ or "").strip():
        yield f"{name} has no docstring: say what exactly it tests, with its sizes, budgets and margins."
    if "judge" not in inspect.signature(test).parameters:
        yield f"{name} does not take the `judge` fixture, so it would judge nothing."
    elif sound and not marks:
        try:
            asked_by(name, test, claim)
        except UnsoundTestError as reason:
            yield str(reason)


def _mark_problems(name: str, test: Callable[..., Any], claim: Claim) -> Iterator[str]:
    for mark in getattr(test, "pytestmark", ()):
        if mark.name in KINDS:
            known = [field.name for field in fields(KINDS[mark.name])]
            if mark.args or not mark.kwargs.keys() <= set(known):
                takes = ", ".join(f"{field}=" for field in known) or "no arguments"
                yield f"{name}: @pytest.mark.{mark.name} takes {takes}, and was given something else."
            elif isinstance(claim.evidence, Evidence):
                yield from (f"{name}: {problem}" for problem in plan_problems(evidence_of(test, claim)))


def problems(claim: object) -> Iterator[str]:
    """What is wrong with a declaration, one clear sentence each."""
    if not isinstance(claim, Claim):
        yield f"CLAIM must be a claimlab.Claim, not {type(claim).__name__}."
        return
    if not re.fullmatch(r"[a-z0-9-]+/[a-z0-9-]+", str(claim.id)):
        yield f"CLAIM.id {claim.id!r} must read section/name in lower case with dashes, like 'depth/tents-double'."
    if str(claim.finding) not in FINDINGS:
        yield f"CLAIM.finding {claim.finding!r} is unknown; choose one of {', '.join(FINDINGS)}."
    if not isinstance(claim.covers, tuple) or not claim.covers or not all(isinstance(e, str) for e in claim.covers):
        yield "CLAIM.covers must be a tuple of catalogue entries, like ('H15',)."
    if not isinstance(claim.version, int) or claim.version < 1:
        yield f"CLAIM.version {claim.version!r} must be a whole number from 1."
    for field in ("slide", "says", "statement", "reason", "scope", "source"):
        if not str(getattr(claim, field) or "").strip():
            yield f"CLAIM.{field} is empty; the report has nothing to print there."
    evidence = claim.evidence
    if claim.finding == "untestable":
        if evidence is not None:
            yield "A claim found untestable gathers no evidence; leave CLAIM.evidence out."
    elif not isinstance(evidence, Evidence):
        yield "CLAIM.evidence must be Exact(), Property() or Statistical()."
    else:
        yield from plan_problems(evidence)


def plan_problems(evidence: Evidence) -> Iterator[str]:
    """What is wrong with the numbers of a plan, one clear sentence each."""
    if isinstance(evidence, Statistical):
        if not 0 < evidence.broken < evidence.holds < 1:
            yield "Statistical evidence needs 0 < broken < holds < 1."
        if not (0 < evidence.false_fail < 0.5 and 0 < evidence.false_pass < 0.5):
            yield "Statistical evidence needs false_fail and false_pass between 0 and 0.5."
        if not 1 <= evidence.block <= evidence.max_seeds:
            yield "Statistical evidence needs a block of at least 1 and at most max_seeds seeds."
        if not isinstance(evidence.max_seeds, int) or evidence.max_seeds > MOST_SEEDS:
            yield f"Statistical evidence needs a whole number of at most {MOST_SEEDS} for max_seeds."
        if evidence.dtype not in (None, *DTYPES):
            yield f"Statistical evidence has dtype {evidence.dtype!r}; choose one of {', '.join(DTYPES)}."
    elif isinstance(evidence, Property) and evidence.examples < 1:
        yield "Property evidence needs at least one example."
