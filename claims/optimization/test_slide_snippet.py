"""The loss of a net with two weights, as a program that runs.

Slides: MLP Loss and Stochastic MLP Loss. Both show one short program: thirty samples, a net with one hidden ReLU unit
and no biases, and its mean squared error. The program makes three mistakes. Here each can be made or mended by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cache
from itertools import product
from statistics import mean
from typing import TYPE_CHECKING

import numpy as np

from claimlab import Certificate, Claim, Exact, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="optimization/slide-snippet-computes-the-mlp-loss",
    covers=("D1",),
    slide="MLP Loss",
    version=1,
    finding="false",
    says="A short Python program computes the loss of a net with one hidden ReLU unit on thirty samples.",
    statement="With three mistakes mended, weights that nobody gave, an argument that the loss is not passed, and "
    "arguments of the net that are out of order, the program gives the mean squared error of w₂ relu(w₁ x) at every "
    "rational weight pair.",
    reason="As shown it stops with a NameError, with weights given it stops with a TypeError, and with both of these "
    "mended it still computes another net, because the weights are passed where the input belongs.",
    scope="the slide's own samples, numpy's RandomState(42); rational arithmetic",
    source="the program on the slide, run",
    evidence=Exact(),
)

Loss = Callable[[Fraction, Fraction], Fraction]


@cache
def slide_samples() -> tuple[tuple[Fraction, Fraction], ...]:
    """Thirty inputs |N(1, 1)| with targets y = 2 x + N(0, 1) / 2, every float taken as the rational that it is."""
    rng = np.random.RandomState(42)
    x = np.abs(rng.normal(loc=1, size=30))
    y = 2 * x + rng.normal(size=30) / 2
    return tuple((Fraction(float(a)), Fraction(float(b))) for a, b in zip(x, y, strict=True))


def net(x: Fraction, w1: Fraction, w2: Fraction) -> Fraction:
    return w2 * max(w1 * x, Fraction(0))


def squared_error(prediction: Fraction, target: Fraction) -> Fraction:
    return (prediction - target) ** 2


def program(*, weights_given: bool = True, target_given: bool = True, input_first: bool = True) -> Loss:
    """The program as a function of the weights, each of its three mistakes made (False) or mended (True).

    It is kept as text and run by Python itself, so that it fails here as it would in class.
    """
    prediction = "net(x, w1, w2)" if input_first else "net(w1, w2, x)"
    text = f"squared_error({prediction}, y)" if target_given else f"squared_error({prediction} - y)"
    code = compile(text, "program", "eval")

    def loss(w1: Fraction, w2: Fraction) -> Fraction:
        names = {"net": net, "squared_error": squared_error} | ({"w1": w1, "w2": w2} if weights_given else {})
        return mean(eval(code, {**names, "x": x, "y": y}) for x, y in slide_samples())

    return loss


def least_squares() -> tuple[Fraction, Fraction, Fraction]:
    """The best slope through the origin, its mean squared error, and the mean square of the inputs."""
    power = mean(x * x for x, _ in slide_samples())
    slope = mean(x * y for x, y in slide_samples()) / power
    return slope, mean((y - slope * x) ** 2 for x, y in slide_samples()), power


def computes_the_loss(**mended: bool) -> Certificate:
    """Whether the program gives the mean squared error of w₂ relu(w₁ x) at every rational weight pair.

    All inputs are positive, so with slope a, floor f and mean square p that error is f + p (max(w₁, 0) w₂ − a)².
    On either side of w₁ = 0 it and the program's result are polynomials of degree two in w₁ and in w₂. Two of these
    that agree on three by three points are the same, so the pairs from −2 to 2 are a proof for every pair.
    """
    loss = program(**mended)
    slope, floor, power = least_squares()
    pairs = [(Fraction(w1), Fraction(w2)) for w1, w2 in product(range(-2, 3), repeat=2)]
    shown = [(Fraction(1), slope), (Fraction(-1), slope), (Fraction(-1), -slope), (Fraction(1), Fraction(-1))]
    try:
        agrees = all(loss(w1, w2) == floor + power * (max(w1, 0) * w2 - slope) ** 2 for w1, w2 in pairs)
        losses = [float(loss(w1, w2)) for w1, w2 in shown]
    except (NameError, TypeError) as error:
        return Certificate(False, error=f"{type(error).__name__}: {error}")
    plateau = floor + power * slope**2
    numbers = [round(float(number), 5) for number in (floor, slope, plateau)]
    return Certificate(
        agrees and numbers == [0.20938, 1.94866, 5.68550],
        losses=losses, minimum=float(floor), slope=float(slope), plateau=float(plateau),
    )  # fmt: skip


def test_deck_wording(judge):
    """As shown, with all three mistakes, Python does not know w1."""
    judge(computes_the_loss, weights_given=False, target_given=False, input_first=False).refutes()


def test_claim(judge):
    """On the slide's samples the least loss is 0.20938, where w₁ > 0 and w₁ w₂ = 1.94866; for w₁ ≤ 0 it is 5.68550."""
    judge(computes_the_loss).supports()


def test_control_loss_called_with_one_argument(judge):
    """Python misses the second argument of the loss."""
    judge(computes_the_loss, target_given=False).refutes()


def test_control_arguments_swapped(judge):
    """It runs, and computes x relu(w₂ w₁): at (−1, −a) it reports the minimum where the net's output is zero."""
    judge(computes_the_loss, input_first=False).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """The loss along w₁ with w₂ = −a: with the arguments swapped there is a valley that the net does not have."""
    slope = Fraction(float(measured["claim"]["slope"]))
    grid = [Fraction(step, 20) for step in range(-50, 21)]
    for input_first, label, style in ((True, "w₂ relu(w₁ x)", "C0-"), (False, "arguments swapped", "C1--")):
        loss = program(input_first=input_first)
        draw.curve(ax, grid, [loss(w, -slope) for w in grid], label, style=style)
    ax.set(xlabel=f"w₁ (w₂ = \N{MINUS SIGN}{float(slope):.2f})", ylabel="mean squared error")
    ax.set_ylim(0, 3 * float(measured["claim"]["plateau"]))
    draw.key(ax)
