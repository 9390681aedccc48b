"""Three ReLUs make a tent.

Slide: Efficient Oscillations with Composition, its first plot. The first ReLU rises at slope 2 from x = 0. The second
is taken away from x = 1/2 on at twice that slope, so that the difference turns and falls at slope 2. It would go on
falling past x = 1, had the third ReLU not cut it off at 0. All functions are computed exactly, on the whole line.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING

from claimlab import Certificate, Claim, Exact, draw
from claimlab.measure.piecewise import PiecewiseLinear, identity, relu
from claimlab.measure.sawtooth import TENT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="expressivity/three-relus-make-a-tent",
    covers=("C1",),
    slide="Efficient Oscillations with Composition",
    version=1,
    finding="holds",
    says="A ReLU of the difference of two ReLUs draws a triangle on [0, 1].",
    statement="A ReLU of the difference of two ReLUs is the tent: up from 0 to 1 on the first half of [0, 1], down "
    "again on the second, and 0 for every other x. Without the outer ReLU it is the same up to x = 1, and then goes "
    "on falling.",
    reason="The two functions are the same. On [0, 1] the outer ReLU does nothing; it is there for x > 1.",
    scope="one input; weights that are written down, in rational arithmetic",
    source="the deck's code; Telgarsky 2016 (arXiv 1602.04485)",
    evidence=Exact(),
)

Program = Callable[[PiecewiseLinear], PiecewiseLinear]
"""Code that computes with x, given the identity function for x."""

SHOWN = [Fraction(i, 4) for i in range(-2, 7)]
"""Where certificates show what the functions are."""


def tent(x: PiecewiseLinear) -> PiecewiseLinear:
    return relu(two_relus(x))


def two_relus(x: PiecewiseLinear) -> PiecewiseLinear:
    """The tent without its outer ReLU."""
    return relu(2 * x) - relu(4 * x - 2)


def second_relu_as_steep_as_the_first(x: PiecewiseLinear) -> PiecewiseLinear:
    return relu(relu(2 * x) - relu(2 * x - 1))


def is_the_tent(*, program: Program = tent) -> Certificate:
    """Whether the program draws the tent: 0 up to x = 0, then straight to (1/2, 1), straight to (1, 0), and 0."""
    f = program(identity())
    return Certificate(f == TENT, x=SHOWN, f=[f(x) for x in SHOWN], breakpoints=f.breakpoints)


def differs_for_x_above_1_alone() -> Certificate:
    """Whether the two ReLUs are the tent less relu(2x - 2), which is 0 for x <= 1 and positive above."""
    cut_off = tent(identity()) - two_relus(identity())
    return Certificate(cut_off == relu(2 * identity() - 2), cut_off=[cut_off(x) for x in SHOWN])


def test_claim(judge):
    """relu(relu(2x) − relu(4x − 2)) is 2x on [0, 1/2], 2 − 2x on [1/2, 1] and 0 for every other real x."""
    judge(is_the_tent).supports()


def test_outer_relu_matters_for_x_above_1_alone(judge):
    """relu(2x) − relu(4x − 2) is the same for x ≤ 1, and 2 − 2x < 0 for every x > 1."""
    judge(differs_for_x_above_1_alone).supports()


def test_control_without_the_outer_relu(judge):
    """It is negative for x > 1."""
    judge(is_the_tent, program=two_relus).refutes()


def test_control_second_relu_as_steep_as_the_first(judge):
    """It levels off at 1 and never comes down."""
    judge(is_the_tent, program=second_relu_as_steep_as_the_first).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """On [0, 1] two ReLUs are the tent; the outer one only keeps it from falling below 0 for x > 1."""
    xs = [Fraction(-1, 2), Fraction(0), Fraction(1, 2), Fraction(1), Fraction(3, 2)]
    draw.curve(ax, xs, two_relus(identity()), "relu(2x) − relu(4x − 2) (control)")
    draw.curve(ax, xs, tent(identity()), "relu(relu(2x) − relu(4x − 2))")
    draw.numbers(ax.xaxis, xs)
    ax.set(xlabel="x", ylabel="output")
    ax.legend(loc="lower left")
