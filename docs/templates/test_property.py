"""One sentence that says what was found, as a lecturer would say it.

Slide: the deck's title of it. What holds in every world, and why; Hypothesis looks for one where it does not. Copy this
file to claims/<section>/test_<claim>.py and change it from top to bottom: everything below is an example.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

from claimlab import Certificate, Claim, Property

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="example/relu-keeps-the-order",
    covers=("X2",),
    slide="MLP Loss",
    version=1,
    finding="holds",
    says="What the deck claims, in your own words.",
    statement="A ReLU never turns the order of two numbers round.",
    reason="Why the finding is what it is, in a sentence or two; every number in it is one that a test records.",
    scope="what the statement is limited to; whole numbers",
    source="the paper, with its theorem or table",
    evidence=Property(examples=50),
)


def relu(x: int) -> int:
    return max(x, 0)


def keeps_order(pair: tuple[int, int], *, slope: int = 1) -> Certificate:
    """Whether relu(slope * x) orders a pair as it was. The world that Hypothesis draws comes first, keywords follow."""
    low, high = sorted(pair)
    before, after = relu(slope * low), relu(slope * high)
    return Certificate(before <= after, low=before, high=after)


def pairs() -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(-99, 99), st.integers(-99, 99))


def test_claim(judge):
    """Fifty pairs of whole numbers from -99 to 99."""
    judge(keeps_order, given=pairs()).supports()


def test_control_with_a_negative_slope(judge):
    """The same predicate where it is false: a negative slope turns positive outputs round, of this pair for one."""
    judge(keeps_order, given=pairs(), example=(-2, -1), slope=-1).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """The caption says the point in a sentence: a ReLU never falls."""
    ax.plot([-2, 0, 2], [0, 0, 2])
    ax.set(xlabel="x", ylabel="relu(x)")
