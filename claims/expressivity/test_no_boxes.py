"""A box in two or more dimensions takes a second hidden layer.

Slide: Approximation with ReLU nets. The notes lift the picture of rectangles to more dimensions, as boxes around
samples. With one hidden layer there are none. A unit of two inputs bends the net along a whole line, so a net that is 0
far away bends nowhere, is a plane, and is 0 everywhere. In more than two dimensions a box, cut by a plane, would be a
box of two inputs. The test looks for a bend far out on each unit's line, which is sure to show it if there is one: the
weights are whole numbers up to 2 in size and the biases up to 3, so that lines that cross do so near the origin, and
parallel ones are 1/3 apart or more.

A second hidden layer does make a box: two rectangles, one in x and one in y, add up to a cross that is 2 on a square,
and a ReLU cuts all of it off at 1. This net bends along the lines x, y = −1, 0, 1, 2 and where the cross is 1, which in
the cells between those lines is a diagonal or an edge. So the multiples of 1/2 tell what it is on all of the plane.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
from hypothesis import strategies as st

from claimlab import Certificate, Claim, Property, draw
from claimlab.measure.piecewise import relu

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="expressivity/relu-boxes-take-two-hidden-layers",
    covers=("X31",),
    slide="Approximation with ReLU nets",
    version=1,
    finding="scoped",
    says="In more dimensions ReLU nets carve boxes around samples as in one they draw rectangles.",
    statement="With two inputs one hidden layer of ReLU units makes no boxes: no such net is 0 far away and not near. "
    "With a second hidden layer of one unit, eight ReLUs in the first make a box.",
    reason="A unit of the first hidden layer bends the net along a whole line or plane, which goes on to where the box "
    "should be 0. A unit behind it can cut off what goes on.",
    scope="exact weights that are written down; nets of one to eight units, and two that nearly are boxes",
    source="the deck's notes",
    evidence=Property(examples=25),
)

Point = tuple[Fraction | int, Fraction | int]
Plane = tuple[list[tuple[int, int, int, int]], int]
"""A net of two inputs and one hidden layer: (w₁, w₂, b, v) of each unit v relu(w₁ x + w₂ y + b), and an output bias."""
Output = Callable[[Plane, Point], Fraction | int]

# A rectangle in x and one in y, from −1 to 2 with sides 1 wide, less 1: it is 1 on a square, but a cross around it.
CROSS: Plane = ([(*w, b, v) for w in ((1, 0), (0, 1)) for b, v in ((1, 1), (0, -1), (-1, -1), (-2, 1))], -1)
# The rectangle in x alone: 0 far away but along the y-axis.
STRIP: Plane = (CROSS[0][:4], 0)

PLANES = st.tuples(
    st.lists(st.tuples(*[st.integers(-2, 2)] * 2, st.integers(-3, 3), st.integers(-2, 2)), min_size=1, max_size=8),
    st.integers(-2, 2),
)


def one_layer(net: Plane, point: Point) -> Fraction | int:
    """The net's output."""
    units, bias = net
    x, y = point
    return bias + sum(v * relu(w1 * x + w2 * y + b) for w1, w2, b, v in units)


def two_layers(net: Plane, point: Point) -> Fraction | int:
    """The same with one more ReLU at the output, which is a second hidden layer of one unit."""
    return relu(one_layer(net, point))


def far_points(net: Plane, away: int) -> list[Point]:
    """Three across each unit's line at both of its ends, where no plane but 0 is 0; and one, if all is constant."""
    points: list[Point] = [(away, away)]
    for w1, w2, b, _ in net[0]:
        size = w1**2 + w2**2
        for end in (away, -away) if size else ():
            for across in (Fraction(-1, 100), Fraction(0), Fraction(1, 100)):
                foot = Fraction(-b, size) + across
                points.append((foot * w1 - end * w2, foot * w2 + end * w1))
    return points


def is_no_box(net: Plane, *, output: Output = one_layer, away: int = 1000) -> Certificate:
    """Whether the net, if it is not 0 on all of a grid near the origin, is not 0 somewhere far away either."""
    near = [output(net, (x, y)) for x in range(-3, 4) for y in range(-3, 4)]
    far = [output(net, point) for point in far_points(net, away)]
    return Certificate(not any(near) or any(far), largest_near=max(map(abs, near)), largest_far=max(map(abs, far)))


def is_a_box(*, output: Output = two_layers, net: Plane = CROSS) -> Certificate:
    """Whether the net is 1 on [0, 1]² and 0 outside (−1, 2)², at the multiples of 1/2 from −3 to 4."""
    halves = [Fraction(i, 2) for i in range(-6, 9)]
    values = {(x, y): output(net, (x, y)) for x in halves for y in halves}
    inside = {value for (x, y), value in values.items() if min(x, y) >= 0 and max(x, y) <= 1}
    outside = {value for (x, y), value in values.items() if min(x, y) <= -1 or max(x, y) >= 2}
    return Certificate(inside == {1} and outside == {0}, inside=sorted(inside), outside=sorted(outside))


def test_claim(judge):
    """Twenty-five nets of one to eight units with whole weights up to 2 and biases up to 3 in size."""
    judge(is_no_box, given=PLANES).supports()


@pytest.mark.exact
def test_a_strip_is_no_box(judge):
    """A rectangle in x, which is 0 far away in all directions but two."""
    judge(is_no_box, net=STRIP).supports()


@pytest.mark.exact
def test_a_cross_is_no_box(judge):
    """A rectangle in x and one in y, less 1."""
    judge(is_no_box, net=CROSS).supports()


@pytest.mark.exact
def test_a_second_layer_makes_a_box(judge):
    """The cross behind one more ReLU is 1 on [0, 1]² and 0 outside (−1, 2)²."""
    judge(is_a_box).supports()


@pytest.mark.exact
def test_control_a_second_layer(judge):
    """What is behind it can be 0 far away and not near."""
    judge(is_no_box, net=CROSS, output=two_layers).refutes()


@pytest.mark.exact
def test_control_a_cross_alone(judge):
    judge(is_a_box, output=one_layer).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Along the diagonal: what one hidden layer draws is not 0 far away, until one more ReLU cuts a box out of it."""
    diagonal = [Fraction(i, 2) for i in range(-6, 9)]
    for output, label in ((one_layer, "one hidden layer (control)"), (two_layers, "two hidden layers")):
        draw.curve(ax, diagonal, [output(CROSS, (t, t)) for t in diagonal], label, marks=False)
    ax.set(xlabel="x = y", ylabel="output")
    draw.key(ax)
