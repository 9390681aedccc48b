"""The trained model is the one with the least empirical risk, and an early stop leaves less than its tolerance.

Slide: Decomposition of the Error. fₙ is the minimiser of the empirical risk Eₙ in a class. An optimizer that stops
within a tolerance ρ finds f̃ₙ with Eₙ(f̃ₙ) < Eₙ(fₙ) + ρ; the difference is the optimization error. All of this is
definition, so what is checked is that it can be met: by enumeration in finite classes, and by least squares and
gradient descent on a line through the origin, where

    Eₙ(w) = Eₙ(wₙ) + s (w − wₙ)²,    wₙ = mean(x y) / mean(x²),    s = mean(x²),

and gradient descent from zero comes nearer by the same factor with every step and never arrives. On new examples
nothing of it is left: there f̃ₙ may well beat fₙ.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from statistics import mean
from typing import TYPE_CHECKING

import pytest
from hypothesis import strategies as st

from claimlab import Certificate, Claim, Property, draw
from claimlab.measure.risks import (
    Distribution,
    Predictor,
    Sample,
    distribution,
    empirical_risk,
    erm,
    risk,
    samples,
    squared,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="decomposition/erm-is-the-argmin",
    covers=("A3",),
    slide="Decomposition of the Error",
    version=2,
    finding="holds",
    says="Empirical risk minimisation finds the predictor of a class with the least empirical risk; an optimizer with "
    "a tolerance ρ finds one whose empirical risk is less than ρ above it.",
    statement="In any finite class fₙ has the least empirical risk, and whatever an optimizer with tolerance ρ may "
    "return is less than ρ above it. On a line, least squares is the minimiser among all weights, and gradient descent "
    "stops above it, by less than ρ.",
    reason="It is the definition of fₙ and of the tolerance. It bounds the empirical risk only: on new examples the "
    "model that was stopped early can be the better one, or the worse one by more than ρ.",
    scope="classes where the minimum is attained and can be found; squared loss, in rational arithmetic",
    source="the definition; Bottou & Bousquet 2008 (The Tradeoffs of Large Scale Learning, NIPS 2007)",
    evidence=Property(examples=40),
)

# -- finite classes, by enumeration -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Finite:
    """A law of the examples, a class and a tolerance."""

    law: Distribution
    predictors: tuple[Predictor, ...]
    tolerance: Fraction


def on_the_sample(world: Finite, f: Predictor, sample: Sample) -> Fraction:
    return empirical_risk(f, sample, loss=squared)


def on_new_examples(world: Finite, f: Predictor, sample: Sample) -> Fraction:
    return risk(f, world.law, loss=squared)


def tolerance_bounds_the_error(
    world: Finite, *, measure: Callable[[Finite, Predictor, Sample], Fraction] = on_the_sample, examples: int = 2
) -> Certificate:
    """Whether, on every sample, all that an optimizer may return is 0 to ρ worse than fₙ.

    It may return whatever is less than ρ above fₙ on the sample, and so whatever would be better than fₙ there.
    """
    errors: list[Fraction] = []
    for sample, _ in samples(world.law, examples):
        f_n = erm(world.predictors, sample, loss=squared)
        good_enough = on_the_sample(world, f_n, sample) + world.tolerance
        may_return = [f for f in world.predictors if on_the_sample(world, f, sample) < good_enough]
        errors += [measure(world, f, sample) - measure(world, f_n, sample) for f in may_return]
    return Certificate(min(errors) >= 0 and max(errors) < world.tolerance, least=min(errors), greatest=max(errors))


# -- a line through the origin, by least squares and by gradient descent ------------------------------------------


@dataclass(frozen=True)
class Line:
    """A sample of pairs (x, y) with a slope that is not zero, and a tolerance."""

    sample: tuple[tuple[int, int], ...]
    tolerance: Fraction


def training_error(world: Line, w: Fraction) -> Fraction:
    return mean((w * x - y) ** 2 for x, y in world.sample)


def least_squares(world: Line) -> Fraction:
    return mean(Fraction(x * y) for x, y in world.sample) / mean(Fraction(x * x) for x, _ in world.sample)


def gradient_descent(world: Line) -> list[Fraction]:
    """The weights from zero on, until the training error is less than the tolerance above the least.

    The step is a quarter of 1 / mean(x²), with which every step halves the distance to the minimum.
    """
    rate = Fraction(1, 4) / mean(Fraction(x * x) for x, _ in world.sample)
    least = training_error(world, least_squares(world))
    weights = [Fraction(0)]
    while training_error(world, weights[-1]) >= least + world.tolerance:
        gradient = mean(2 * x * (weights[-1] * x - y) for x, y in world.sample)
        weights.append(weights[-1] - rate * gradient)
    return weights


def is_the_minimiser(world: Line, *, train: Callable[[Line], Fraction] = least_squares) -> Certificate:
    """Whether no weight at all has a lower training error, and gradient descent stops above it, within the tolerance.

    The training error is a polynomial of degree two in w. One that has the same value at w - 1 and w + 1, and a lower
    one at w, has its minimum at w.
    """
    w = train(world)
    here, left, right = (training_error(world, w + step) for step in (0, -1, 1))
    stopped = gradient_descent(world)[-1]
    gap = training_error(world, stopped) - here
    return Certificate(left == right > here and 0 < gap < world.tolerance, w=w, stopped_at=stopped, gap=gap)


# -- the worlds ---------------------------------------------------------------------------------------------------


def tolerances() -> st.SearchStrategy[Fraction]:
    return st.sampled_from([Fraction(1, count) for count in (1, 4, 10, 100)])


def finite_worlds() -> st.SearchStrategy[Finite]:
    labels = range(3)
    law = st.dictionaries(st.sampled_from([*product(range(2), labels)]), st.integers(1, 4), min_size=1, max_size=4)
    predictors = st.lists(st.sampled_from([*product(labels, labels)]), min_size=1, max_size=5, unique=True)
    return st.builds(Finite, law=law.map(distribution), predictors=predictors.map(tuple), tolerance=tolerances())


def lines() -> st.SearchStrategy[Line]:
    points = st.tuples(st.integers(-3, 3), st.integers(-3, 3))
    sample = st.lists(points, min_size=1, max_size=4).map(tuple).filter(lambda sample: sum(x * y for x, y in sample))
    return st.builds(Line, sample=sample, tolerance=tolerances())


def test_claim(judge):
    """On every sample of two; two inputs, three labels, one to five predictors, ρ from 1/100 to 1."""
    judge(tolerance_bounds_the_error, given=finite_worlds()).supports()


@pytest.mark.exact
def test_control_on_new_examples(judge):
    """A label 0 and a label 1 cannot tell the constants apart; where three labels in four are 0, one is worse."""
    law = distribution({(0, 0): 3, (0, 1): 1})
    world = Finite(law=law, predictors=((0, 0), (1, 1)), tolerance=Fraction(1, 100))
    judge(tolerance_bounds_the_error, world=world, measure=on_new_examples).refutes()


def test_least_squares_on_a_line(judge):
    """For y = w x and one to four points: gradient descent from zero stops with a gap between 0 and ρ, never at 0."""
    judge(is_the_minimiser, given=lines()).supports()


def test_control_gradient_descent_stopped_early(judge):
    """What gradient descent returns is within the tolerance and still not the minimiser."""
    judge(
        is_the_minimiser,
        given=lines(),
        example=Line(sample=((1, 1),), tolerance=Fraction(1)),
        train=lambda world: gradient_descent(world)[-1],
    ).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Gradient descent halves its distance to the least-squares weight with every step, and stops within ρ of it."""
    world = Line(sample=((1, 2), (2, 3), (-1, -1)), tolerance=Fraction(1, 10))
    w_n, weights = least_squares(world), gradient_descent(world)
    least = training_error(world, w_n)
    ax.axhspan(float(least), float(least + world.tolerance), color="0.88", label="less than ρ above the least")
    draw.reference(ax, [Fraction(step, 50) for step in range(-5, 151)], lambda w: training_error(world, w), style="-")
    errors = [training_error(world, w) for w in weights]
    draw.curve(ax, weights, errors, "gradient descent", style="C1o")
    draw.curve(ax, [w_n], [least], "least squares, the minimiser", style="C0D")
    stop = float(weights[-1]), float(errors[-1])
    ax.annotate("stops here", stop, (stop[0] - 0.15, stop[1] + 0.9),
                ha="center", arrowprops={"arrowstyle": "->", "color": "0.3"})  # fmt: skip
    ax.set(xlabel="weight w", ylabel="empirical risk", ylim=(0, None))
    ax.legend(loc="upper center")
