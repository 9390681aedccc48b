"""A small project with claims of its own: modules put together from parts, and pytest to run them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import claimlab
from claimlab import Exact, Property, Statistical
from claimlab.records import files
from claimlab.records.record import Record

LEFT_OUT = object()
"""For a field that a declaration does not have."""

DECLARATION: dict[str, Any] = {
    "id": "sec/it", "covers": ("T1",), "slide": "A slide", "version": 1, "finding": "holds", "says": "It is said.",
    "statement": "A draw stays below the bound.", "reason": "It was looked at.", "scope": "normal draws",
    "source": "nobody", "evidence": Exact(),
}  # fmt: skip


def case(line: str, *, name: str = "test_claim", about: str = "What it asks.", marks: str = "", takes="judge") -> str:
    """The source of a test that is this line."""
    return f'{marks}\ndef {name}({takes}):\n    """{about}"""\n    {line}\n'


def module(*, check: str = "", tests: Sequence[str] = (), head: str = "", tail: str = "", **declaration: Any) -> str:
    """The source of a claim module: a declaration that is good but for what is given, then check, tests and `tail`."""
    fields = {name: value for name, value in (DECLARATION | declaration).items() if value is not LEFT_OUT}
    declared = ", ".join(f"{name}={_source(value)}" for name, value in fields.items())
    imports = f"{head}\nimport pytest\n\nfrom claimlab import Certificate, Claim, Exact, Property, Rows, Statistical"
    return "\n\n".join([imports, f"CLAIM = Claim({declared})", check, *tests, tail])


def _source(value: object) -> str:
    return value.__name__ if isinstance(value, type) else repr(value)


def exact(*, b: str = "2", before: str = "pass", returns: str = "Certificate(a + b == 4, sum=a + b)") -> dict[str, Any]:
    """The parts of a module with exact evidence: that 2 + 2 is 4, and as a control that 2 + 3 is."""
    return {
        "check": f"def check(a=2, b={b}):\n    {before}\n    return {returns}\n",
        "tests": [case("judge(check).supports()"), case("judge(check, b=3).refutes()", name="test_control_other")],
    }


def worlds(
    *, given: str = "st.integers(0, 1000)", bound: str = "2000", before: str = "pass", examples: int = 30
) -> dict[str, Any]:
    """The parts of a module with property evidence: that numbers up to 1000 are below 2000, and as a control 700."""
    return {
        "evidence": Property(examples=examples),
        "head": "from hypothesis import strategies as st",
        "check": f"def check(it, bound={bound}):\n    {before}\n    return Certificate(it < bound, it=it)\n",
        "tests": [
            case(f"judge(check, given={given}).supports()"),
            case(
                "judge(check, given=st.integers(0, 1000), example=700, bound=700).refutes()", name="test_control_tight"
            ),
        ],
    }


def draws(
    *,
    bound: str = "3.5",
    control: str = "-3.5",
    before: str = "pass",
    returns: str = "Rows(win=draw < bound, draw=draw)",
    evidence: Statistical = Statistical(),  # noqa: B008
) -> dict[str, Any]:
    """The parts of a module with statistical evidence: that normal draws are small, and as a control very small."""
    return {
        "evidence": evidence,
        "check": f"def trial(seeds, bound={bound}):\n    draw = seeds.normal('it')\n    {before}\n    return {returns}",
        "tests": [
            case("judge(trial).supports()", about="Almost every draw is small."),
            case(f"judge(trial, bound={control}).refutes()", name="test_control_low"),
        ],
    }


@dataclass(frozen=True)
class Bench:
    """A project with claims, and pytest to run them."""

    pytester: pytest.Pytester

    @property
    def path(self) -> Path:
        return self.pytester.path

    def write(self, name: str, **parts: Any) -> Path:
        """Add the claim module claims/sec/test_<name>.py, whose claim is sec/<name>."""
        return self.put(f"claims/sec/test_{name}.py", module(**{"id": f"sec/{name}"} | parts))

    def put(self, place: str, text: str) -> Path:
        """Add a file."""
        path = self.path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def run(self, *arguments: str) -> pytest.RunResult:
        """`pytest ARGUMENTS` in this process; an interrupt comes back as its exit status."""
        return self.pytester.runpytest_inprocess(
            "-p", "no:cacheprovider", *(arguments or ("claims",)), no_reraise_ctrlc=True
        )

    def records(self, folder: str = "reports/latest", name: str = files.RECORDS) -> list[Record]:
        judged, complaints = files.read(self.path / folder / name)
        assert not complaints
        return judged

    def record(self, claim: str, test: str = "test_claim") -> Record:
        """The one record of a test in the last run."""
        (record,) = [each for each in self.records() if (each.claim, each.test) == (claim, test)]
        return record


def shown(result: pytest.RunResult) -> str:
    """All that a run said."""
    return "\n".join(result.outlines + result.errlines)


def assert_no_frame_of_ours(text: str) -> None:
    """No line of a traceback is claimlab's own."""
    ours = Path(claimlab.__file__).parent
    assert "Traceback" not in text
    assert f'File "{ours}' not in text
    assert not any(line.startswith("claimlab") and ".py:" in line for line in text.splitlines())
