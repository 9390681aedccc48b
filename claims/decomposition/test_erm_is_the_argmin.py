"""The trained model is the one with the least empirical risk, and an early stop leaves less than its tolerance.

Slide: Decomposition of the Error. f_n is the minimiser of the empirical risk E_n in a class. An optimizer that stops
within a tolerance rho finds f~_n with E_n(f~_n) < E_n(f_n) + rho; the difference is the optimization error. All of this
is definition, so what is checked is that it can be met: by enumeration in finite classes, and by least squares and
gradient descent on a line through the origin, where

    E_n(w) = E_n(w_n) + s (w - w_n)^2,    w_n = mean(x y) / mean(x^2),    s = mean(x^2),

and gradient descent from zero comes nearer by the same factor with every step and never arrives. On new examples
nothing of it is left: there f~_n may well beat f_n.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from statistics import mean
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from claimlab import Certificate, Claim, Property
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
    version=1,
    finding="holds",
    says="Empirical risk minimisation finds the predictor of a class with the least empirical risk; an optimizer with "
    "a tolerance rho finds one whose empirical risk is less than rho above it.",
    statement="In random finite classes, on every sample of two examples, no predictor has a lower empirical risk than "
    "f_n, and those an optimizer with tolerance rho may return have an optimization error in [0, rho), squared loss. "
    "For y = w x the least-squares weight is the minimiser among all weights, and gradient descent from zero, stopped "
    "when its gap is below rho, has a gap in (0, rho). Exactly, in rational arithmetic.",
    reason="It is the definition of f_n and of the tolerance. It bounds the empirical risk only: on new examples the "
    "model that was stopped early can be the better one, or the worse one by more than rho.",
    scope="classes where the minimum is attained and can be found",
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
    world: Finite, measure: Callable[[Finite, Predictor, Sample], Fraction] = on_the_sample
) -> Certificate:
    """Whether, on every sample of two, all that an optimizer may return is 0 to rho worse than f_n.

    It may return whatever is less than rho above f_n on the sample, and so whatever would be better than f_n there.
    """
    errors: list[Fraction] = []
    for sample, _ in samples(world.law, 2):
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

    The step is a quarter of mean(x^2)^-1, with which every step halves the distance to the minimum.
    """
    rate = Fraction(1, 4) / mean(Fraction(x * x) for x, _ in world.sample)
    least = training_error(world, least_squares(world))
    weights = [Fraction(0)]
    while training_error(world, weights[-1]) >= least + world.tolerance:
        gradient = mean(2 * x * (weights[-1] * x - y) for x, y in world.sample)
        weights.append(weights[-1] - rate * gradient)
    return weights


def is_the_minimiser(world: Line, train: Callable[[Line], Fraction] = least_squares) -> Certificate:
    """Whether no weight at all has a lower training error, and gradient descent stops above it, within the tolerance.

    The training error is a polynomial of degree two in w. One that has the same value at w - 1 and w + 1, and a lower
    one at w, has its minimum at w.
    """
    w = train(world)
    here, left, right = (training_error(world, w + step) for step in (0, -1, 1))
    stopped = gradient_descent(world)[-1]
    gap = training_error(world, stopped) - here
    return Certificate(left == right > here and 0 < gap < world.tolerance, w=w, stopped_at=stopped, gap=gap)


LABELS = range(3)
EXAMPLES = st.sampled_from(list(product(range(2), LABELS)))
PREDICTORS = st.sampled_from(list(product(LABELS, LABELS)))
TOLERANCES = st.sampled_from([Fraction(1, count) for count in (1, 4, 10, 100)])
FINITE = st.builds(
    Finite,
    law=st.dictionaries(EXAMPLES, st.integers(1, 4), min_size=1, max_size=4).map(distribution),
    predictors=st.lists(PREDICTORS, min_size=1, max_size=5, unique=True).map(tuple),
    tolerance=TOLERANCES,
)
POINTS = st.tuples(st.integers(-3, 3), st.integers(-3, 3))
LINES = st.builds(
    Line,
    sample=st.lists(POINTS, min_size=1, max_size=4).map(tuple).filter(lambda sample: sum(x * y for x, y in sample)),
    tolerance=TOLERANCES,
)


def test_claim(judge):
    judge(tolerance_bounds_the_error, given=FINITE).supports()


def test_control_on_new_examples(judge):
    """There, what the optimizer returns can be better than f_n, and can be worse by more than the tolerance."""
    judge(tolerance_bounds_the_error, given=FINITE, measure=on_new_examples).refutes()


def test_least_squares_on_a_line(judge):
    judge(is_the_minimiser, given=LINES).supports()


def test_control_gradient_descent_stopped_early(judge):
    """What gradient descent returns is within the tolerance and still not the minimiser."""
    judge(is_the_minimiser, given=LINES, train=lambda world: gradient_descent(world)[-1]).refutes()


def figure(measured: "Measured", ax: "Axes") -> None:
    """The training error of a line on three points, and the weights of gradient descent until it stops."""
    world = Line(sample=((1, 2), (2, 3), (-1, -1)), tolerance=Fraction(1, 10))
    w_n, weights = least_squares(world), gradient_descent(world)
    least = float(training_error(world, w_n))
    grid = [Fraction(step, 50) for step in range(-5, 151)]
    ax.plot([float(w) for w in grid], [float(training_error(world, w)) for w in grid], color="0.5")
    ax.axhspan(least, least + float(world.tolerance), color="0.88", label="less than rho above the least")
    errors = [float(training_error(world, w)) for w in weights]
    ax.plot([float(w) for w in weights], errors, "o", color="C1", label="gradient descent")
    ax.plot(float(w_n), least, "D", color="C0", label="least squares, the minimiser")
    ax.annotate("stops here", (float(weights[-1]), errors[-1]), (float(weights[-1]) - 0.15, errors[-1] + 0.9),
                ha="center", arrowprops={"arrowstyle": "->", "color": "0.3"})  # fmt: skip
    ax.set(xlabel="weight w", ylabel="empirical risk", ylim=(0, None))
    ax.legend(loc="upper center")
