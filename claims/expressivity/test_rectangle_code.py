"""Four ReLU units make a rectangle with steep sides.

Slide: Approximation with ReLU nets. Two ReLUs a step of ε apart, one less the other, make a ramp of height ε; a ramp
up at a less a ramp down at b, times height / ε, is a rectangle whose sides are ε wide. In exact arithmetic this is all
there is to say. In floating point the four ReLUs are as large as x itself and their difference is ε, so that their
rounding errors come out multiplied by height / ε.

How large can the error be, with x, a, b and b + ε up to R in size, where numbers are rounded by up to u of themselves
(2⁻⁵³ in float64, 2⁻²⁴ in float32)? Rounding a + ε and b + ε moves two kinks by at most Ru each. The four differences
x − kink are at most 2R in size: 2Ru each. Of the sums, only the one with three terms is large, at most 2R: 2Ru; the
others are about ε. Together 2Ru + 8Ru + 2Ru = 12Ru; terms of order uε and u², and the roundings of height / ε and of
the product, 2u relative to a result of at most the height, are far below the 4u by which we round up. So the computed
rectangle is within (12R + 4) u · height / ε of the exact one. Where ε is about u, that is larger than the rectangle.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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
    version=2,
    finding="scoped",
    says="A signed sum of four ReLUs, scaled by height / ε, draws a rectangle of any place, width and height.",
    statement="In exact arithmetic four ReLUs make a rectangle of any place, width and height, with straight sides of "
    "any width ε up to its own. In float64 with sides 10⁻⁷ wide it is computed to seven digits near 0; in float32 it "
    "is off by more than its height.",
    reason="The formula is exact, but it takes small differences of large numbers and multiplies them by height / ε: "
    "the error is a few roundings of x times that. In float32, the precision nets are usually run in, sides 10⁻⁷ wide "
    "are narrower than the numbers are apart.",
    scope="float64, ε = 10⁻⁷ and moderate x, since the error grows like |x| · height / ε; steep sides, not upright "
    "ones",
    source="the deck's code, after a Quora answer by C. Davis",
    evidence=Property(examples=40),
)

Rectangle = tuple[Fraction, Fraction, Fraction, Fraction]
"""a, b, height, eps."""

# -- exactly ------------------------------------------------------------------------------------------------------


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


def test_claim(judge):
    """Forty rectangles in rational arithmetic, corners and heights fractions up to 3 in size, ε from 1/16 to 15/16 of
    the width: the height on [a + ε, b], 0 outside (a, b + ε), straight between, with Lipschitz constant |height| / ε.
    """
    judge(is_a_rectangle, given=rectangles()).supports()


def test_control_sides_wider_than_the_rectangle(judge):
    """For ε > b − a the way down begins before the top is reached."""
    judge(
        is_a_rectangle,
        given=rectangles(sides=(17, 32)),
        example=(Fraction(0), Fraction(1), Fraction(1), Fraction(17, 16)),
    ).refutes()


# -- computed -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Computed:
    """A rectangle in floating point: its numbers as the dtype stores them, and how far from 0 it is looked at."""

    dtype: type[np.floating] = np.float64
    a: float = 0.0
    b: float = 1.0
    height: float = 1.3
    eps: float = 1e-7
    reach: float = 3.0
    points: int = 1000

    @property
    def x(self) -> np.ndarray:
        """So many points from -reach to reach, most of them rounded, and 17 up each side of the rectangle."""
        sides = [corner + self.eps * np.linspace(0, 1, 17) for corner in (self.a, self.b)]
        return np.sort(np.concatenate([np.linspace(-self.reach, self.reach, self.points), *sides])).astype(self.dtype)

    @property
    def y(self) -> np.ndarray:
        shape = [self.dtype(number) for number in (self.a, self.b, self.height, self.eps)]
        return rectangle(self.x, *shape, relu=lambda z: np.maximum(z, 0))

    @property
    def error(self) -> Fraction:
        """The largest at the points, against the exact rectangle of the stored numbers."""
        shape = [Fraction(float(self.dtype(number))) for number in (self.a, self.b, self.height, self.eps)]
        f = rectangle(identity(), *shape)
        return max(abs(Fraction(float(y)) - f(Fraction(float(x)))) for x, y in zip(self.x, self.y, strict=True))


@st.composite
def computations(draw: st.DrawFn) -> Computed:
    """Rectangles within 6 of 0 in single and double precision, of all sides, looked at up to 8, 30 or 100 from 0."""
    a, b, height, _ = (float(number) for number in draw(rectangles()))
    return Computed(
        dtype=draw(st.sampled_from([np.float64, np.float32])),
        a=a, b=b, height=height,
        eps=draw(st.sampled_from([1e-7, 1e-3, 1e-1, 1e-10, 1e-13])),
        reach=draw(st.sampled_from([8.0, 30.0, 100.0])),
        points=draw(st.integers(50, 150)),
    )  # fmt: skip


def is_within_the_bound(world: Computed, *, magnified: bool = True) -> Certificate:
    """Whether the error is at most what roundings of x and the kinks come to, times height / ε if `magnified`."""
    u = Fraction(float(np.finfo(world.dtype).eps)) / 2
    factor = Fraction(abs(world.height)) / (Fraction(world.eps) if magnified else 1)
    bound = (12 * Fraction(world.reach) + 4) * u * factor
    error = world.error
    return Certificate(error <= bound, largest_error=float(error), bound=float(bound))


def is_right(
    *, dtype: type[np.floating] = np.float64, eps: float = 1e-7, share: Fraction = Fraction(1, 10**7)
) -> Certificate:
    """Whether the largest error is at most such a share of the height."""
    world = Computed(dtype=dtype, eps=eps)
    error = world.error
    return Certificate(error <= share * Fraction(world.height), largest_error=float(error))


def is_off_by_its_height(*, dtype: type[np.floating] = np.float32, eps: float = 1e-7) -> Certificate:
    """Whether the largest error is larger than the rectangle."""
    world = Computed(dtype=dtype, eps=eps)
    error = world.error
    return Certificate(error > Fraction(world.height), largest_error=float(error))


@pytest.mark.exact
def test_float64_computes_it(judge):
    """The rectangle of height 1.3 on [0, 1] with ε = 10⁻⁷ is right up to 10⁻⁷ of its height, at 1000 equispaced points
    of [−3, 3] and at 17 up each side. The bound would allow 40 · 2⁻⁵³ / ε, which is 4.4 · 10⁻⁸ of it.
    """
    judge(is_right).supports()


@pytest.mark.exact
def test_float32_is_off_by_more_than_the_height(judge):
    """The same rectangle at the same points, in float32."""
    judge(is_off_by_its_height).supports()


def test_rounding_is_magnified(judge):
    """Forty rectangles in float64 or float32, ε from 10⁻¹³ to 0.1, at x up to 100 in size: the error is at most
    (12R + 4) u · height / ε, see above.
    """
    judge(is_within_the_bound, given=computations()).supports()


@pytest.mark.exact
@pytest.mark.parametrize("world", [{"dtype": np.float32}, {"eps": 1e-15}], ids=["float32", "sides too steep"])
def test_control_right(judge, world):
    judge(is_right, **world).refutes()


@pytest.mark.exact
def test_control_float64_is_not_off_by_its_height(judge):
    judge(is_off_by_its_height, dtype=np.float64).refutes()


def test_control_rounding_that_is_not_magnified(judge):
    """What would bound the error if small differences were not divided by ε."""
    judge(is_within_the_bound, given=computations(), example=Computed(), magnified=False).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """A rectangle of height 1.3 with sides 10⁻⁷ wide: float64 draws it, and float32 draws something else."""
    for world, label in ((Computed(dtype=np.float32), "float32 (control)"), (Computed(), "float64")):
        draw.curve(ax, world.x, world.y, label)
    ax.set(xlabel="x", ylabel="the computed rectangle")
    draw.key(ax)
