"""A larger class of functions has no larger approximation error, if larger means that it contains the smaller one.

Slide: Decomposition of the Error. The approximation error is what the best function of the class leaves: a minimum over
the class, and a minimum over more functions is no larger. That is all there is to the claim, so the word to look at is
"larger". A class with more parameters that does not contain the smaller class may well be worse.

The classes here are the continuous functions on [0, 1] with k equally long straight pieces, the nets with one input and
k ReLU units whose kinks are fixed at 0, 1/k, 2/k, ... Those with k pieces are among those with 2k and 3k pieces, but
not among those with k + 1. Targets are piecewise linear, and the mean squared error over [0, 1] of the best function of
a class is computed in rational arithmetic.
"""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from math import lcm
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import strategies as st

from claimlab import Certificate, Claim, Property

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="decomposition/approximation-error-falls-with-the-class",
    covers=("A6",),
    slide="Decomposition of the Error (the trends of the three terms)",
    version=1,
    finding="holds",
    says="The approximation error decreases when the class of functions grows.",
    statement="For random piecewise-linear targets on [0, 1] and k = 1 to 4, the least mean squared error of "
    "continuous functions with k equal pieces is at least that with 2k and with 3k equal pieces, which contain them "
    "(rational arithmetic). It need not fall: for the zigzag through 0, 1, 0, -1, 0 two pieces are no better than one, "
    "while four are. And containing is needed: with k + 1 pieces instead of k it rises for some targets.",
    reason="A minimum over more functions is no larger. This says nothing of classes that merely have more parameters, "
    "nor of what training finds in a class.",
    scope="nested classes and the best function of each; squared error under uniform inputs",
    source="Bottou & Bousquet 2008, The tradeoffs of large scale learning",
    evidence=Property(examples=60),
)

World = tuple[list[int], int, int]
"""The heights of a target at equispaced corners, a number of pieces, and a factor by which it grows."""

WORLDS = st.tuples(st.lists(st.integers(-4, 4), min_size=3, max_size=8), st.integers(1, 4), st.sampled_from([2, 3]))
ZIGZAG = [0, 1, 0, -1, 0]


def refined(heights: Sequence[int], cells: int) -> list[int]:
    """The function that joins the heights by straight lines, at 0, 1 / cells, ..., 1, times the cells in a piece."""
    step = cells // (len(heights) - 1)
    inside = [left * (step - i) + right * i for left, right in pairwise(heights) for i in range(step)]
    return [*inside, heights[-1] * step]


def least_error(heights: Sequence[int], pieces: int) -> Fraction:
    """The mean squared error of the best function of the class, for the target that joins the heights.

    The class has a basis: functions that are 1 at one of the joints 0, 1/k, ..., 1 and 0 at the others. Take the inner
    products of the basis and the target with each other and eliminate the basis, row by row: what is left of <f, f> is
    the squared distance of f from the class (the Schur complement), whatever multiples of the basis were taken.
    """
    corners = len(heights) - 1
    cells = lcm(corners, pieces)  # all are straight lines on a cell, from a to b and from c to d,
    values = np.array([refined(f, cells) for f in (*np.eye(pieces + 1, dtype=int).tolist(), heights)])
    start, end = values[:, :-1], values[:, 1:]  # and the mean of their product is (ac + bd + (a + b)(c + d)) / 6 there
    products = start @ start.T + end @ end.T + (start + end) @ (start + end).T
    rows = [[Fraction(product) for product in row] for row in products.tolist()]
    for i, pivot in enumerate(rows[:-1]):
        for row in rows[i + 1 :]:
            if row[i]:
                factor = row[i] / pivot[i]
                row[i:] = [a - factor * b for a, b in zip(row[i:], pivot[i:], strict=True)]
    return rows[-1][-1] / (6 * cells * (cells // corners) ** 2)


def contains(larger: int, smaller: int) -> bool:
    """Whether every joint of the one class is a joint of the other."""
    return {Fraction(i, smaller) for i in range(smaller + 1)} <= {Fraction(i, larger) for i in range(larger + 1)}


def does_not_rise(world: World, *, nested: bool = True) -> Certificate:
    """Whether the larger class has no larger error: k times as many pieces, or else just one more."""
    heights, pieces, factor = world
    more = pieces * factor if nested else pieces + 1
    before, after = (least_error(heights, count) for count in (pieces, more))
    return Certificate(
        after <= before,
        pieces=pieces, more_pieces=more, contained=contains(more, pieces), error=before, error_with_more=after,
    )  # fmt: skip


def falls(pieces: int) -> Certificate:
    """Whether the zigzag's error is less with twice as many pieces."""
    before, after = (least_error(ZIGZAG, count) for count in (pieces, 2 * pieces))
    return Certificate(after < before, error=before, error_with_twice_as_many=after)


def test_claim(judge):
    judge(does_not_rise, given=WORLDS).supports()


def test_control_one_more_piece(judge):
    """More parameters, but another class: a kink at 1/2 cannot be had with kinks at 1/3 and 2/3."""
    judge(does_not_rise, given=WORLDS, nested=False).refutes()


@pytest.mark.exact
def test_four_pieces_fit_the_zigzag_better_than_two(judge):
    judge(falls, pieces=2).supports()


@pytest.mark.exact
def test_control_two_pieces_fit_the_zigzag_no_better_than_one(judge):
    """The zigzag is odd about 1/2, and what a joint at 1/2 adds to the lines is even."""
    judge(falls, pieces=1).refutes()


def figure(measured: "Measured", ax: "Axes") -> None:
    """The exact error for one target by number of pieces: along the doublings it falls, from one to the next not."""
    heights = [0, 3, 1, -2, 0, 2]
    counts = [*range(1, 10), 12, 16]
    error = {count: float(least_error(heights, count)) ** 0.5 for count in counts}
    doublings = [1, 2, 4, 8, 16]
    ax.plot(counts, [error[count] for count in counts], "o--", color="C1", label="one more piece each (control)")
    ax.plot(doublings, [error[count] for count in doublings], "o-", color="C0", label="twice as many each: nested")
    ax.set_ylim(bottom=0)
    ax.set(xlabel="equal pieces on [0, 1]", ylabel="least root mean squared error")
    ax.legend()
