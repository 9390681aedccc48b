"""A larger class of functions has no larger approximation error, if larger means that it contains the smaller one.

Slide: Decomposition of the Error. The approximation error is what the best function of the class leaves: a minimum over
the class, and a minimum over more functions is no larger. That is all there is to the claim, so the word to look at is
"larger". A class with more parameters that does not contain the smaller class may well be worse.

The classes here are the continuous functions on [0, 1] with k equally long straight pieces, the nets with one input and
k ReLU units whose kinks are fixed at 0, 1/k, 2/k, ... Those with k pieces are among those with 2k and 3k pieces, but
not among those with k + 1. Targets are piecewise linear, and the mean squared error over [0, 1] of the best function of
a class is computed in rational arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from math import lcm
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import strategies as st

from claimlab import Certificate, Claim, Property, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="decomposition/approximation-error-falls-with-the-class",
    covers=("A6",),
    slide="Decomposition of the Error (the trends of the three terms)",
    version=2,
    finding="holds",
    says="The approximation error decreases when the class of functions grows.",
    statement="The best continuous function with k equal straight pieces never has a smaller error than the best with "
    "2k or 3k pieces, which contain it. The error need not fall, though, and containing is needed: with k + 1 pieces "
    "instead of k it can rise.",
    reason="A minimum over more functions is no larger. This says nothing of classes that merely have more parameters, "
    "nor of what training finds in a class.",
    scope="nested classes and the best function of each; the mean squared error of piecewise-linear targets under "
    "uniform inputs on [0, 1], in rational arithmetic",
    source="Bottou & Bousquet 2008, The tradeoffs of large scale learning",
    evidence=Property(examples=60),
)

World = tuple[list[int], int, int]
"""The heights of a target at equispaced corners, a number of pieces, and a factor by which it grows."""

ZIGZAG = (0, 1, 0, -1, 0)


def worlds() -> st.SearchStrategy[World]:
    return st.tuples(st.lists(st.integers(-4, 4), min_size=3, max_size=8), st.integers(1, 4), st.sampled_from([2, 3]))


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


def falls(*, pieces: int, heights: Sequence[int] = ZIGZAG) -> Certificate:
    """Whether a target's error is less with twice as many pieces."""
    before, after = (least_error(heights, count) for count in (pieces, 2 * pieces))
    return Certificate(after < before, error=before, error_with_twice_as_many=after)


def is_as_computed_by_hand(*, least: Mapping[tuple[tuple[int, ...], int], Fraction]) -> Certificate:
    """Whether the least mean squared error is what it was computed to be, for targets and numbers of pieces.

    The tent 0, 1, 0 has the mean 1/2 and no slope, so the best line leaves its variance, 1/12. Three pieces leave
    1/162: the best ones are -1/18 at the ends and 7/9 at the joints. The hinge 0, 0, 1 has the mean 1/4, the mean
    square 1/6 and the product 1/12 with x - 1/2, whose mean square is 1/12: the best line leaves 1/6 - 1/16 - 1/12.
    The zigzag has the mean 0, the mean square 1/3 and the product -1/8 with x - 1/2: 1/3 - 3/16.
    """
    computed = [least_error(heights, pieces) for heights, pieces in least]
    return Certificate(computed == list(least.values()), least=list(least.values()), computed=computed)


def test_claim(judge):
    """Two or three times as many pieces as k = 1 to 4, for targets of 2 to 7 pieces with whole heights from −4 to 4."""
    judge(does_not_rise, given=worlds()).supports()


@pytest.mark.exact
def test_control_one_more_piece(judge):
    """More parameters, but another class: five pieces fit a target with kinks at the fifths, and six do not."""
    judge(does_not_rise, world=([0, 3, 1, -2, 0, 2], 5, 2), nested=False).refutes()


@pytest.mark.exact
def test_four_pieces_fit_the_zigzag_better_than_two(judge):
    """The zigzag goes through 0, 1, 0, −1, 0: with four pieces it is in the class."""
    judge(falls, pieces=2).supports()


@pytest.mark.exact
def test_four_errors_by_hand(judge):
    """A tent by one piece (1/12) and by three (1/162), a hinge by one (1/48), the zigzag by two (7/48), by four 0."""
    by_hand = {
        ((0, 1, 0), 1): Fraction(1, 12),
        ((0, 1, 0), 3): Fraction(1, 162),
        ((0, 0, 1), 1): Fraction(1, 48),
        (ZIGZAG, 2): Fraction(7, 48),
        (ZIGZAG, 4): Fraction(0),
    }
    judge(is_as_computed_by_hand, least=by_hand).supports()


@pytest.mark.exact
def test_control_errors_at_the_corners(judge):
    """The best constant for 0, 1, 0 leaves 2/9 on average over the corners, and less between them."""
    judge(is_as_computed_by_hand, least={((0, 1, 0), 1): Fraction(2, 9)}).refutes()


@pytest.mark.exact
def test_control_two_pieces_fit_the_zigzag_no_better_than_one(judge):
    """The zigzag is odd about 1/2, and what a joint at 1/2 adds to the lines is even."""
    judge(falls, pieces=1).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """One target's exact error falls with every doubling of the pieces, and rises from five pieces to six."""
    heights = [0, 3, 1, -2, 0, 2]
    for counts, label in (
        ([*range(1, 10), 12, 16], "one more piece each (control)"),
        ([1, 2, 4, 8, 16], "twice as many each: nested"),
    ):
        draw.curve(ax, counts, [float(least_error(heights, count)) ** 0.5 for count in counts], label)
    ax.set_ylim(bottom=0)
    ax.set(xlabel="equal pieces on [0, 1]", ylabel="least root mean squared error")
    ax.legend()
