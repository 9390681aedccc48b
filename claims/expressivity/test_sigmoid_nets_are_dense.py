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

The distance is bounded in float64 (see `claimlab.measure.supnorm`). What is off by how much, with u = 2⁻⁵³? In
K (x − middle) + shift three roundings count, which move a unit by at most 3u times the largest |t σ'(t)| and
|shift σ'(t)|, both below 1; numpy's σ is good to a few u. The steps, of a sum below 30 for 12 heights in
[−1, 1], are multiplied and added up: 190 units or fewer, 200u of that sum. Together less than 300u · 30 = 10⁻¹² for the
net and for the sum of what its units vary by. f is interpolated between numbers below 1 at slopes of at most 22: less
than 100u = 10⁻¹³. `ROUNDING` is fifty times more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
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
    version=1,
    finding="holds",
    says="With a continuous, bounded, increasing activation, nets with one hidden layer are dense in the continuous "
    "functions on a compact set.",
    statement="One hidden layer of sigmoid units comes as near as one likes to a piecewise-linear function on [0, 1], "
    "at every x at once: a staircase of steep units, with no output bias, for each of five activations that rise from "
    "0 to 1. With the square as activation no number of units does.",
    reason="A staircase of steep enough units is within 3/4 ε for all x at once. The deck's formula lacks 'for all x': "
    "read as printed, for one x, constants satisfy it. Increasing is more than is needed: bounded and not constant "
    "will do (Hornik 1991), and among continuous activations only polynomials fail (Leshno et al. 1993).",
    scope="one input, Lipschitz targets, weights that are written down, not trained, and as large as the tails of the "
    "activation ask for",
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


def staircase(f: PiecewiseLinear, tolerance: Fraction, activation: Activation) -> Staircase:
    """One unit for the constant f(0), and one for each of ⌈L / ε⌉ steps."""
    steps = ceil(lipschitz(f) / tolerance)
    levels = [f(Fraction(i, max(steps, 1))) for i in range(steps + 1)]
    shift = activation.where(0.5)
    tail = float(tolerance / max(4 * lipschitz(f), 1))
    reach = max(activation.where(1 - tail) - shift, shift - activation.where(tail))
    return Staircase(
        activation=activation,
        shift=shift,
        steepness=2 * steps * reach,
        middles=(np.arange(steps) + 0.5) / max(steps, 1),
        output=np.array([2 * float(levels[0]), *np.diff([float(level) for level in levels])]),
    )


def grid(net: Staircase, corners: np.ndarray) -> np.ndarray:
    """Points of [0, 1], sorted: the corners of f, eight to a cell, and where a unit is 1/8, 2/8, ... up its step."""
    climbs = np.array([net.activation.where(i / 8) - net.shift for i in range(1, 8)]) / max(net.steepness, 1)
    on_steps = (net.middles[:, None] + climbs).ravel()
    evenly = np.linspace(0, 1, 8 * max(len(net.middles), 1) + 1)
    return np.unique(np.concatenate([corners, evenly, on_steps[(on_steps > 0) & (on_steps < 1)]]))


def error_of_the_staircase(f: PiecewiseLinear, tolerance: Fraction, activation: Activation) -> float:
    """An upper bound on its sup distance from f on [0, 1]: f and each unit are monotone between points of the grid."""
    corners = [Fraction(0), *f.breakpoints, Fraction(1)]
    at_corners = np.array([float(x) for x in corners]), np.array([float(f(x)) for x in corners])
    net = staircase(f, tolerance, activation)
    x = grid(net, at_corners[0])
    units, heights = net.units(x), np.interp(x, *at_corners)
    variation = np.abs(np.diff(heights)) + np.abs(np.diff(units, axis=0)) @ np.abs(net.output)
    _, upper = sup_bounds(heights - units @ net.output, variation, rounding=ROUNDING)
    return upper


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

    The claim is shown with an upper bound on the error of the best net, and the controls are refuted with a lower one,
    so that what they refute is every net of their kind.
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


def test_control_constants_for_all_x(judge):
    judge(within_tolerance, given=WORLDS, error=least_error_for_all_x).refutes()


def test_control_square_activation(judge):
    """By a lower bound on the error of every net of squares."""
    judge(within_tolerance, given=WORLDS, error=least_error_of_squares).refutes()


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
