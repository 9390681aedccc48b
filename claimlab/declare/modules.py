"""Finding claim modules, and the rules they keep. Nothing here knows pytest."""

import hashlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from claimlab.declare.claim import KINDS, Claim, Evidence, plan_problems, problems


def tests_of(module: ModuleType) -> dict[str, Callable[..., Any]]:
    """The test functions of a module, by name, in their order."""
    return {name: test for name, test in vars(module).items() if name.startswith("test_") and inspect.isfunction(test)}


def evidence_of(test: Callable[..., Any], claim: Claim) -> Evidence:
    """The evidence a test gathers: the claim's own, or what a mark like `@pytest.mark.property(examples=40)` says."""
    assert claim.evidence is not None, "a claim with tests declares its evidence"
    for mark in getattr(test, "pytestmark", ()):
        if mark.name == claim.evidence.kind:
            return replace(claim.evidence, **mark.kwargs)
        if mark.name in KINDS:
            return KINDS[mark.name](**mark.kwargs)
    return claim.evidence


def complaints(module: ModuleType, path: Path, root: Path) -> Iterator[str]:
    """What keeps a module of `claims/` from being judged, one clear sentence each."""
    claim = getattr(module, "CLAIM", None)
    if claim is None:
        yield "The module declares no CLAIM; every module under claims/ is one claim (see the README's guide)."
        return
    yield from problems(claim)
    if not isinstance(claim, Claim):
        return
    *folders, _ = path.relative_to(root).parts
    if len(folders) != 1:
        yield f"The module must lie in the folder of its section: {root.name}/<section>/{path.name}."
    elif not str(claim.id).startswith(f"{folders[0]}/"):
        yield f"CLAIM.id {claim.id!r} must begin with its folder, '{folders[0]}/'."
    tests = tests_of(module)
    if claim.finding == "untestable":
        if tests:
            yield "A claim found untestable has no tests; give it the finding that its tests assert."
        return
    if not any(name.startswith("test_control") for name in tests):
        yield "The module has no test_control...: show a world in which the same predicate is refuted."
    if not any(not name.startswith("test_control") for name in tests):
        yield "The module has no test of the claim itself beside its controls."
    if claim.finding == "false" and "test_deck_wording" not in tests:
        yield "A claim found false needs test_deck_wording, which refutes it as the deck words it."
    for name, test in tests.items():
        if "judge" not in inspect.signature(test).parameters:
            yield f"{name} does not take the `judge` fixture, so it would judge nothing."
        if any(mark.name == "parametrize" for mark in getattr(test, "pytestmark", ())):
            yield f"{name} is parametrized; a test judges one world, so write a function for each."
        yield from _mark_problems(name, test, claim)


def _mark_problems(name: str, test: Callable[..., Any], claim: Claim) -> Iterator[str]:
    for mark in getattr(test, "pytestmark", ()):
        if mark.name in KINDS:
            known = [field.name for field in fields(KINDS[mark.name])]
            if mark.args or not mark.kwargs.keys() <= set(known):
                takes = ", ".join(f"{field}=" for field in known) or "no arguments"
                yield f"{name}: @pytest.mark.{mark.name} takes {takes}, and was given something else."
            elif isinstance(claim.evidence, Evidence):
                yield from (f"{name}: {problem}" for problem in plan_problems(evidence_of(test, claim)))


def claim_modules(root: Path) -> list[Path]:
    """The claim modules under `root`, in order."""
    return sorted(root.glob("*/test_*.py"))


def load(path: Path) -> ModuleType:
    """Import a claim module by its path, outside `sys.modules`."""
    spec = importlib.util.spec_from_file_location(f"claim_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # A dataclass whose annotations are strings looks its module up by name while it is made.
    sys.modules[module.__name__] = module
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[module.__name__]
    return module


def traceback_of(error: BaseException) -> str:
    """Where an error came up, from a claim's code on; frames of claimlab and of pytest's import are left out."""
    ours = (str(Path(__file__).parents[1]), "<frozen importlib")
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(ours)]
    return "".join(traceback.format_list(frame for frame in frames if "_pytest" not in Path(frame.filename).parts))


def digest(path: Path) -> str:
    """What a certificate remembers of its module, so that it goes stale when the module changes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
