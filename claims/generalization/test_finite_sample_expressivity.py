"""A net of two layers can give any n points any n labels, with n units that look in one direction.

Slide: Deep Nets Generalize Better than They Should. This is theorem 1 of Zhang et al.: there are weights for every
labelling, whatever training may find. The net is Σ wⱼ relu(a·x − bⱼ), and the proof a construction.

Some direction a = (1, t, t², ...) tells all points apart. Two points that differ by v ≠ 0 fall on one another only if
t is a root of v₁ + v₂ t + v₃ t² + ..., which has d − 1 roots at most, so that some t from 0 to (d − 1) n (n − 1) / 2
will do. Sorted along it, the points are z₁ < z₂ < ..., and b₁ < z₁ = b₂ < z₂ = b₃ < ...: unit j is silent on all
points before the j-th, so each label can be set right in turn and no later unit spoils it.

These are d + n + n weights, because the units share their direction. Written as an ordinary layer, with a row for each
unit, it has n d + 2n. And none of the units can be spared: up to its smallest bend the net is 0, and from each bend on
it is straight, so that the output of m units has at most m signs one after another. Points in a row whose labels change
sign from each to the next have n, whichever way one goes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import count, groupby, pairwise
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from claimlab import Certificate, Claim, Property, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="generalization/two-n-plus-d-weights-fit-any-labels",
    covers=("H18",),
    slide="Deep Nets Generalize Better than They Should",
    version=1,
    finding="holds",
    says="A ReLU net of two layers with 2n + d weights can represent any labelling of n points in d dimensions.",
    statement="For any n different points in d dimensions and any n labels, there is a ReLU net with one hidden layer "
    "of n units that gives every point its label exactly. It has 2n + d weights, as all units share one direction. "
    "With one unit less it cannot give some labels, and two labels for one point are too many for any net.",
    reason="Sorted along a direction that tells them apart, the points can be set right one after another, each by a "
    "unit that is silent on those before. Without the sharing, the same net has n d + 2n weights.",
    scope="that such weights exist, in rational arithmetic; nothing is trained, and they may be large",
    source="Zhang, Bengio, Hardt, Recht & Vinyals 2017 (arXiv 1611.03530), theorem 1",
    evidence=Property(examples=60),
)

Point = tuple[int, ...]
World = tuple[Sequence[Point], Sequence[Fraction]]
"""Points, and a label for each."""


def relu(z: Fraction) -> Fraction:
    return max(z, Fraction(0))


@dataclass(frozen=True)
class Net:
    """Σ wⱼ act(a·x − bⱼ): the units share their direction."""

    direction: tuple[int, ...]
    bends: tuple[Fraction, ...]
    weights: tuple[Fraction, ...]

    def along(self, z: int | Fraction, *, activation: Callable[[Fraction], Fraction] = relu) -> Fraction:
        """Its output for every point that lies at z along the direction."""
        units = (weight * activation(z - bend) for weight, bend in zip(self.weights, self.bends, strict=True))
        return sum(units, Fraction(0))

    @property
    def size(self) -> int:
        """How many numbers it is made of."""
        return len(self.direction) + len(self.bends) + len(self.weights)


def along(direction: Sequence[int], point: Point) -> int:
    """a·x"""
    return sum(part * x for part, x in zip(direction, point, strict=True))


def telling_apart(points: Sequence[Point]) -> tuple[int, ...]:
    """A direction (1, t, t², ...) along which no two of the points that differ are at one place."""
    return next(
        direction
        for direction in (tuple(t**power for power in range(len(points[0]))) for t in count())
        if len({along(direction, point) for point in points}) == len(set(points))
    )


def first_input(points: Sequence[Point]) -> tuple[int, ...]:
    """The direction of the first input, whatever the points."""
    return (1, *[0] * (len(points[0]) - 1))


def constructed(points: Sequence[Point], labels: Sequence[Fraction], direction: tuple[int, ...]) -> Net:
    """The net that sets the points right in their order along a direction; of several at one place, the last."""
    known = sorted({along(direction, point): label for point, label in zip(points, labels, strict=True)}.items())
    known = [(known[0][0] - 1, Fraction(0)), *known]
    slopes = [(there - here) / (z - before) for (before, here), (z, there) in pairwise(known)]
    weights = (after - before for before, after in pairwise([Fraction(0), *slopes]))
    return Net(direction, tuple(Fraction(place) for place, _ in known[:-1]), tuple(weights))


def fits(
    world: World,
    *,
    direction: Callable[[Sequence[Point]], tuple[int, ...]] = telling_apart,
    activation: Callable[[Fraction], Fraction] = relu,
) -> Certificate:
    """Whether the constructed net gives every point its label, and is made of 2n + d numbers, n of them units."""
    points, labels = world
    net = constructed(points, labels, direction(points))
    outputs = [net.along(along(net.direction, point), activation=activation) for point in points]
    right = sum(output == label for output, label in zip(outputs, labels, strict=True))
    n, d = len(points), len(points[0])
    return Certificate(
        right == n and len(net.weights) == n and net.size == 2 * n + d,
        points=n, inputs=d, right=right, weights=net.size, weights_unshared=n * (d + 2),
        largest_weight=float(max(map(abs, net.weights))),
    )  # fmt: skip


def worlds(*, least: int = 1) -> st.SearchStrategy[World]:
    """One to ten different points of one to four inputs, which are whole numbers, and a fraction for each."""
    value = st.builds(Fraction, st.integers(-9, 9), st.integers(1, 4))
    return st.integers(1, 4).flatmap(
        lambda d: st.lists(st.tuples(*[st.integers(-6, 6)] * d), min_size=least, max_size=10, unique=True).flatmap(
            lambda points: st.tuples(st.just(points), st.lists(value, min_size=len(points), max_size=len(points)))
        )
    )


SHOWN = ([(i * i % 17, i) for i in range(16)], [Fraction(i * 5 % 7 - 3) for i in range(16)])
TWICE = ([(1, 2), (3, 0), (1, 2)], [Fraction(1), Fraction(0), Fraction(2)])
BELOW = ([(1, 2), (1, 3), (2, 2)], [Fraction(1), Fraction(0), Fraction(2)])
BENT = ([(0,), (1,), (2,)], [Fraction(1), Fraction(0), Fraction(1)])


def test_claim(judge):
    """Sixty worlds of 1 to 10 different points with 1 to 4 inputs from −6 to 6 and labels from −9 to 9, in fractions.

    The net of the construction is right on all of the n points, and made of d + n + n numbers.
    """
    judge(fits, given=worlds(), example=SHOWN).supports()


def test_control_one_point_with_two_labels(judge):
    judge(fits, given=worlds(least=2).map(with_a_copy), example=TWICE).refutes()


def with_a_copy(world: World) -> World:
    """The world with its first point once more, which has another label there."""
    points, labels = world
    return [*points, points[0]], [*labels, labels[0] + 1]


def test_control_a_direction_that_does_not_tell_points_apart(judge):
    """Along the first input alone, two of the example's points are one."""
    judge(fits, given=worlds(least=2), example=BELOW, direction=first_input).refutes()


def test_control_no_activation(judge):
    """Without ReLU no unit is ever silent, and the net is a straight line."""
    judge(fits, given=worlds(least=3), example=BENT, activation=lambda z: z).refutes()


# -- how few units would do -------------------------------------------------------------------------------------------

Units = list[tuple[int, int]]
"""The bend and the weight of every unit of a net along its direction."""


def few_signs(units: Units, *, bias: int = 0, steps: int = 4, reach: int = 30) -> Certificate:
    """Whether the net has at most as many signs one after another as units, on points in a row along its direction.

    There are so many `steps` of them from each whole number to the next, between -`reach` and `reach`, which is beyond
    all bends, and one far out, where every slope tells. No use is made of the net's being straight between bends. An
    output bias is one weight more.
    """
    row = (*range(-reach * steps, reach * steps + 1), 10_000 * steps)  # in steps, so that all numbers are whole
    values = [bias * steps + sum(weight * max(z - bend * steps, 0) for bend, weight in units) for z in row]
    turns = [sign for sign, _ in groupby(value > 0 for value in values if value)]
    return Certificate(len(turns) <= len(units), units=len(units), signs=len(turns))


ZIGZAG: Units = [(z, (-1) ** z * (4 * z or 1)) for z in range(6)]
"""As many signs as units."""


def test_one_unit_less_is_not_enough(judge):
    """Sixty nets of one to six units, bends and weights from −20 to 20: m units have at most m signs, as six can have.

    So none with n − 1 is right on n points in a row whose labels change sign from each to the next. Signs are counted
    at every quarter from −30 to 30, and at 10000.
    """
    judge(few_signs, given=nets(), example=ZIGZAG).supports()


def nets() -> st.SearchStrategy[Units]:
    number = st.integers(-20, 20)
    return st.lists(st.tuples(number, number), min_size=1, max_size=6)


def test_control_an_output_bias(judge):
    """With a bias two signs take one unit."""
    judge(few_signs, given=nets(), example=[(0, 1)], bias=-1).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Sixteen points of the plane, in their order along one direction: sixteen units give each the label it has."""
    points, labels = SHOWN
    net = constructed(points, labels, telling_apart(points))
    places = [along(net.direction, point) for point in points]
    ends = [net.bends[0] - 1, *net.bends, max(places)]
    draw.curve(ax, ends, [net.along(z) for z in ends], "the net", style="C0-")
    draw.dots(ax, places, labels, "points and their labels", style="C1o")
    ax.set(xlabel=f"place along the direction {net.direction}", ylabel="label")
    draw.key(ax)
