"""The universal approximation theorem says nothing about the number of hidden units.

Slide: Problem solved? The theorem is one statement for every continuous function, so any number of units it named would
have to do for all of them. Here is why none does, for ReLU units, one input and the targets sin(2πmx) on [0, 1],
all of them smooth and between −1 and 1.

The target is 1, −1, 1, −1, ... at its 2m extrema. A net that is within less than 1 of it there has the same signs, so
it changes sign between any two neighbours, 2m − 1 times. But h ReLU units bend a net of one input at h places at most,
so it has h + 1 straight pieces, and a straight piece changes sign once. Hence h + 1 ≥ 2m − 1: whatever h is offered,
m = h + 2 waves are too many. The bound is nearly the best there is: a zigzag of 2m − 1 units does come that near.

The zigzag's distance from the sine is bounded in float64 (see `claimlab.measure.supnorm`), by the steepest either can
be between points of a grid. With u = 2⁻⁵³, rounding 2πmx moves the sine by at most 2πm · 4u, the zigzag's slopes of
4m/3 move it by less, and each is computed to a few u. For m ≤ 100 that is below 3000u = 4 · 10⁻¹³; `ROUNDING` is twice
that. A control asks for the distance of a flat line from the sine, which is 1, by grids of which one meets the sine in
its zeros alone, one in zeros and extrema in turn, and one is fine: who looks at the points and forgets what may be
between them finds it at distance 0, and no bound is so loose that it could be a little smaller.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cache
from itertools import combinations, pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import strategies as st

from claimlab import Certificate, Claim, Exact, draw
from claimlab.measure.piecewise import Layer, function_of, lipschitz, through
from claimlab.measure.supnorm import sup_bounds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="expressivity/universality-is-silent-on-units",
    covers=("B3",),
    slide="Problem solved?",
    version=3,
    finding="holds",
    says="The universal approximation theorem does not tell how many hidden units a function takes.",
    statement="Whatever number of ReLU units is named, there is a smooth wave that no net with one hidden layer of so "
    "many units comes near to, whatever its weights. A sine of m periods takes 2m − 2 or 2m − 1 units: fewer cannot "
    "change sign often enough.",
    reason="The theorem's statement is the same for all these targets while the units they take grow without bound. "
    "More has to be known of a function, such as its Lipschitz constant, before a number can be given.",
    scope="one input, one hidden layer of ReLU units; the targets grow steeper with m",
    source="the deck; counting the pieces of a ReLU net, as in Telgarsky 2015 (arXiv 1509.08101)",
    evidence=Exact(),
)

World = tuple[int, list[tuple[Fraction, Fraction]]]
"""The number of waves m, and the points that a piecewise-linear function joins; between the ends they are kinks."""

ROUNDING = 1e-12


def extrema(waves: int) -> list[tuple[Fraction, int]]:
    """Where sin(2πmx) is 1 or −1 on [0, 1], and which: the sine of an odd multiple of π/2."""
    return [(Fraction(2 * k + 1, 4 * waves), (-1) ** k) for k in range(2 * waves)]


def fewest_units(waves: int) -> int:
    """No net with fewer ReLU units is within less than 1: as many pieces as sign changes, and one kink less."""
    changes = sum(before != after for (_, before), (_, after) in pairwise(extrema(waves)))
    return max(changes - 1, 0)


def zigzag_net(waves: int, *, height: Fraction = Fraction(1, 3)) -> list[Layer]:
    """The net through that part of the target's height at its extrema, straight from 0 to the second and from the last
    but one to 1: one unit for the slope at 0 and one for each of the 2m − 2 kinks.
    """
    points = [(x, height * y) for x, y in extrema(waves)]
    slopes = [(v - u) / (t - s) for (s, u), (t, v) in pairwise(points)]
    kinks = [Fraction(0), *(x for x, _ in points[1:-1])]
    bends = [slopes[0], *(after - before for before, after in pairwise(slopes))]
    return [([[1]] * len(kinks), [-kink for kink in kinks]), ([bends], [2 * height])]


@cache
def error_of_the_zigzag(waves: int, *, height: Fraction = Fraction(1, 3), per_wave: int = 128) -> float:
    """An upper bound on its sup distance from the target, from their values at so many points a wave."""
    x = np.linspace(0, 1, per_wave * waves + 1)
    f = function_of(zigzag_net(waves, height=height))
    knots = [Fraction(0), *f.breakpoints, Fraction(1)]
    net = np.interp(x, [float(t) for t in knots], [float(f(t)) for t in knots])
    steepest = 2 * np.pi * waves + float(lipschitz(f))
    variation = np.full(len(x) - 1, steepest / (len(x) - 1))
    return sup_bounds(np.sin(2 * np.pi * waves * x) - net, variation, rounding=ROUNDING)[1]


def units_of_the_zigzag(waves: int) -> float:
    """As many units are enough, if the zigzag is within less than 1; if not, no number is known to be."""
    (_, biases), _ = zigzag_net(waves)
    return len(biases) if error_of_the_zigzag(waves) < 1 else float("inf")


def no_number_is_enough(
    *,
    waves: Callable[[int], int] = lambda units: units + 2,
    needed: Callable[[int], float] = fewest_units,
    most_units: int = 64,
) -> Certificate:
    """Whether for every number of units there is a target that needs more.

    The claim is shown with a lower bound on what is needed, the control is refuted with what is known to be enough.
    """
    offered = range(most_units + 1)
    counts = [needed(waves(units)) for units in offered]
    return Certificate(
        all(count > units for count, units in zip(counts, offered, strict=True)),
        offered=list(offered), needed=counts,
    )  # fmt: skip


def is_nearer_than_one(*, waves: int = 3, height: Fraction = Fraction(1, 3), per_wave: int = 128) -> Certificate:
    """Whether the bound on the zigzag's distance, by a grid of so many points a wave, is below 1."""
    error = error_of_the_zigzag(waves, height=height, per_wave=per_wave)
    return Certificate(error < 1, error=error)


def least_number_is_known_to_within_one(*, most_waves: int = 24) -> Certificate:
    """Whether 2m − 2 are needed and 2m − 1 are enough, for m = 2, 3, ..."""
    waves = range(2, most_waves + 1)
    needed = [fewest_units(m) for m in waves]
    enough = [units_of_the_zigzag(m) for m in waves]
    errors = [error_of_the_zigzag(m) for m in waves]
    return Certificate(
        needed == [2 * m - 2 for m in waves] and enough == [2 * m - 1 for m in waves] and max(errors) < 0.75,
        waves=list(waves), needed=needed, enough=enough, error=errors,
    )  # fmt: skip


@st.composite
def attempts(draw: st.DrawFn, *, dropped: int) -> World:
    """Functions with 2m − `dropped` kinks that follow the sine as well as they can.

    They are kinks at or near all but so many extrema, and heights that mostly have the target's sign. Hypothesis tries
    what comes first in a list first: a third of the height, exactly at the extrema, the outermost dropped.
    """
    waves = draw(st.integers(2, 4))
    outermost = (0, 2 * waves - 1)
    subsets = sorted(
        combinations(range(2 * waves), dropped), key=lambda subset: -sum(place in subset for place in outermost)
    )
    without = draw(st.sampled_from(subsets))
    shifts = st.sampled_from([Fraction(0), Fraction(1, 6 * waves), Fraction(-1, 6 * waves)])
    heights = st.sampled_from([Fraction(1, 3), Fraction(1), Fraction(0), Fraction(-1, 3)])
    ends = st.sampled_from([Fraction(2, 3), Fraction(0), Fraction(2), Fraction(-1, 3)])
    kept = [extremum for place, extremum in enumerate(extrema(waves)) if place not in without]
    kinks = [(x + draw(shifts), y * draw(heights)) for x, y in kept]
    return waves, [(Fraction(0), draw(ends)), *kinks, (Fraction(1), -draw(ends))]


def misses(world: World) -> Certificate:
    """Whether the function is off by 1 or more at an extremum of the sine."""
    waves, points = world
    f = through(points)
    off = max(abs(f(x) - y) for x, y in extrema(waves))
    return Certificate(off >= 1, off=off, kinks=len(points) - 2)


def test_claim(judge):
    """For every number h from 0 to 64, all nets with one hidden layer of h ReLU units, with any weights, biases and
    output bias, miss sin(2πmx), m = h + 2, by 1 or more somewhere on [0, 1].
    """
    judge(no_number_is_enough).supports()


def test_least_number_is_known_to_within_one(judge):
    """For m from 2 to 24 no net of fewer than 2m − 2 units comes nearer to sin(2πmx) than 1 on all of [0, 1], and a
    zigzag of 2m − 1 units is within 0.75.
    """
    judge(least_number_is_known_to_within_one).supports()


def test_a_zigzag_is_nearer_than_one(judge):
    """Three waves and a zigzag of a third of their height, by 128 points a wave."""
    judge(is_nearer_than_one).supports()


def test_control_one_slow_wave(judge):
    """For the target with m = 1 a number of units can be named, and one unit is enough."""
    judge(no_number_is_enough, waves=lambda units: 1, needed=units_of_the_zigzag).refutes()


@pytest.mark.parametrize("per_wave", [2, 4, 128], ids=["zeros", "zeros_and_extrema", "fine_grid"])
def test_control_a_flat_line(judge, per_wave):
    """It is as far away as 1, which the values at the zeros do not show."""
    judge(is_nearer_than_one, height=Fraction(0), per_wave=per_wave).refutes()


@pytest.mark.property(examples=40)
def test_one_kink_too_few_misses(judge):
    """The lower bound, tried on forty functions with 2m − 3 kinks, m from 2 to 4."""
    judge(misses, given=attempts(dropped=3)).supports()


@pytest.mark.property
def test_control_one_kink_more_does_not_miss(judge):
    one_wave = [(Fraction(k, 8), Fraction(y, 3)) for k, y in ((0, 2), (3, -1), (5, 1), (8, -2))]
    judge(misses, given=attempts(dropped=2), example=(2, one_wave)).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """The units that a sine takes grow with its waves, without end, and for one wave (control) one unit is enough."""
    counts = measured["least_number_is_known_to_within_one"]
    draw.curve(ax, counts["waves"], counts["enough"], "enough", marks=True)
    draw.reference(ax, counts["waves"], counts["needed"], "needed by every net", style=":")
    draw.curve(ax, (1,), (units_of_the_zigzag(1),), "enough for one wave (control)")
    ax.set(xlabel="waves m of the target sin(2πmx) on [0, 1]", ylabel="ReLU units for an error below 1")
    draw.key(ax)
