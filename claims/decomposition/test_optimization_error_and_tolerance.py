"""The later gradient descent stops, the smaller the optimisation error, and each halving costs about as many steps.

Slide: Decomposition of the Error. Gradient descent on the training error stops once it is within ρ of the minimum. The
optimisation error, what is left then, can grow with ρ; and what a small ρ costs is measured in steps.

The training error here is a quadratic in two weights, as for a linear model under squared error, with curvatures 1 and
κ along two orthogonal directions, and the step size is 1 / κ. One step multiplies what a direction of curvature λ
contributes by (1 − λ / κ)². Let q = (1 − 1 / κ)². With half of the first gap in the flat direction the gap after t
steps is between qᵗ / 2 and qᵗ of the first gap. Since 1 / κ ≤ −log(1 − 1 / κ) ≤ 1 / (κ − 1) it takes, to come down to
a share ρ of the first gap,

    at most ⌈κ / 2 log(1 / ρ)⌉ steps, and at least (κ − 1) / 2 log(1 / (2ρ)).

The descent is run in rational arithmetic with ρ = 1/2, 1/4, ..., so the bounds are checked with log 2 between two
decimal fractions.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from itertools import pairwise
from math import ceil, isqrt
from typing import TYPE_CHECKING

import pytest

from claimlab import Certificate, Claim, Exact, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="decomposition/optimisation-error-grows-with-the-tolerance",
    covers=("A10",),
    slide="Decomposition of the Error (the trends of the three terms)",
    version=2,
    finding="holds",
    says="When optimisation stops within a tolerance of the minimum, the optimisation error can grow with it.",
    statement=(
        "Gradient descent on a quadratic training error of condition κ, stopped once within ρ of the minimum, leaves a "
        "larger error for every larger tolerance ρ. Every halving of ρ costs it about κ / 2 × log 2 further steps. For "
        "κ = 1 one step ends at the minimum, whatever the tolerance."
    ),
    reason=(
        "Where each step only shrinks the gap, stopping sooner leaves more of it. But this gap is in the training "
        "error: with the true weights half way to the minimum the error on new data first falls and then rises as the "
        "tolerance shrinks, so a coarse tolerance can be the better one."
    ),
    scope="gradient descent on a strongly convex quadratic; the gap to the minimum of the training error",
    source="Bottou & Bousquet 2008, The tradeoffs of large scale learning",
    evidence=Exact(),
)

CONDITIONS = (4, 16, 64)
HALVINGS = 16
LOG_2 = Fraction(69314, 100000), Fraction(69315, 100000)  # log 2 = 0.693147... lies between

Vector = tuple[Fraction, Fraction]

FLAT: Vector = Fraction(3, 5), Fraction(4, 5)
STEEP: Vector = Fraction(-4, 5), Fraction(3, 5)


def dot(a: Vector, b: Vector) -> Fraction:
    return a[0] * b[0] + a[1] * b[1]


def error(w: Vector, kappa: int, *, minimum: Vector = (Fraction(0), Fraction(0))) -> Fraction:
    """A quadratic with curvature 1 along FLAT and kappa along STEEP."""
    d = w[0] - minimum[0], w[1] - minimum[1]
    return (dot(FLAT, d) ** 2 + kappa * dot(STEEP, d) ** 2) / 2


def gradient(w: Vector, kappa: int) -> Vector:
    """Of the training error, whose minimum is at 0."""
    along, across = dot(FLAT, w), kappa * dot(STEEP, w)
    return along * FLAT[0] + across * STEEP[0], along * FLAT[1] + across * STEEP[1]


def start(kappa: int) -> Vector:
    """Half of the first gap is in each direction; kappa is a square."""
    root = isqrt(kappa)
    return root * FLAT[0] + STEEP[0], root * FLAT[1] + STEEP[1]


def descent(kappa: int, *, step: Fraction, momentum: bool) -> Iterator[Vector]:
    """The weights from the start on: gradient descent with step size `step` / kappa, or the heavy ball at its best.

    The heavy ball's best step size and momentum for these curvatures are Polyak's.
    """
    root = isqrt(kappa)
    rate = Fraction(4, (root + 1) ** 2) if momentum else step / kappa
    friction = Fraction(root - 1, root + 1) ** 2 if momentum else Fraction(0)
    before = w = start(kappa)
    while True:
        yield w
        slope = gradient(w, kappa)
        before, w = w, (
            w[0] - rate * slope[0] + friction * (w[0] - before[0]),
            w[1] - rate * slope[1] + friction * (w[1] - before[1]),
        )  # fmt: skip


@cache
def stopped(kappa: int, *, halvings: int, step: Fraction, momentum: bool) -> list[tuple[int, Vector]]:
    """Steps and weights where the gap is first within 1/2, 1/4, ... of what it was at the start."""
    path = enumerate(descent(kappa, step=step, momentum=momentum))
    steps, w = next(path)
    first_gap = error(w, kappa)
    stops = []
    for halving in range(1, halvings + 1):
        while error(w, kappa) > first_gap / 2**halving:
            steps, w = next(path)
        stops.append((steps, w))
    return stops


def errors_left(conditions: tuple[int, ...], halvings: int, truth: Fraction = Fraction(0)) -> Iterator[list[Fraction]]:
    """The errors where descent stops, from the largest tolerance to the smallest, for each condition number.

    The error has its minimum a share `truth` of the way from the training error's minimum to the start: at 0 it is the
    training error itself, elsewhere the expected error on new data when the sample has misled.
    """
    for kappa in conditions:
        first = start(kappa)
        minimum = truth * first[0], truth * first[1]
        stops = stopped(kappa, halvings=halvings, step=Fraction(1), momentum=False)
        yield [error(w, kappa, minimum=minimum) for _, w in stops]


def grows_with_the_tolerance(
    *, conditions: tuple[int, ...] = CONDITIONS, halvings: int = HALVINGS, truth: Fraction = Fraction(0)
) -> Certificate:
    """Whether stopping at a larger tolerance leaves a larger error, for each condition number."""
    errors = [*errors_left(conditions, halvings, truth)]
    grows = all(coarse > fine for row in errors for coarse, fine in pairwise(row))
    return Certificate(grows, conditions=conditions, errors=[[float(e) for e in row] for row in errors])


def falls_and_then_rises(
    *, conditions: tuple[int, ...] = CONDITIONS, halvings: int = HALVINGS, truth: Fraction = Fraction(1, 2)
) -> Certificate:
    """Whether the error first falls and then rises as the tolerance shrinks, each time strictly."""
    errors = [*errors_left(conditions, halvings, truth)]
    best = [row.index(min(row)) for row in errors]
    down_and_up = all(
        0 < least < len(row) - 1
        and all((coarse > fine) == (i < least) for i, (coarse, fine) in enumerate(pairwise(row)))
        for row, least in zip(errors, best, strict=True)
    )
    return Certificate(down_and_up, conditions=conditions, halvings_at_the_least=[least + 1 for least in best])


def costs_kappa_log(
    *,
    conditions: tuple[int, ...] = CONDITIONS,
    halvings: int = HALVINGS,
    step: Fraction = Fraction(1),
    momentum: bool = False,
) -> Certificate:
    """Whether the steps to a share 2^-m of the gap lie between the two bounds of the module's docstring.

    Log 2 is taken too large in the lower bound and too small in the upper one, so what passes here passes with log 2.
    """
    less, more = LOG_2
    steps = {
        kappa: [count for count, _ in stopped(kappa, halvings=halvings, step=step, momentum=momentum)]
        for kappa in conditions
    }
    between = all(
        Fraction(kappa - 1, 2) * (m - 1) * more <= count <= ceil(Fraction(kappa, 2) * m * less)
        for kappa, counts in steps.items()
        for m, count in enumerate(counts, start=1)
    )
    return Certificate(between, conditions=conditions, steps=list(steps.values()))


def test_claim(judge):
    """Step size 1 / κ for κ = 4, 16, 64; each stops first within ρ = 1/2, 1/4, ..., 1/65536 of the first gap."""
    judge(grows_with_the_tolerance).supports()


def test_steps_grow_as_kappa_log(judge):
    """The same descents: at most ⌈κ / 2 log(1 / ρ)⌉ steps, and at least (κ − 1) / 2 log(1 / (2ρ))."""
    judge(costs_kappa_log).supports()


def test_a_coarse_tolerance_can_be_better_on_new_data(judge):
    """The true weights half way between start and minimum: the error on new data falls, and then rises again."""
    judge(falls_and_then_rises).supports()


def test_control_well_conditioned(judge):
    """With κ = 1 the first step ends at the minimum, whatever the tolerance."""
    judge(grows_with_the_tolerance, conditions=(1,)).refutes()


def test_control_error_on_new_data(judge):
    """With the truth half way between start and minimum, to stop early is better than to go on."""
    judge(grows_with_the_tolerance, truth=Fraction(1, 2)).refutes()


def test_control_the_training_error_never_rises(judge):
    judge(falls_and_then_rises, truth=Fraction(0)).refutes()


@pytest.mark.parametrize("step", [Fraction(1, 2), Fraction(3, 2)], ids=["half", "three_halves"])
def test_control_other_step_sizes(judge, step):
    """Half the step size costs more than the upper bound, one and a half times the step size less than the lower."""
    judge(costs_kappa_log, conditions=(4, 16), step=step).refutes()


def test_control_heavy_ball(judge):
    """With momentum the steps grow as the root of κ, and fall short of the lower bound."""
    judge(costs_kappa_log, momentum=True).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Every halving of the tolerance costs gradient descent as many steps again, between its bounds; momentum fewer."""
    halvings = range(1, HALVINGS + 1)
    rho = [2.0**-m for m in halvings]
    log_2 = float(LOG_2[1])
    ax.set_xscale("log", base=2)
    for kappa, steps in zip(CONDITIONS, measured["steps_grow_as_kappa_log"]["steps"], strict=True):
        low = [(kappa - 1) / 2 * (m - 1) * log_2 for m in halvings]
        draw.band(ax, rho, low, [ceil(kappa / 2 * m * log_2) for m in halvings], style="C0")
        draw.curve(ax, rho, steps, "gradient descent, between its bounds")
        ax.annotate(f"κ = {kappa}", (rho[-1], steps[-1]), (8, 0), textcoords="offset points", va="center", color="0.4")
    heavy_ball = measured["control_heavy_ball"]["steps"][-1]
    draw.curve(ax, rho, heavy_ball, f"heavy ball, κ = {CONDITIONS[-1]} (control)")
    ax.set(xlim=(0.7, rho[-1] / 8), xlabel="tolerance ρ, as a share of the first gap", ylabel="steps")
    ax.legend(loc="upper left")
