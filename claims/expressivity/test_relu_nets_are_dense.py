"""One hidden layer of ReLU units comes as near to a continuous function as one likes.

Slide: Universal Function Approximation. As printed there the bound is on the error at one x; what makes the claim more
than trivial is that it holds for all x of the compact set at once, and that is what is tested: the sup distance. The
deck credits Sonoda & Murata, who recover a function from an integral over infinitely many ReLU units, almost everywhere
and in L2; that finitely many units suffice in the sup distance on any compact set is Leshno et al. 1993.

On [0, 1] the claim has a proof by construction. Let f change by at most L |s − t| between s and t, and let the net join
the values of f at the h + 1 points i/h by straight lines, which takes h ReLU units, one for each point but the last.
At x = (1 − w) s + w t between two neighbours s, t = s + 1/h the net is (1 − w) f(s) + w f(t), so it is off by at most
(1 − w) |f(x) − f(s)| + w |f(x) − f(t)| ≤ 2 w (1 − w) L / h ≤ L / (2h); and L / (2h) ≤ ε once h ≥ L / (2ε).

With two inputs the same net, of p x + q y in place of x, follows a function of p x + q y: a ridge. A sum of ridges is
followed by all their units in one hidden layer, with the sum of their errors at most. That is enough in principle: the
cosines of π (k x + l y) are ridges, and their sums come near to every continuous function on the square.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from math import ceil
from typing import TYPE_CHECKING

import pytest
from hypothesis import strategies as st

from claimlab import Certificate, Claim, Property, draw
from claimlab.measure.piecewise import (
    Layer,
    PiecewiseLinear,
    function_of,
    identity,
    lipschitz,
    pieces,
    sup_distance,
    through,
)
from claimlab.measure.regions import along_segment

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="expressivity/relu-nets-are-dense",
    covers=("B2",),
    slide="Universal Function Approximation",
    version=2,
    finding="holds",
    says="Nets with one hidden layer are dense in the continuous functions on a compact set with ReLU units too.",
    statement="One hidden layer of ReLU units comes as near as one likes to a piecewise-linear function on [0, 1], or "
    "to a sum of ridges on the square, at every x at once. Two units are not enough for all of them, nor are units "
    "that look one way in the plane; with the identity in place of the ReLU no number is.",
    reason="In one dimension a net that interpolates on a fine enough grid is within L / (2h), and that for all x at "
    "once, which the deck's formula leaves out. On compact sets of any dimension every continuous activation that is "
    "no polynomial will do (Leshno et al. 1993).",
    scope="one input, or two and sums of ridges; Lipschitz targets, exact weights that are written down, not trained; "
    "an output bias, which in the deck's formula costs one more unit",
    source="Leshno et al. 1993 (Neural Networks 6, 861-867); Sonoda & Murata 2017 (arXiv 1505.03654)",
    evidence=Property(examples=40),
)

World = tuple[list[Fraction], Fraction]
"""The heights of a target f at equispaced corners, from 0 to 1, and the tolerance ε."""

HEIGHTS = st.sampled_from(sorted((Fraction(i, 4) for i in range(-4, 5)), key=abs))
TOLERANCES = st.sampled_from([Fraction(i, 17) for i in (8, 5, 3, 2)])  # not multiples of the heights' quarters


def worlds(*, corners: int = 3) -> st.SearchStrategy[World]:
    """Targets with at least so many corners, and tolerances."""
    return st.tuples(st.lists(HEIGHTS, min_size=corners, max_size=12), TOLERANCES)


def target(heights: list[Fraction]) -> PiecewiseLinear:
    """The function that joins the heights by straight lines."""
    return through((Fraction(i, len(heights) - 1), height) for i, height in enumerate(heights))


def interpolating_net(f: PiecewiseLinear, units: int) -> list[Layer]:
    """Unit i is relu(x − i/h) and bends the output by what the slopes of the chords left and right of i/h differ."""
    knots = [Fraction(i, units) for i in range(units + 1)]
    slopes = [(f(t) - f(s)) * units for s, t in pairwise(knots)]
    bends = [slopes[0], *(after - before for before, after in pairwise(slopes))]
    return [([[1]] * units, [-knot for knot in knots[:-1]]), ([bends], [f(0)])]


def enough_units(f: PiecewiseLinear, tolerance: Fraction) -> int:
    """h = ⌈L / (2ε)⌉, and one for a constant f."""
    return max(1, ceil(lipschitz(f) / (2 * tolerance)))


def error_of_the_interpolating_net(f: PiecewiseLinear, units: int) -> Fraction:
    """Its sup distance from f on [0, 1]: an upper bound on what the best net of this size can do."""
    return sup_distance(f, function_of(interpolating_net(f, units)), 0, 1)


def least_error_of_any_net(f: PiecewiseLinear, units: int) -> Fraction:
    """A lower bound on the sup distance from f of every net with one hidden layer of so many ReLU units.

    Cut [0, 1] at every second corner of f. A unit bends the net at one point, so with fewer units than stretches the
    net is straight on some stretch, where f has a corner that lies d off the chord. There or at an end of the stretch
    the straight net is off by d/2 at least. The units can see to the stretches with the largest d, no more.
    """
    corners = [(x, f(x)) for x in (Fraction(0), *(t for t in f.breakpoints if 0 < t < 1), Fraction(1))]
    stretches = zip(corners[::2], corners[1::2], corners[2::2], strict=False)
    off = [abs(y - u - (v - u) * (x - s) / (t - s)) for (s, u), (x, y), (t, v) in stretches]
    return sorted([*off, *[Fraction(0)] * (units + 1)], reverse=True)[units] / 2


def least_error_without_activation(f: PiecewiseLinear, units: int) -> Fraction:
    """The same when the activation is the identity: the net is then as straight as one without units."""
    straight = function_of(interpolating_net(f, units), activation=lambda z: z)
    return least_error_of_any_net(f, units=pieces(straight) - 1)


def within_tolerance(
    world: World,
    *,
    units: Callable[[PiecewiseLinear, Fraction], int] = enough_units,
    error: Callable[[PiecewiseLinear, int], Fraction] = error_of_the_interpolating_net,
) -> Certificate:
    """Whether so many units come within the tolerance of the target.

    The claim is shown with an upper bound on the error of the best net, and the controls are refuted with a lower one,
    so that what they refute is every net of that size.
    """
    heights, tolerance = world
    f = target(heights)
    count = units(f, tolerance)
    apart = error(f, count)
    return Certificate(apart <= tolerance, units=count, error=apart, tolerance=tolerance, lipschitz=lipschitz(f))


def test_claim(judge):
    """Forty random f with 3 to 12 equispaced corners at multiples of 1/4 from −1 to 1, ε from 2/17 to 8/17: the net of
    h = ⌈L / (2ε)⌉ units and an output bias that interpolates f at 0, 1/h, ..., 1 is within ε of f at every x in
    [0, 1], in rational arithmetic. L is the Lipschitz constant of f.
    """
    judge(within_tolerance, given=worlds()).supports()


ZIGZAG = ([Fraction(i % 2) for i in range(9)], Fraction(2, 17))


def test_control_two_units_whatever_the_tolerance(judge):
    """By a lower bound on the error of every net of two units."""
    judge(
        within_tolerance, given=worlds(corners=9), example=ZIGZAG, units=lambda f, tolerance: 2,
        error=least_error_of_any_net,
    ).refutes()  # fmt: skip


def test_control_identity_activation(judge):
    """By a lower bound on the error of every net without an activation."""
    judge(within_tolerance, given=worlds(), example=ZIGZAG, error=least_error_without_activation).refutes()


# -- two inputs ---------------------------------------------------------------------------------------------------

Ridge = tuple[tuple[int, int], list[Fraction]]
"""A direction (p, q), and the heights of a function of p x + q y at equispaced corners of its range on [0, 1]²."""

DIRECTIONS = st.sampled_from([(1, 0), (0, 1), (1, 1), (1, -1), (2, 1), (-1, 3)])
SEGMENTS = [
    ((Fraction(a), Fraction(b)), (Fraction(c), Fraction(d)))
    for a, b, c, d in ((0, 0, 1, 1), (0, 1, 1, 0), (0, "1/3", 1, "1/2"), ("2/3", 0, "1/5", 1))
]


def sums_of_ridges(*, least: int = 1) -> st.SearchStrategy[tuple[list[Ridge], Fraction]]:
    """Up to three ridges, and tolerances."""
    ridges = st.tuples(DIRECTIONS, st.lists(HEIGHTS, min_size=3, max_size=5))
    return st.tuples(st.lists(ridges, min_size=least, max_size=3, unique_by=lambda ridge: ridge[0]), TOLERANCES)


def along(direction: tuple[int, int]) -> tuple[list[Fraction], Fraction]:
    """Weights and bias with which p x + q y goes from 0 to 1 on [0, 1]²."""
    low, high = sum(min(part, 0) for part in direction), sum(max(part, 0) for part in direction)
    return [Fraction(part, high - low) for part in direction], Fraction(-low, high - low)


def ridge_net(ridges: list[Ridge], nets: list[list[Layer]]) -> list[Layer]:
    """The net of two inputs that is the sum of these nets, each of its ridge's p x + q y."""
    rows, biases, bends, bias = [], [], [], Fraction(0)
    for (direction, _), [(_, kinks), ((outgoing,), (constant,))] in zip(ridges, nets, strict=True):
        weights, start = along(direction)
        rows += [weights] * len(kinks)
        biases += [start + kink for kink in kinks]
        bends += outgoing
        bias += constant
    return [(rows, biases), ([bends], [bias])]


def on_segment(
    ridges: list[Ridge], start: tuple[Fraction, Fraction], end: tuple[Fraction, Fraction]
) -> PiecewiseLinear:
    """The sum of ridges at start + t (end − start), as a function of t."""
    whole = 0 * identity()
    for direction, heights in ridges:
        (p, q), bias = along(direction)
        here, there = (p * x + q * y + bias for x, y in (start, end))
        whole += target(heights)(here + (there - here) * identity())
    return whole


def error_of_the_ridge_net(ridges: list[Ridge], tolerance: Fraction) -> tuple[Fraction, bool]:
    """A bound on its sup distance on [0, 1]²: the sum of those of its parts; and whether four segments keep to it."""
    parts = [target(heights) for _, heights in ridges]
    nets = [interpolating_net(part, enough_units(part, tolerance / len(ridges))) for part in parts]
    bound = sum(
        (sup_distance(part, function_of(net), 0, 1) for part, net in zip(parts, nets, strict=True)), Fraction(0)
    )
    whole = ridge_net(ridges, nets)
    return bound, all(
        sup_distance(on_segment(ridges, *ends), along_segment(whole, *ends), 0, 1) <= bound for ends in SEGMENTS
    )


def least_error_looking_one_way(ridges: list[Ridge], tolerance: Fraction) -> tuple[Fraction, bool]:
    """A lower bound for all nets whose units look along the first ridge: they are constant across it."""
    (p, q), _ = ridges[0]
    reach = Fraction(1, 2 * max(abs(p), abs(q)))
    start, end = ((Fraction(1, 2) - side * q * reach, Fraction(1, 2) + side * p * reach) for side in (-1, 1))
    f = on_segment(ridges, start, end)
    values = [f(t) for t in (Fraction(0), *(t for t in f.breakpoints if 0 < t < 1), Fraction(1))]
    return (max(values) - min(values)) / 2, True


def within_tolerance_of_ridges(
    world: tuple[list[Ridge], Fraction],
    *,
    error: Callable[[list[Ridge], Fraction], tuple[Fraction, bool]] = error_of_the_ridge_net,
) -> Certificate:
    """Whether the error is within the tolerance."""
    ridges, tolerance = world
    apart, kept = error(ridges, tolerance)
    return Certificate(apart <= tolerance and kept, error=apart, kept=kept, tolerance=tolerance)


@pytest.mark.property(examples=15)
def test_two_inputs(judge):
    """Fifteen sums of up to three ridges of 3 to 5 corners, in six directions: the net that interpolates each within
    its part of ε is within ε on all of [0, 1]², by the sum of the errors of its parts. On four segments its distance is
    computed exactly, and is no more than that.
    """
    judge(within_tolerance_of_ridges, given=sums_of_ridges()).supports()


def test_control_units_that_look_one_way(judge):
    """By a lower bound on the error of every net whose units all see the same p x + q y."""
    cross = ([((1, 0), ZIGZAG[0][:3]), ((0, 1), ZIGZAG[0][:3])], Fraction(2, 17))
    judge(
        within_tolerance_of_ridges, given=sums_of_ridges(least=2), example=cross, error=least_error_looking_one_way
    ).refutes()


# -- the lower bound ----------------------------------------------------------------------------------------------

Attempt = tuple[list[Fraction], list[int], list[Fraction]]
"""The heights of a target, at which twelfths a function bends, and by how much it is off there and at its ends."""

TENT: Attempt = ([Fraction(0), Fraction(1), Fraction(0)], [], [Fraction(0)] * 2)

ATTEMPTS = st.tuples(
    st.lists(HEIGHTS, min_size=3, max_size=9),
    st.lists(st.integers(1, 11), max_size=3, unique=True).map(sorted),
    st.lists(st.sampled_from([Fraction(0), Fraction(1, 4), Fraction(-1, 4)]), min_size=5, max_size=5),
)


def is_no_nearer(world: Attempt, *, factor: Fraction = Fraction(1)) -> Certificate:
    """Whether the function, raised to where it is nearest to the target, is as far as the bound, or `factor` of it.

    Its bends are as many as those of a net of so many units, at most.
    """
    heights, twelfths, offsets = world
    f = target(heights)
    places = [Fraction(place, 12) for place in (0, *twelfths, 12)]
    off = f - through((place, f(place) + offset) for place, offset in zip(places, offsets, strict=False))
    values = [off(t) for t in (Fraction(0), *(t for t in off.breakpoints if 0 < t < 1), Fraction(1))]
    apart, least = (max(values) - min(values)) / 2, least_error_of_any_net(f, len(twelfths))
    return Certificate(apart >= factor * least, error=apart, least=least)


@pytest.mark.property(examples=150)
def test_no_net_beats_the_lower_bound(judge):
    """The bound that the controls stand on, tried on 150 functions of no to three bends that follow the target."""
    judge(is_no_nearer, given=ATTEMPTS).supports()


@pytest.mark.exact
def test_a_line_reaches_the_lower_bound(judge):
    """Through the middle of a tent it is as near as the bound says, and no nearer."""
    judge(is_no_nearer, world=TENT).supports()


@pytest.mark.exact
def test_control_half_as_much_again_is_no_lower_bound(judge):
    """The same line."""
    judge(is_no_nearer, world=TENT, factor=Fraction(3, 2)).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """The error of a ReLU net falls with its units, below the bound; with the identity no number of units helps."""
    x = [Fraction(i, 101) for i in (0, 17, 31, 38, 59, 74, 83, 101)]
    f = through(zip(x, map(Fraction, ("0", "1/2", "-1/4", "1/4", "-1/2", "1", "1/2", "3/4")), strict=True))
    units = [1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64]
    draw.numbers(ax.xaxis, [2**i for i in range(7)], log=True)
    ax.set(yscale="log", xlabel="hidden units h", ylabel="largest error on [0, 1]")
    draw.reference(ax, units, lambda h: lipschitz(f) / (2 * h), "bound L / (2h)")
    draw.curve(ax, units, lambda h: error_of_the_interpolating_net(f, h), "ReLU net that interpolates", marks=True)
    draw.curve(ax, units, lambda h: least_error_without_activation(f, 1), "identity: no net is nearer (control)")
    draw.key(ax)
