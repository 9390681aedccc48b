"""Enough ReLU rectangles next to each other come as near to a continuous function of one input as one likes.

Slide: Approximation with ReLU nets. Cut [0, 1] into m cells and put on each a rectangle as high as f is in the middle
of the cell, all with sides of the same width s ≤ 1/(2m); the first one begins s early, so that it has its height at
0. Let the modulus of continuity w(d) be the most that f changes between two points d or less apart. Where the net is
flat, x is within 1/(2m) of the middle of its cell. On a side, no further than s from an edge, it is between the heights
of two middles, both within 1/(2m) + s ≤ 1/m of x. So everywhere on [0, 1] the net is within w(1/m) of f; and w(1/m)
goes to 0 with growing m if f is continuous: it is at most L/m if f has the Lipschitz constant L.

The notes speak of boxes around samples in more dimensions: these take a second hidden layer (see X31).
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from math import ceil
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from claimlab import Certificate, Claim, Property, draw
from claimlab.measure.piecewise import PiecewiseLinear, function_of, lipschitz, sup_distance, through

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="expressivity/relu-rectangles-are-dense",
    covers=("B7",),
    slide="Approximation with ReLU nets",
    version=1,
    finding="scoped",
    says="Sums of ReLU rectangles approximate any continuous function, so that ReLU nets are universal.",
    statement="On [0, 1], ReLU rectangles side by side, as high as the function in the middles of their cells, come as "
    "near as one likes to a continuous function, at every x at once, and to none that jumps.",
    reason="For one input the picture is a proof. It does not lift to more inputs, where one hidden layer makes no "
    "boxes. And nearness is in value alone: the sides are steep however smooth f is.",
    scope="one input, continuous targets on an interval; exact weights that are written down, not trained",
    source="the deck, after a Quora answer by C. Davis",
    evidence=Property(examples=25),
)

Target = tuple[list[Fraction], Fraction]
"""Heights at equispaced corners from 0 to 1, joined by straight lines, and by how much f jumps up at 1/2."""

HEIGHTS = st.sampled_from(sorted((Fraction(i, 4) for i in range(-4, 5)), key=abs))
TOLERANCES = st.sampled_from([Fraction(i, 17) for i in (8, 5, 3)])  # not multiples of the heights' quarters
SIDES = st.sampled_from([Fraction(1, 1000), Fraction(1, 8), Fraction(1, 2)])  # as parts of a cell
AT = Fraction(1, 2)


def targets(*jumps: int) -> st.SearchStrategy[Target]:
    """Targets that jump by one of these."""
    return st.tuples(st.lists(HEIGHTS, min_size=3, max_size=6), st.sampled_from([Fraction(jump) for jump in jumps]))


def continuous_part(target: Target) -> PiecewiseLinear:
    """The target but for its jump."""
    heights, _ = target
    return through((Fraction(i, len(heights) - 1), height) for i, height in enumerate(heights))


def modulus(f: PiecewiseLinear, width: Fraction) -> Fraction:
    """The most that f changes on [0, 1] between two points `width` or less apart.

    Between corners |f(s) - f(t)| is convex in (s, t), so it is largest where s is a corner or an end of [0, 1] and t
    is another one or `width` away.
    """
    knots = [Fraction(0), *f.breakpoints, Fraction(1)]
    away = [(s, min(max(t, Fraction(0)), Fraction(1))) for s in knots for t in (*knots, s - width, s + width)]
    return max(abs(f(s) - f(t)) for s, t in away if abs(s - t) <= width)


def rectangles(target: Target, cells: int, side: Fraction) -> PiecewiseLinear:
    """The net: four units for each rectangle, which rises from a to a + s and falls from b to b + s."""
    s = side / cells
    edges = [-s, *(Fraction(i, cells) for i in range(1, cells + 1))]
    kinks = [kink for a, b in pairwise(edges) for kink in (a, a + s, b, b + s)]
    bends = [sign * height / s for height in levels(target, cells) for sign in (1, -1, -1, 1)]
    return function_of([([[1]] * len(kinks), [-kink for kink in kinks]), ([bends], [0])])


def levels(target: Target, cells: int) -> list[Fraction]:
    """The target's values in the middles of the cells."""
    f, (_, jump) = continuous_part(target), target
    middles = [Fraction(2 * i + 1, 2 * cells) for i in range(cells)]
    return [f(x) + (jump if x >= AT else 0) for x in middles]


def error_of_rectangles(target: Target, cells: int, side: Fraction) -> Fraction:
    """Their sup distance from the target on [0, 1]."""
    return distance(target, rectangles(target, cells, side))


def distance(target: Target, net: PiecewiseLinear) -> Fraction:
    """The larger of the sup distances left of the jump and right of it."""
    f, (_, jump) = continuous_part(target), target
    return max(sup_distance(f, net, 0, AT), sup_distance(f + jump, net, AT, 1))


def least_error_of_any_net(target: Target, cells: int, side: Fraction) -> Fraction:
    """A lower bound on the sup distance of every continuous function: at the jump it misses one side by half of it."""
    _, jump = target
    return abs(jump) / 2


def within_tolerance(
    world: tuple[Target, Fraction, Fraction],
    *,
    error: Callable[[Target, int, Fraction], Fraction] = error_of_rectangles,
) -> Certificate:
    """Whether the error is within the tolerance.

    The claim is shown with the error of the rectangles, the control is refuted with a lower bound for every net.
    """
    target, tolerance, side = world
    cells = max(1, ceil(lipschitz(continuous_part(target)) / tolerance))
    apart = error(target, cells, side)
    return Certificate(apart <= tolerance, error=apart, tolerance=tolerance, cells=cells)


def within_the_modulus(world: tuple[Target, int, Fraction], *, finer: int = 1) -> Certificate:
    """Whether m rectangles are within w(1/m), bend at 2m + 2 places and are as steep as their sides."""
    target, cells, side = world
    net = rectangles(target, cells, side)
    apart = distance(target, net)
    bound = modulus(continuous_part(target), Fraction(1, finer * cells))
    largest_step = max(abs(after - before) for before, after in pairwise([0, *levels(target, cells), 0]))
    return Certificate(
        apart <= bound
        and len(net.breakpoints) <= 2 * cells + 2
        and lipschitz(net) == largest_step * cells / side,
        error=apart, bound=bound, kinks=len(net.breakpoints), lipschitz=lipschitz(net),
    )  # fmt: skip


def test_claim(judge):
    """Twenty-five random f with 3 to 6 equispaced corners at multiples of 1/4 from −1 to 1, ε from 3/17 to 8/17, sides
    from a thousandth to half of a cell: m = ⌈L / ε⌉ rectangles of four ReLUs each are within ε of f at every x in
    [0, 1], in rational arithmetic. L is the Lipschitz constant of f.
    """
    judge(within_tolerance, given=st.tuples(targets(0), TOLERANCES, SIDES)).supports()


def test_error_is_within_the_modulus_of_continuity(judge):
    """For m from 1 to 12 the m rectangles are within w(1/m) of f, w being its modulus of continuity. Their ReLUs merge
    into 2m + 2, and the net's slope is the largest step over the width of the sides.
    """
    judge(within_the_modulus, given=st.tuples(targets(0), st.integers(1, 12), SIDES)).supports()


A_STEP = (([Fraction(0)] * 3, Fraction(1)), Fraction(8, 17), Fraction(1, 8))
A_LINE = (([Fraction(0), Fraction(1, 2), Fraction(1)], Fraction(0)), 4, Fraction(1, 8))


def test_control_a_target_that_jumps(judge):
    """If f jumps by 1 or more, no net is within these ε, whatever the number of rectangles, and no other continuous
    function is.
    """
    worlds = st.tuples(targets(1, -1, 2), TOLERANCES, SIDES)
    judge(within_tolerance, given=worlds, example=A_STEP, error=least_error_of_any_net).refutes()


def test_control_rectangles_at_a_jump(judge):
    """The rectangles themselves, for the same targets."""
    judge(within_tolerance, given=st.tuples(targets(1, -1, 2), TOLERANCES, SIDES), example=A_STEP).refutes()


def test_control_modulus_of_a_quarter_of_a_cell(judge):
    """The bound is no looser than it has to be: for a straight line the error is w(1/(2m))."""
    judge(within_the_modulus, given=st.tuples(targets(0), st.integers(1, 12), SIDES), example=A_LINE, finer=4).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Sixteen rectangles stay near a continuous function; where it jumps by 1 they miss it by half of that or more."""
    heights = [Fraction(i, 4) for i in (0, 3, 1, 4, 3, -1, 0, 2)]
    for jump, base, name, role in ((0, 0.0, "continuous", ""), (1, 2.6, "with a jump of 1", " (control)")):
        target, f = (heights, Fraction(jump)), continuous_part((heights, Fraction(0)))
        net = rectangles(target, 16, Fraction(1, 20))
        corners = sorted({*f.breakpoints, Fraction(0), AT, Fraction(1)})
        for part, lift in (([x for x in corners if x <= AT], 0), ([x for x in corners if x >= AT], jump)):
            draw.reference(ax, part, [base + float(f(x) + lift) for x in part], style="0.5-")
        shown = [Fraction(0), *(x for x in net.breakpoints if 0 < x < 1), Fraction(1)]
        error = float(error_of_rectangles(target, 16, Fraction(1, 20)))
        draw.curve(ax, shown, [base + float(net(x)) for x in shown], f"{name}: error {error:.2f}{role}", marks=False)
    ax.set(xlabel="x", ylabel="f, and sixteen rectangles")
    draw.key(ax)
