"""A unit more in the hidden layer adds at most one breakpoint.

Slide: Efficient Oscillations with Composition (the notes to it). A net with one input and one hidden layer is a sum of
ramps v relu(w x + b), each of which bends once, at x = -b / w. So h units bend the output at most h times, and one more
unit adds one bend, none if it has no slope, or takes one away if it undoes the bend of another unit. A unit in a layer
of its own can do much more: wherever the function under it passes through 0 it bends, once for every oscillation that
there is. That is why the slide composes tents instead of adding them.

All functions are computed exactly from rational weights; bends that cancel do not count.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from claimlab import Certificate, Claim, Property, draw
from claimlab.measure.piecewise import Layer, PiecewiseLinear, function_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="expressivity/width-adds-breakpoints",
    covers=("C4",),
    slide="Efficient Oscillations with Composition",
    version=2,
    finding="holds",
    says="Adding a unit to the same layer adds at most one breakpoint.",
    statement="One unit more in the hidden layer of a ReLU net of one input adds at most one breakpoint to the "
    "output. The same unit in a second hidden layer of its own, fed with the output of the first, adds two or more to "
    "some nets, and so does a unit in the first layer whose activation bends twice.",
    reason="A hidden unit is a ramp with a single bend, and a sum bends only where one of its terms does. A unit on "
    "top bends wherever the function under it crosses 0.",
    scope="one input and one linear output; rational weights and exact arithmetic",
    source="Telgarsky 2016 (arXiv 1602.04485), which counts the pieces of sums and compositions",
    evidence=Property(examples=40),
)

Unit = tuple[Fraction, Fraction, Fraction]
"""The weights w, b and v of a hidden unit, whose part of the output is v relu(w x + b)."""

World = tuple[list[Unit], Unit]
"""The hidden units of a net, and one more."""

WEIGHTS = st.sampled_from(sorted({Fraction(n, d) for d in (1, 2, 3, 5) for n in range(-4 * d, 4 * d + 1)}, key=abs))
UNITS = st.tuples(WEIGHTS, WEIGHTS, WEIGHTS)


def swinging(heights: list[Fraction]) -> list[Unit]:
    """Units that bend at 0, 1, 2, ... so that the net is 0 at 0 and then swings to heights[0], -heights[1], ..."""
    corners = [Fraction(0), *(height * (-1) ** i for i, height in enumerate(heights))]
    slopes = [Fraction(0), *(after - before for before, after in pairwise(corners))]
    return [(Fraction(1), Fraction(-i), after - before) for i, (before, after) in enumerate(pairwise(slopes))]


# Nets of random weights hardly oscillate, and then a new layer finds little to multiply; nets that swing do.
def worlds(*, most: int = 8) -> st.SearchStrategy[World]:
    """Nets of one hidden layer of up to so many units, and a unit more."""
    random, heights = (st.lists(each, min_size=1, max_size=most) for each in (UNITS, WEIGHTS.map(abs)))
    return st.tuples(random | heights.map(swinging), UNITS)


def net(units: list[Unit]) -> list[Layer]:
    """One hidden layer and a linear output."""
    w, b, v = zip(*units, strict=True)
    return [([[weight] for weight in w], b), ([v], [0])]


def beside(units: list[Unit], unit: Unit) -> PiecewiseLinear:
    """The net with the unit in the same layer as the others."""
    return function_of(net([*units, unit]))


def on_top(units: list[Unit], unit: Unit) -> PiecewiseLinear:
    """The net with the unit in a second hidden layer, which sees what was the output."""
    w, b, v = unit
    first, (readout, _) = net(units)
    return function_of([first, ([[w * weight for weight in readout[0]]], [b]), ([[v]], [0])])


def beside_and_clipped(units: list[Unit], unit: Unit) -> PiecewiseLinear:
    """The net with a unit in the same layer that grows to 1 and no further: it bends twice."""
    w, b, v = unit
    return function_of(net([*units, (w, b, v), (w, b - 1, -v)]))


def adds_at_most_one_breakpoint(
    world: World, *, place: Callable[[list[Unit], Unit], PiecewiseLinear] = beside
) -> Certificate:
    """Whether the net with the unit has at most one breakpoint more than the net without it."""
    units, unit = world
    before, after = (len(f.breakpoints) for f in (function_of(net(units)), place(units, unit)))
    return Certificate(after <= before + 1, before=before, after=after)


def test_claim(judge):
    """40 nets of 1 to 8 units with biases, of random weights or that swing by random heights; the unit is random."""
    judge(adds_at_most_one_breakpoint, given=worlds()).supports()


# Of the worlds that are drawn, few let a unit on top find more than one bend.
ZIGZAG = swinging([Fraction(2)] * 8)
NINTH = (Fraction(1), Fraction(1, 2), Fraction(1, 2))


def test_control_unit_in_a_new_layer(judge):
    """On top of eight units that zigzag a unit adds four breakpoints."""
    judge(adds_at_most_one_breakpoint, given=worlds(), example=(ZIGZAG, NINTH), place=on_top).refutes()


def test_control_activation_that_bends_twice(judge):
    """Beside the same eight it adds two."""
    judge(adds_at_most_one_breakpoint, given=worlds(), example=(ZIGZAG, NINTH), place=beside_and_clipped).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Beside eight units that zigzag (grey) a ninth adds one bend, on top of them four; dots mark the bends."""
    f = function_of(net(ZIGZAG))
    grid = [Fraction(i, 8) for i in range(-8, 65)]
    for base, place, name in ((5, beside, "in the same layer"), (0, on_top, "in a new layer\n(control)")):
        g = place(ZIGZAG, NINTH)
        draw.reference(ax, grid, lambda x, base=base: base + f(x), style="0.75-")
        draw.curve(ax, grid, lambda x, base=base, g=g: base + g(x), name)
        draw.dots(ax, g.breakpoints, [base + y for y in g.values], name)
        ax.text(8.3, base, f"a ninth unit\n{name}:\n{len(g.breakpoints)} bends, not {len(f.breakpoints)}", fontsize=10)
    ax.set(xlim=(-1, 12), xlabel="x", ylabel="output of the net", xticks=range(0, 9, 2), yticks=[])
