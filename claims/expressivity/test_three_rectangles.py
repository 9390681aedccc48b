"""Rectangles that share an edge add up to a staircase without a glitch at the edge.

Slide: Approximation with ReLU nets. A rectangle made of four ReLUs does not end at its right edge b: it falls from b to
b + ε. A rectangle next to it rises from b to b + ε as well. Both are straight there, so that their sum is straight,
from the one height to the other; no sum of heights appears, and no gap. This needs both sides to have the same ε and
the same edge, and the controls take either away.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import strategies as st

from claimlab import Certificate, Claim, Property, draw
from claimlab.measure.piecewise import PiecewiseLinear, function_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="expressivity/adjacent-rectangles-add-without-a-glitch",
    covers=("B6",),
    slide="Approximation with ReLU nets",
    version=1,
    finding="holds",
    says="Three ReLU rectangles next to each other add up to a function with three steps.",
    statement="Rectangles made of four ReLUs each, side by side, add up to a staircase: at each shared edge the sum "
    "goes straight from the one height to the next, without overshoot or gap. This takes sides of the same width at "
    "the same place.",
    reason="A side that falls and a side that rises over the same stretch, both straight, add up to a straight line; "
    "for this they must coincide exactly.",
    scope="exact arithmetic; ε smaller than any of the widths, the same for all rectangles",
    source="the deck's code, after a Quora answer by C. Davis",
    evidence=Property(examples=40),
)

Rectangle = tuple[Fraction, Fraction, Fraction, Fraction]
"""a, b, height, eps."""


def sum_of(row: list[Rectangle]) -> PiecewiseLinear:
    """The net: four ReLU units for each rectangle, which rises from a to a + eps and falls from b to b + eps."""
    kinks = [kink for a, b, _, eps in row for kink in (a, a + eps, b, b + eps)]
    bends = [sign * height / eps for _, _, height, eps in row for sign in (1, -1, -1, 1)]
    return function_of([([[1]] * len(kinks), [-kink for kink in kinks]), ([bends], [0])])


DECK: list[Rectangle] = [
    (Fraction(place), Fraction(place + 1), Fraction(height), Fraction(1, 10**7))
    for place, height in ((-1, "0.4"), (0, "1.3"), (1, "0.8"))
]

NUMBERS = sorted({Fraction(n, d) for d in range(1, 6) for n in range(-3 * d, 3 * d + 1)}, key=abs)
SIXTEENTHS = st.integers(1, 15).map(lambda i: Fraction(i, 16))


@st.composite
def rows(draw: st.DrawFn, *, one_eps: bool = True, apart: bool = False) -> list[Rectangle]:
    """Rectangles from left to right; widths are above 1, eps below 1, and gaps or overlaps below 1/16."""
    widths = draw(st.lists(st.sampled_from([n for n in NUMBERS if n > 1]), min_size=2, max_size=4))
    edges = list(accumulate(widths, initial=draw(st.sampled_from(NUMBERS))))
    eps = draw(SIXTEENTHS)
    row: list[Rectangle] = []
    for a, b in pairwise(edges):
        late = draw(SIXTEENTHS) * draw(st.sampled_from([1, -1])) / 16 if apart and row else Fraction(0)
        height = draw(st.sampled_from(NUMBERS))
        row.append((a + late, b, height, eps if one_eps else draw(SIXTEENTHS)))
    return row


def crosses_without_a_glitch(row: list[Rectangle]) -> Certificate:
    """Whether the sum goes monotonically from each height to the next where sides are, and is flat elsewhere."""
    f = sum_of(row)
    heights = [Fraction(0), *(height for _, _, height, _ in row), Fraction(0)]
    rises = [(a, a + eps) for a, _, _, eps in row]
    falls = [(b, b + eps) for _, b, _, eps in row]
    sides = [rises[0], *(hull(fall, rise) for fall, rise in zip(falls, rises[1:], strict=False)), falls[-1]]
    courses = [[f(start), *(f(t) for t in f.breakpoints if start < t < end), f(end)] for start, end in sides]
    smooth = [
        (course[0], course[-1]) == (before, after) and course == sorted(course, reverse=after < before)
        for course, (before, after) in zip(courses, pairwise(heights), strict=True)
    ]
    flat_elsewhere = all(any(start <= t <= end for start, end in sides) for t in f.breakpoints)
    return Certificate(all(smooth) and flat_elsewhere, courses=courses, flat_elsewhere=flat_elsewhere)


def hull(fall: tuple[Fraction, Fraction], rise: tuple[Fraction, Fraction]) -> tuple[Fraction, Fraction]:
    """The stretch that holds both sides."""
    return min(fall[0], rise[0]), max(fall[1], rise[1])


def test_claim(judge):
    """Forty rows of two to four rectangles in rational arithmetic, of any heights, widths above 1 and one ε below 1,
    each with its left edge on the right edge of the one before. The sum is 0, each height in turn and 0, and flat but
    for [edge, edge + ε] at each edge, where it only rises or only falls.
    """
    judge(crosses_without_a_glitch, given=rows()).supports()


@pytest.mark.exact
def test_the_three_of_the_deck(judge):
    """The deck's three: heights 0.4, 1.3 and 0.8 on [−1, 0], [0, 1] and [1, 2], ε = 10⁻⁷."""
    judge(crosses_without_a_glitch, row=DECK).supports()


def test_control_sides_that_differ_in_eps(judge):
    judge(
        crosses_without_a_glitch,
        given=rows(one_eps=False),
        example=[(0, 2, 1, Fraction(1, 4)), (2, 4, 1, Fraction(1, 2))],
    ).refutes()


def test_control_edges_apart_or_overlapping(judge):
    """Edges up to 1/16 apart."""
    judge(
        crosses_without_a_glitch,
        given=rows(apart=True),
        example=[(0, 2, 1, Fraction(1, 4)), (Fraction(33, 16), 4, 1, Fraction(1, 4))],
    ).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Three rectangles that share their edges make clean steps; if their sides differ in width, the sum bulges."""
    widths = ("0.1", "0.3", "0.1")
    differ = [(a, b, height, Fraction(eps)) for (a, b, height, _), eps in zip(DECK, widths, strict=True)]
    drawn = {"one, ε = 10⁻⁷": DECK[1:2], "three, ε = 10⁻⁷": DECK, "ε = 0.1, 0.3, 0.1 (control)": differ}
    for place, (name, row) in enumerate(drawn.items()):
        f, base = sum_of(row), 1.7 * (len(drawn) - 1 - place)
        xs = [Fraction(-3), *f.breakpoints, Fraction(3)]
        draw.curve(ax, xs, [base + float(f(x)) for x in xs], "(control)" if row is differ else "", marks=False)
        ax.text(-2.95, base + 0.25, name, fontsize=9)
    heights = (0, 0.4, 0.8, 1.3)
    draw.names(ax.yaxis, heights * 3, at=[1.7 * place + height for place in range(3) for height in heights])
    ax.tick_params(axis="y", labelsize=7)
    ax.set(xlabel="x", ylabel="sum of rectangles")
