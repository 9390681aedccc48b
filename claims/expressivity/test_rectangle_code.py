"""Four ReLU units make a rectangle with steep sides.

Slide: Approximation with ReLU nets. Two ReLUs a step of ε apart, one less the other, make a ramp of height ε; a ramp
up at a less a ramp down at b, times height / ε, is a rectangle whose sides are ε wide. In exact arithmetic this is all
there is to say. In floating point the four ReLUs are as large as x itself and their difference is ε, so that their
rounding errors come out multiplied by height / ε.

How large can the error be in float64, u = 2⁻⁵³, with x, a, b and b + ε in [−3, 3]? Rounding a + ε and b + ε
moves two kinks by at most 3u each. The four differences x − kink are at most 6 in size: 6u each. Of the sums, only the
one with three terms is large, at most 6: 6u; the others are about ε. Together 6u + 24u + 6u = 36u; terms of order
uε and u², and the roundings of height / ε and of the product, 2u relative to a result of at most the height,
are far below the 4u by which we round up. So the computed rectangle is within 40u · height / ε of the exact one.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import strategies as st

from claimlab import Certificate, Claim, Property, draw
from claimlab.measure.piecewise import PiecewiseLinear, identity, lipschitz, relu

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="expressivity/four-relus-make-a-rectangle",
    covers=("B5",),
    slide="Approximation with ReLU nets",
    version=1,
    finding="scoped",
    says="A signed sum of four ReLUs, scaled by height / ε, draws a rectangle of any place, width and height.",
    statement="In exact arithmetic four ReLUs make a rectangle of any place, width and height, with straight sides of "
    "any width ε up to its own. In float64 with sides 10⁻⁷ wide it is computed to seven digits on [−3, 3]; in float32 "
    "it is not, nor in float64 with sides 10⁻¹⁵ wide.",
    reason="The formula is exact, but it takes small differences of large numbers and multiplies them by height / ε. "
    "In float32, the precision nets are usually run in, the error at ε = 10⁻⁷ is larger than the rectangle.",
    scope="float64, ε = 10⁻⁷ and moderate x, since the error grows like |x| · height / ε; steep sides, not upright "
    "ones",
    source="the deck's code, after a Quora answer by C. Davis",
    evidence=Property(examples=40),
)

Rectangle = tuple[Fraction, Fraction, Fraction, Fraction]
"""a, b, height, eps."""

# In [-3, 3] and with height 1.3 and eps = 1e-7; see above.
TOLERANCE = 40 * Fraction(1, 2**53) * Fraction("1.3") / Fraction("1e-7")


def rectangle(x: Any, a: Any, b: Any, height: Any, eps: Any, *, relu: Callable[[Any], Any] = relu) -> Any:
    """A net with four ReLU units, in whatever numbers it is given: `x` may be an array, or the identity function."""
    up, up_end, down, down_end = (relu(x - kink) for kink in (a, a + eps, b, b + eps))
    return height / eps * (up - up_end - down + down_end)


NUMBERS = sorted({Fraction(n, d) for d in range(1, 9) for n in range(-3 * d, 3 * d + 1)}, key=abs)


def rectangles(*, sides: tuple[int, int] = (1, 15)) -> st.SearchStrategy[Rectangle]:
    """Any rectangle with sides of so many sixteenths of its width, from and to."""
    return st.builds(
        lambda a, width, height, side: (a, a + width, height, side * width),
        st.sampled_from(NUMBERS),
        st.sampled_from([number for number in NUMBERS if number > 0]),
        st.sampled_from(NUMBERS),
        st.sampled_from([Fraction(side, 16) for side in range(sides[0], sides[1] + 1)]),
    )


def is_a_rectangle(world: Rectangle) -> Certificate:
    """Whether the net is `height` at a + eps and b, 0 at a and b + eps and beyond, and straight between these four."""
    a, b, height, eps = world
    f: PiecewiseLinear = rectangle(identity(), a, b, height, eps)
    at_kinks = [f(x) for x in (a, a + eps, b, b + eps)]
    return Certificate(
        at_kinks == [0, height, height, 0]
        and set(f.breakpoints) <= {a, a + eps, b, b + eps}
        and f.lines[0] == f.lines[-1] == (0, 0)
        and lipschitz(f) == abs(height) / eps,
        at_kinks=at_kinks,
        lipschitz=lipschitz(f),
    )


def is_computed_within_tolerance(*, dtype: type[np.floating] = np.float64, eps: float = 1e-7) -> Certificate:
    """The largest error of a computed rectangle, against the exact one of the numbers as the dtype stores them."""
    computed, exact = computed_and_exact(dtype, eps)
    error = max(abs(Fraction(float(y)) - z) for y, z in zip(computed, exact, strict=True))
    return Certificate(error <= TOLERANCE, largest_error=float(error), tolerance=float(TOLERANCE))


def points(dtype: type[np.floating], eps: float) -> np.ndarray:
    """A grid of [-3, 3] in steps of 1/128, which every dtype has, and 17 points up each side of the rectangle."""
    sides = [corner + eps * np.linspace(0, 1, 17) for corner in (0, 1)]
    return np.sort(np.concatenate([np.arange(-384, 385) / 128, *sides])).astype(dtype)


def computed_and_exact(dtype: type[np.floating], eps: float) -> tuple[np.ndarray, list[Fraction]]:
    """The rectangle on [0, 1] of height 1.3 at the `points`, in floating point and exactly."""
    x = points(dtype, eps)
    shape = [dtype(number) for number in (0, 1, 1.3, eps)]
    computed = rectangle(x, *shape, relu=lambda z: np.maximum(z, 0))
    f = rectangle(identity(), *(Fraction(float(number)) for number in shape))
    return computed, [f(Fraction(float(at))) for at in x]


def test_claim(judge):
    """Forty rectangles in rational arithmetic, corners and heights fractions up to 3 in size, ε from 1/16 to 15/16 of
    the width: the height on [a + ε, b], 0 outside (a, b + ε), straight between, with Lipschitz constant |height| / ε.
    """
    judge(is_a_rectangle, given=rectangles()).supports()


def test_control_sides_wider_than_the_rectangle(judge):
    """For ε > b − a the way down begins before the top is reached."""
    judge(is_a_rectangle, given=rectangles(sides=(17, 32))).refutes()


@pytest.mark.exact
def test_float64_computes_it(judge):
    """The rectangle of height 1.3 on [0, 1] with ε = 10⁻⁷ is computed within 40 · 2⁻⁵³ · height / ε = 5.8 · 10⁻⁸ of
    the exact one, at the multiples of 1/128 in [−3, 3] and at 17 points up each side.
    """
    judge(is_computed_within_tolerance).supports()


@pytest.mark.exact
def test_control_float32(judge):
    judge(is_computed_within_tolerance, dtype=np.float32).refutes()


@pytest.mark.exact
def test_control_sides_too_steep_for_float64(judge):
    judge(is_computed_within_tolerance, eps=1e-15).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """A rectangle of height 1.3 with sides 10⁻⁷ wide: float64 draws it, and float32 draws something else."""
    for dtype, label in ((np.float32, "float32 (control)"), (np.float64, "float64")):
        draw.curve(ax, points(dtype, 1e-7), computed_and_exact(dtype, 1e-7)[0], label)
    ax.set(xlabel="x", ylabel="the computed rectangle")
    draw.key(ax)
