"""One sentence that says what was found, as a lecturer would say it.

Slide: the deck's title of it. What the deck says there, why it is not obvious, what the certificate shows. Copy this
file to claims/<section>/test_<claim>.py and change it from top to bottom: everything below is an example.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from claimlab import Certificate, Claim, Exact

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="example/halves-add-up-to-one",
    covers=("X1",),
    slide="MLP Loss",
    version=1,
    finding="holds",
    says="What the deck claims, in your own words.",
    statement="The first n powers of one half add up to one less the last of them.",
    reason="Why the finding is what it is, in a sentence or two; every number in it is one that a test records.",
    scope="what the statement is limited to; rational arithmetic",
    source="the paper, with its theorem or table",
    evidence=Exact(),
)


def adds_up(*, n: int = 20, ratio: Fraction = Fraction(1, 2)) -> Certificate:
    """Whether the sum of the first n powers of the ratio is 1 - ratio^n. Every size is a keyword: it can be varied."""
    total = sum((ratio**k for k in range(1, n + 1)), Fraction(0))
    return Certificate(total == 1 - ratio**n, total=total, gap=1 - total)


def test_claim(judge):
    """Twenty powers, in rational arithmetic: nothing is rounded."""
    judge(adds_up).supports()


def test_control_thirds_do_not(judge):
    """The same predicate where it is false, refuted for the claim's own reason: one third is not what is left over."""
    judge(adds_up, ratio=Fraction(1, 3)).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """The caption says the point in a sentence: what is missing to one halves with every power."""
    ax.plot(range(1, 21), [0.5**n for n in range(1, 21)], "o")
    ax.set(yscale="log", xlabel="powers added", ylabel="missing to one")
