"""One hidden layer of sigmoid units comes as near to a continuous function as one likes.

Slide: Universal Function Approximation. For a continuous, bounded, increasing activation σ the deck takes nets of
the form v₁ σ(w₁ x + b₁) + ... + v_N σ(w_N x + b_N), with no bias at the output. As printed there the bound
is on the error at one x, and then there is nothing to prove: a constant is right at one x. What the theorem says, and
what is tested, is that one net is within ε for all x of the compact set at once.

On [0, 1], with σ rising from 0 to 1, a staircase will do. Let f change by at most L |s − t| between s and t, cut
[0, 1] into h = ⌈L / ε⌉ cells, and let a unit of weight K, with value 1/2 in the middle of the cell, lift the net
from f at the cell's left end to f at its right end; one more unit, of weight 0, is the constant f(0). Where x lies in a
cell, the cell's own unit makes a mean of f at the two ends in which the nearer end counts for half or more, so it errs
by at most L / (2h) ≤ ε / 2. The middles of all other cells are 1/(2h) away or more. With K so large that a unit is
there within ε / (4L) of 0 or 1, each of them errs by at most that part of its step, of L / h at most: together less
than ε / 4. So the staircase is within 3/4 ε of f.

With two inputs a staircase of p x + q y follows a function of p x + q y, a ridge, and a sum of ridges is followed by
the sum of their staircases, which is one hidden layer. The cosines of π (k x + l y) are ridges, and their sums come
near to every continuous function on the square.

The distance is bounded in float64 (see `claimlab.measure.supnorm`). What is off by how much, with u = 2⁻⁵³? In
K (x − middle) + shift three roundings count, which move a unit by at most 3u times the largest |t σ'(t)| and
|shift σ'(t)|, both below 1; numpy's σ is good to a few u. The steps, of a sum below 30 for 12 heights in
[−1, 1], are multiplied and added up: 210 units or fewer, 220u of that sum. Together less than 300u · 30 = 10⁻¹² for the
net and for the sum of what its units vary by. f is interpolated between numbers below 1 at slopes of at most 22: less
than 100u = 10⁻¹³. `ROUNDING` is fifty times more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, lcm
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import strategies as st

from claimlab import Certificate, Claim, Property, draw
from claimlab.measure.piecewise import PiecewiseLinear, lipschitz, through
from claimlab.measure.supnorm import sup_bounds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="expressivity/sigmoid-nets-are-dense",
    covers=("B1",),
    slide="Universal Function Approximation",
    version=3,
    finding="holds",
    says="With a continuous, bounded, increasing activation, nets with one hidden layer are dense in the continuous "
    "functions on a compact set.",
    statement="One hidden layer of sigmoid units comes as near as one likes to a piecewise-linear function on [0, 1], "
    "or to a sum of ridges on the square, at every x at once: staircases of steep units, with no output bias, for each "
    "of five activations that rise from 0 to 1. With the square as activation no number of units does.",
    reason="A staircase of steep enough units is within 3/4 ε for all x at once. The deck's formula lacks 'for all x': "
    "read as printed, for one x, constants satisfy it. Increasing is more than is needed: bounded and not constant "
    "will do (Hornik 1991), and among continuous activations only polynomials fail (Leshno et al. 1993).",
    scope="one input, or two and sums of ridges; Lipschitz targets, weights that are written down, not trained, and as "
    "large as the tails of the activation ask for",
    source="Cybenko 1989 (Math. Control Signals Systems 2, 303-314); Funahashi 1989; Hornik 1991 (Neural Networks 4, "
    "251-257)",
    evidence=Property(examples=40),
)

World = tuple[str, list[Fraction], Fraction]
"""An activation, the heights of a target f at equispaced corners from 0 to 1, and the tolerance ε."""

HEIGHTS = st.sampled_from(sorted((Fraction(i, 4) for i in range(-4, 5)), key=abs))
TOLERANCES = st.sampled_from([Fraction(i, 17) for i in (8, 5, 3, 2)])  # not multiples of the heights' quarters
ROUNDING = 5e-11


@dataclass(frozen=True)
class Activation:
    """A continuous function that rises from 0 at −∞ to 1 at ∞, and where it takes a value strictly between."""

    value: Callable[[np.ndarray], np.ndarray]
    where: Callable[[float], float]


ACTIVATIONS = {
    "logistic": Activation(lambda t: (1 + np.tanh(t / 2)) / 2, lambda y: 2 * np.arctanh(2 * y - 1)),
    "arc tangent": Activation(lambda t: 0.5 + np.arctan(t) / np.pi, lambda y: np.tan(np.pi * (y - 0.5))),
    "softsign": Activation(lambda t: 0.5 + t / (2 + 2 * np.abs(t)), lambda y: (2 * y - 1) / (1 - abs(2 * y - 1))),
    "ramp": Activation(lambda t: np.clip(t + 0.5, 0, 1), lambda y: y - 0.5),
    "Gumbel": Activation(lambda t: np.exp(-np.exp(-np.maximum(t, -20))), lambda y: -np.log(-np.log(y))),
}


WORLDS = st.tuples(st.sampled_from(list(ACTIVATIONS)), st.lists(HEIGHTS, min_size=3, max_size=12), TOLERANCES)


def target(heights: list[Fraction]) -> PiecewiseLinear:
    """The function that joins the heights by straight lines."""
    return through((Fraction(i, len(heights) - 1), height) for i, height in enumerate(heights))


@dataclass(frozen=True)
class Staircase:
    """The net: its units' (wᵢ, bᵢ) are (0, shift) first and then (steepness, shift − steepness · middleᵢ)."""

    activation: Activation
    shift: float  # where the activation is 1/2
    steepness: float
    middles: np.ndarray  # [h]
    output: np.ndarray  # [h + 1]

    def units(self, x: np.ndarray) -> np.ndarray:
        """The hidden units at x `[n]`, `[n, h + 1]`; the difference is taken first, so that K multiplies no error."""
        away = np.hstack([np.zeros((len(x), 1)), self.steepness * (x[:, None] - self.middles)])
        return self.activation.value(self.shift + away)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return self.units(x) @ self.output


def staircase(
    f: PiecewiseLinear, tolerance: Fraction, activation: Activation, *, steps: int | None = None, steeper: int = 1
) -> Staircase:
    """One unit for the constant f(0), and one for each of the steps, ⌈L / ε⌉ if not said, or `steeper` than need be."""
    steps = ceil(lipschitz(f) / tolerance) if steps is None else steps
    levels = [f(Fraction(i, max(steps, 1))) for i in range(steps + 1)]
    shift = activation.where(0.5)
    tail = float(tolerance / max(4 * lipschitz(f), 1))
    reach = max(activation.where(1 - tail) - shift, shift - activation.where(tail))
    return Staircase(
        activation=activation,
        shift=shift,
        steepness=2 * steps * reach * steeper,
        middles=(np.arange(steps) + 0.5) / max(steps, 1),
        output=np.array([2 * float(levels[0]), *np.diff([float(level) for level in levels])]),
    )


def grid(net: Staircase, corners: np.ndarray, *, per_cell: int = 8) -> np.ndarray:
    """Points of [0, 1], sorted: the corners of f, so many to a cell, and where a unit is 1/8, 2/8, ... up its step."""
    climbs = np.array([net.activation.where(i / 8) - net.shift for i in range(1, 8)]) / max(net.steepness, 1)
    on_steps = (net.middles[:, None] + climbs).ravel()
    evenly = np.linspace(0, 1, per_cell * max(len(net.middles), 1) + 1)
    return np.unique(np.concatenate([corners, evenly, on_steps[(on_steps > 0) & (on_steps < 1)]]))


def upper_bound(f: PiecewiseLinear, net: Staircase, *, per_cell: int = 8) -> float:
    """On the net's sup distance from f on [0, 1]: f and each unit are monotone between points of the grid."""
    corners = np.array([0.0, *map(float, f.breakpoints), 1.0])
    x = grid(net, corners, per_cell=per_cell)
    units, heights = net.units(x), np.interp(x, corners, [float(f(Fraction(corner))) for corner in corners])
    variation = np.abs(np.diff(heights)) + np.abs(np.diff(units, axis=0)) @ np.abs(net.output)
    return sup_bounds(heights - units @ net.output, variation, rounding=ROUNDING)[1]


def error_of_the_staircase(f: PiecewiseLinear, tolerance: Fraction, activation: Activation) -> float:
    """An upper bound on its sup distance from f on [0, 1]."""
    return upper_bound(f, staircase(f, tolerance, activation))


def error_of_one_step_a_piece(f: PiecewiseLinear, tolerance: Fraction, activation: Activation) -> float:
    """The same for a staircase of so few steps that its cells end at f's corners, and as good as upright ones.

    Next to the middle of its largest step it is off by nearly half of that. The points that the bound goes by there are
    the end of the cell, where it is off by nothing, and where the unit is 1/8 up, by 3/8 of the step.
    """
    steps = lcm(*(corner.denominator for corner in f.breakpoints))
    return upper_bound(f, staircase(f, tolerance, activation, steps=steps, steeper=10_000), per_cell=1)


def least_error_of_squares(f: PiecewiseLinear, tolerance: Fraction, activation: Activation) -> Fraction:
    """A lower bound on the sup distance of every net, of any number of units, when the activation is t² instead.

    Such a net is a polynomial of degree 2, so y₀ − 3 y₁ + 3 y₂ − y₃ is 0 for its values at four equispaced points. For
    those of f it is D, say; each y is off by the sup distance at most, so that is |D| / 8 at least.
    """
    y0, y1, y2, y3 = (f(Fraction(i, 3)) for i in range(4))
    return abs(y0 - 3 * y1 + 3 * y2 - y3) / 8


def distances_of_constants(f: PiecewiseLinear) -> np.ndarray:
    """|f(x) − c| for constants c halfway between any two of f's heights (rows), x its corners and ends (columns)."""
    heights = [f(x) for x in (Fraction(0), *f.breakpoints, Fraction(1))]
    constants = {(u + v) / 2 for u in heights for v in heights}
    return np.array([[abs(y - c) for y in heights] for c in constants])


def error_for_one_x(f: PiecewiseLinear, tolerance: Fraction, activation: Activation) -> Fraction:
    """For every x there is a constant: the largest, over x, of the least error of a constant there."""
    return distances_of_constants(f).min(axis=0).max()


def least_error_for_all_x(f: PiecewiseLinear, tolerance: Fraction, activation: Activation) -> Fraction:
    """There is a constant for all x: the least, over constants, of the largest error; half of max f − min f."""
    return distances_of_constants(f).max(axis=1).min()


def within_tolerance(
    world: World,
    *,
    error: Callable[[PiecewiseLinear, Fraction, Activation], float | Fraction] = error_of_the_staircase,
) -> Certificate:
    """Whether the error is within the tolerance.

    The claim is shown with an upper bound on the error of the best net, and controls that speak of every net of their
    kind are refuted with a lower one.
    """
    name, heights, tolerance = world
    f = target(heights)
    apart = error(f, tolerance, ACTIVATIONS[name])
    return Certificate(apart <= tolerance, error=apart, tolerance=tolerance, lipschitz=lipschitz(f))


def test_claim(judge):
    """Forty random f with 3 to 12 equispaced corners at multiples of 1/4 from −1 to 1, ε from 2/17 to 8/17, and the
    logistic, arc tangent, softsign, a ramp or a Gumbel distribution: ⌈L / ε⌉ + 1 units are within ε of f at every x in
    [0, 1], L being the Lipschitz constant of f; a bound in float64, rounding included.
    """
    judge(within_tolerance, given=WORLDS).supports()


def test_printed_for_one_x_constants_suffice(judge):
    """As printed: for each x there is a constant within ε of f there, for the same forty f, in rational arithmetic."""
    judge(within_tolerance, given=WORLDS, error=error_for_one_x).supports()


UP_AND_DOWN = ("logistic", [Fraction(height) for height in (0, 1, -1, 0)], Fraction(8, 17))


def test_control_constants_for_all_x(judge):
    judge(within_tolerance, given=WORLDS, example=UP_AND_DOWN, error=least_error_for_all_x).refutes()


def test_control_square_activation(judge):
    """By a lower bound on the error of every net of squares."""
    judge(within_tolerance, given=WORLDS, example=UP_AND_DOWN, error=least_error_of_squares).refutes()


def test_control_one_step_a_piece(judge):
    """Off by nearly 1/2 next to a step of 1, and by 3/8 at the points of the grid, where ε = 8/17 is in between."""
    up = ("logistic", [Fraction(height) for height in (0, 1, 0)], Fraction(8, 17))
    judge(within_tolerance, given=WORLDS, example=up, error=error_of_one_step_a_piece).refutes()


# -- two inputs ---------------------------------------------------------------------------------------------------

Ridge = tuple[tuple[int, int], list[Fraction]]
"""A direction (p, q), and the heights of a function of p x + q y at equispaced corners of its range on [0, 1]²."""

RIDGES = st.lists(
    st.tuples(
        st.sampled_from([(1, 0), (0, 1), (1, 1), (1, -1), (2, 1), (-1, 3)]), st.lists(HEIGHTS, min_size=3, max_size=5)
    ),
    min_size=1,
    max_size=3,
)


def within_tolerance_of_ridges(
    world: tuple[str, list[Ridge], Fraction], *, looking: tuple[int, int] | None = None, places: int = 21
) -> Certificate:
    """Whether the sum of staircases, each within its part of the tolerance, is within the tolerance of the sum of
    ridges.

    It is by the sum of the bounds of the parts, and by its output on a lattice of the square. With `looking` all
    staircases are of that p x + q y instead.
    """
    name, ridges, tolerance = world
    share, activation = tolerance / len(ridges), ACTIVATIONS[name]
    x, y = (side.ravel() for side in np.meshgrid(*[np.linspace(0, 1, places)] * 2))
    bound, off = 0.0, np.zeros(len(x))
    for direction, heights in ridges:
        f = target(heights)
        net = staircase(f, share, activation)
        bound += upper_bound(f, net)
        off += np.interp(along(direction, x, y), np.linspace(0, 1, len(heights)), [float(height) for height in heights])
        off -= net(along(looking or direction, x, y))
    largest = np.abs(off).max()
    return Certificate(max(bound, largest) <= tolerance, bound=bound, largest_error=largest, tolerance=tolerance)


def along(direction: tuple[int, int], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """p x + q y, scaled to go from 0 to 1 on [0, 1]²."""
    p, q = direction
    low, high = min(p, 0) + min(q, 0), max(p, 0) + max(q, 0)
    return (p * x + q * y - low) / (high - low)


def test_two_inputs(judge):
    """Forty sums of up to three ridges of 3 to 5 corners, in six directions, and the same tolerances and activations:
    the sum of staircases is within ε on all of [0, 1]², by the sum of the bounds of its parts, and at 21² points as
    computed.
    """
    judge(
        within_tolerance_of_ridges, given=st.tuples(st.sampled_from(list(ACTIVATIONS)), RIDGES, TOLERANCES)
    ).supports()


def test_control_units_that_look_another_way(judge):
    """The same staircases, of 3 x − 2 y all of them."""
    judge(
        within_tolerance_of_ridges,
        given=st.tuples(st.sampled_from(list(ACTIVATIONS)), RIDGES, TOLERANCES),
        example=("logistic", [((0, 1), UP_AND_DOWN[1])], Fraction(8, 17)),
        looking=(3, -2),
    ).refutes()


# -- the lower bound for squares ----------------------------------------------------------------------------------


ZIGZAG = ([Fraction(i % 2) for i in range(4)], [1, 1, 1])


def squares_are_no_nearer(world: tuple[list[Fraction], list[int]], *, factor: Fraction = Fraction(1)) -> Certificate:
    """Whether a net of three squares is as far from f as the lower bound says, or `factor` of it, at twelfths of [0,
    1].

    At 0, 1/3 and 2/3 it is off by so many times the bound as the world says, to one side and the other in turn.
    """
    heights, shifts = world
    f = target(heights)
    y0, y1, y2, y3 = (f(Fraction(i, 3)) for i in range(4))
    best = (y0 - 3 * y1 + 3 * y2 - y3) / 8
    u, v, w = (y - (-1) ** i * shift * best for i, (y, shift) in enumerate(zip((y0, y1, y2), shifts, strict=True)))
    a, b = (u - 2 * v + w) * Fraction(9, 2), 3 * (v - u) - (u - 2 * v + w) * Fraction(3, 2)
    units = [(1, 0, a - b / 2), (1, 1, b / 2), (0, 1, u - b / 2)]  # a x² + b x + u
    places = [Fraction(i, 12) for i in range(13)]
    apart = max(abs(f(x) - sum(out * (into * x + bias) ** 2 for into, bias, out in units)) for x in places)
    least = least_error_of_squares(f, Fraction(1), ACTIVATIONS["logistic"])
    return Certificate(apart >= factor * least, error=apart, least=least)


def test_no_net_of_squares_beats_the_lower_bound(judge):
    """Forty nets of three squares, which can be any parabola, that follow their targets as well as they can."""
    shifts = st.lists(st.sampled_from([1, 0, -1]), min_size=3, max_size=3)
    judge(squares_are_no_nearer, given=st.tuples(st.lists(HEIGHTS, min_size=3, max_size=12), shifts)).supports()


@pytest.mark.exact
def test_a_constant_reaches_the_lower_bound(judge):
    """Halfway between the heights of a zigzag of three pieces it is as near as the bound says, and no nearer."""
    judge(squares_are_no_nearer, world=ZIGZAG).supports()


@pytest.mark.exact
def test_control_half_as_much_again_is_no_lower_bound(judge):
    """The same constant."""
    judge(squares_are_no_nearer, world=ZIGZAG, factor=Fraction(3, 2)).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """A staircase of steep sigmoid units stays within ε of its target everywhere; units that square make a parabola."""
    f, tolerance = target([Fraction(i, 4) for i in (0, 3, -2, 1, 4, -1)]), Fraction(5, 17)
    net = staircase(f, tolerance, ACTIVATIONS["logistic"])
    x = grid(net, np.linspace(0, 1, 401))
    y, eps = np.array([float(f(Fraction(t))) for t in x]), float(tolerance)
    ax.fill_between(x, y - eps, y + eps, color="0.88", label=f"f, and f ± ε = {eps:.2f}")
    ax.plot(x, y, color="0.4", linewidth=1)
    draw.curve(ax, x, net(x), f"{len(net.output)} logistic units", marks=False)
    draw.curve(ax, x, np.polyval(np.polyfit(x, y, 2), x), "squares, least squares (control)", marks=False)
    ax.set(xlabel="x", ylabel="output")
    draw.key(ax)
