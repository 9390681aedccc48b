"""What a claim module declares, and what its checks return.

A module in `claims/` holds one `CLAIM` and a few tests. Each test hands a *check* to the `judge` fixture. There are
three kinds of evidence, and a check has one shape for each:

=============  ============================================  ==================================
evidence       the check                                     returns
=============  ============================================  ==================================
`Exact`        `check(**world)`                              `Certificate(holds, **numbers)`
`Property`     `check(world, **fixed)`, worlds by Hypothesis `Certificate(holds, **numbers)`
`Statistical`  `trial(seeds, **world)`, a block of seeds     `Rows(win, **metrics)`, one row a seed
=============  ============================================  ==================================
"""

from dataclasses import dataclass
from typing import Any

FINDINGS = {
    "holds": "true as the deck says it",
    "scoped": "true within a scope that the deck leaves out",
    "false": "false as written; a corrected statement is tested beside it",
    "contested": "the evidence points both ways, and both sides are tested",
    "open": "measured, with no verdict on the claim itself",
    "untestable": "declared, not tested: no test could fail, and the reason says why",
}


@dataclass(frozen=True)
class Exact:
    """A certificate: rational arithmetic, integer counts, or float64 within a derived tolerance."""

    kind = "exact"


@dataclass(frozen=True)
class Property:
    """Hypothesis draws the worlds; one counterexample refutes. Its draws are not iid: no p-value comes from them."""

    kind = "property"
    examples: int = 100


@dataclass(frozen=True)
class Statistical:
    """Independent seeds, one win or loss each, judged by a sequential probability ratio test.

    `holds` is the win rate the claim promises, `broken` the one it has when the effect is gone; `false_fail` bounds
    the chance that a true claim goes red and `false_pass` the chance that a broken one stays green. All seeds of a
    `block` train at once; the block is the claim's unit of work and is the same wherever it runs. A `dtype` is the
    precision that the trial needs ("float64"), whatever a run asks for; without one it computes in the run's.
    """

    kind = "statistical"
    holds: float = 0.95
    broken: float = 0.50
    false_fail: float = 1e-7
    false_pass: float = 1e-3
    max_seeds: int = 128
    block: int = 16
    dtype: str | None = None


Evidence = Exact | Property | Statistical
KINDS: dict[str, type[Exact] | type[Property] | type[Statistical]] = {
    kind.kind: kind for kind in (Exact, Property, Statistical)
}


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One claim of the deck, and what was found of it.

    `says` is the deck's claim in this project's words, `statement` is what exactly the tests assert, `reason` tells
    in a sentence or two why the finding is what it is, `scope` names what the statement is limited to, and `source`
    is the paper (with table or theorem) that the claim comes from. `covers` lists the catalogue's entries. Raise
    `version` whenever a threshold or a world changes: results of two versions are not comparable. A claim that nobody
    can test is found "untestable" and has no evidence; its module holds the declaration alone, and `statement` says
    what a test would have had to measure.
    """

    id: str
    covers: tuple[str, ...]
    slide: str
    version: int
    finding: str
    says: str
    statement: str
    reason: str
    scope: str
    source: str
    evidence: Evidence | None = None

    @property
    def section(self) -> str:
        """The part of the deck the claim belongs to: the folder its module lies in."""
        return self.id.partition("/")[0]


class Certificate:
    """The outcome of an exact check: whether the predicate holds, and the numbers that show it."""

    def __init__(self, holds: bool, /, **numbers: Any) -> None:
        self.holds = bool(holds)
        self.numbers = numbers


class Rows:
    """The outcome of a trial on a block of S seeds: `win` (`[S]`, bool) and metrics (`[S]` or `[S, ...]`).

    `premise` (`[S]`, bool) says where the trial showed what it takes for granted: that both arms learn, that labels are
    memorised. A seed without its premise speaks for nothing: it counts against what the test asks, as a loss where the
    test supports and as a win where it refutes. So does a row with a number that is not finite.
    """

    def __init__(self, *, win: Any, premise: Any = None, **metrics: Any) -> None:
        self.win = win
        self.premise = premise
        self.metrics = metrics
