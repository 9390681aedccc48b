"""One hidden layer of ReLU units comes as near to a continuous function as one likes.

Slide: Universal Function Approximation. As printed there the bound is on the error at one x; what makes the claim more
than trivial is that it holds for all x of the compact set at once, and that is what is tested: the sup distance. The
deck credits Sonoda & Murata, who recover a function from an integral over infinitely many ReLU units, almost everywhere
and in L2; that finitely many units suffice in the sup distance on any compact set is Leshno et al. 1993.

On [0, 1] the claim has a proof by construction. Let f change by at most L |s − t| between s and t, and let the net join
the values of f at the h + 1 points i/h by straight lines, which takes h ReLU units, one for each point but the last.
At x = (1 − w) s + w t between two neighbours s, t = s + 1/h the net is (1 − w) f(s) + w f(t), so it is off by at most
(1 − w) |f(x) − f(s)| + w |f(x) − f(t)| ≤ 2 w (1 − w) L / h ≤ L / (2h); and L / (2h) ≤ ε once h ≥ L / (2ε).
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from math import ceil
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from claimlab import Certificate, Claim, Property, draw
from claimlab.measure.piecewise import (
    Layer,
    PiecewiseLinear,
    function_of,
    lipschitz,
    pieces,
    sup_distance,
    through,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="expressivity/relu-nets-are-dense",
    covers=("B2",),
    slide="Universal Function Approximation",
    version=1,
    finding="holds",
    says="Nets with one hidden layer are dense in the continuous functions on a compact set with ReLU units too.",
    statement="One hidden layer of ReLU units comes as near as one likes to a piecewise-linear function on [0, 1], at "
    "every x at once: it joins the function's values on a fine enough grid. Two units are not enough for every "
    "function and tolerance, and with the identity in place of the ReLU no number of units is.",
    reason="In one dimension a net that interpolates on a fine enough grid is within L / (2h), and that for all x at "
    "once, which the deck's formula leaves out. On compact sets of any dimension every continuous activation that is "
    "no polynomial will do (Leshno et al. 1993).",
    scope="one input, Lipschitz targets, exact weights that are written down, not trained; an output bias, which in "
    "the deck's formula costs one more unit",
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


def test_control_two_units_whatever_the_tolerance(judge):
    """By a lower bound on the error of every net of two units."""
    judge(
        within_tolerance, given=worlds(corners=9), units=lambda f, tolerance: 2, error=least_error_of_any_net
    ).refutes()


def test_control_identity_activation(judge):
    """By a lower bound on the error of every net without an activation."""
    judge(within_tolerance, given=worlds(), error=least_error_without_activation).refutes()


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
