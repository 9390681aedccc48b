"""Checks of the claims as a whole: what all of them promise together."""

import inspect
import subprocess
import sys
from collections import Counter
from dataclasses import asdict
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

from claimlab import Statistical
from claimlab.declare import modules as discover
from claimlab.judge import sequential as judge
from claimlab.records import record as records
from claimlab.records.record import Record
from claimlab.report import deck

ROOT = Path(__file__).parents[1]
CLAIMS = ROOT / "claims"
CERTIFICATES = ROOT / "reports" / "reference" / "certificates.jsonl"

NIGHTS = 3652  # ten years
TESTS_A_NIGHT = 100
CERTIFIED_SEEDS = 100


@cache
def modules() -> dict[Path, ModuleType]:
    return {path: discover.load(path) for path in discover.claim_modules(CLAIMS)}


def statistical_tests() -> list[tuple[Path, str, Statistical, str]]:
    """Module, test, plan, and what it asks for, which a control and a deck's false wording do with `.refutes()`."""
    found = []
    for path, module in modules().items():
        for name, test in discover.tests_of(module).items():
            plan = discover.evidence_of(test, module.CLAIM)
            if isinstance(plan, Statistical):
                refutes = name.startswith("test_control") or ".refutes()" in inspect.getsource(test)
                found.append((path, name, plan, "refutes" if refutes else "supports"))
    return found


def certificates() -> dict[tuple[str, str], Record]:
    if not CERTIFICATES.exists():
        return {}
    read, complaints = records.read(CERTIFICATES)
    assert not complaints, complaints
    return {(record.claim, record.test): record for record in read if record.device == "cpu"}


def test_there_are_claims():
    assert modules()


def test_every_module_keeps_the_rules():
    assert {
        path.name: found
        for path, module in modules().items()
        if (found := list(discover.complaints(module, path, CLAIMS)))
    } == {}


def test_ids_and_catalogue_entries_are_each_used_once():
    ids = Counter(module.CLAIM.id for module in modules().values())
    covers = Counter(entry for module in modules().values() for entry in module.CLAIM.covers)
    assert [name for name, count in (ids + covers).items() if count > 1] == []


def test_every_claim_stands_on_a_slide_of_the_deck():
    lost = {
        module.CLAIM.id: module.CLAIM.slide for module in modules().values() if module.CLAIM.slide not in deck.SLIDES
    }
    assert lost == {}


def test_no_declaration_is_a_stub():
    stubs = [
        f"{module.CLAIM.id}: {field} {words!r}"
        for module in modules().values()
        for field in ("slide", "says", "statement", "reason", "scope", "source")
        if len((words := getattr(module.CLAIM, field)).strip(" .")) < 8
    ]
    assert stubs == []


def test_ten_years_of_nights_raise_a_false_alarm_with_a_chance_below_four_percent():
    """The budget: each test's exact chance to go red though all is well, over 100 tests a night or all there are."""
    tests = statistical_tests()
    chances = {f"{path.stem}::{name}": judge.false_alarm(plan, asks=asks) for path, name, plan, asks in tests}
    a_night = max(1, TESTS_A_NIGHT / len(chances)) * sum(chances.values())
    assert a_night * NIGHTS < 0.04, f"{a_night * NIGHTS:.3f} in ten years; the largest: " + ", ".join(
        f"{name} {chances[name]:.1e}" for name in sorted(chances, key=chances.__getitem__)[-5:]
    )


def test_every_statistical_test_has_a_certificate_that_is_up_to_date():
    by_test = certificates()
    wrong = [
        f"{path.relative_to(ROOT)}::{name} {why}"
        for path, name, plan, asks in statistical_tests()
        if (why := what_is_wrong(by_test.get((modules()[path].CLAIM.id, name)), path, plan, asks))
    ]
    assert not wrong, "Certificates to draw anew, by `make certify`:\n" + "\n".join(wrong)


def what_is_wrong(certificate: Record | None, path: Path, plan: Statistical, asks: str) -> str:
    """Why a certificate does not vouch for its test as it stands, or nothing."""
    if certificate is None:
        return "has no certificate"
    if certificate.version != modules()[path].CLAIM.version:
        return "has a certificate of another version of the claim"
    if certificate.digest != discover.digest(path):
        return "has a certificate from before its module changed"
    if (certificate.epoch, certificate.asks, certificate.plan) != ("certify", asks, asdict(plan)):
        return "has a certificate of another epoch, question or plan"
    if certificate.wins is None or certificate.n is None or certificate.n < CERTIFIED_SEEDS:
        return f"has a certificate of fewer than {CERTIFIED_SEEDS} seeds"
    if not judge.certifies(certificate.wins, certificate.n, plan, asks=asks) or not certificate.passed:
        return f"won {certificate.wins} of {certificate.n} seeds: find a larger effect, not a smaller margin"
    return ""


def test_no_certificate_is_left_of_a_test_that_is_gone():
    present = {(modules()[path].CLAIM.id, name) for path, name, _, _ in statistical_tests()}
    gone = sorted(set(certificates()) - present)
    assert gone == [], "delete reports/reference/certificates.jsonl and run `make certify`"


@pytest.mark.parametrize(
    "module", ["claimlab", "claimlab.plugin", "claimlab.records", "claimlab.judge", "claimlab.report.page"]
)
def test_torch_is_loaded_only_when_a_claim_needs_it(module):
    code = f"import sys, {module}; print('torch' in sys.modules)"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert printed.strip() == "False"
