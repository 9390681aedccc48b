"""A larger class can have a larger estimation error, and need not.

Slide: Decomposition of the Error, which says "can", and gives VC theory as the reason. That theory bounds the
estimation error from above, by something that grows with the class. A bound that grows is no error that grows, so what
is tested is an example, exactly: with every feature that least squares is given, it loses more on new examples. The
estimation error is read as E(fₙ) − E(f_F*), with expected risks (see the claim on the sign of the deck's term).

The controls are nested classes whose estimation error falls: one gets the truth added to it, the other has more
features than there are examples already, and spreads the noise over more of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any

import pytest
import torch

from claimlab import Certificate, Claim, Exact, Rows, Seeds, draw
from claimlab.measure.least_squares import drawn_errors, estimation_error
from claimlab.measure.risks import Distribution, Predictor, best, distribution, erm, expected, risk, zero_one

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="decomposition/estimation-error-can-grow-with-the-class",
    covers=("A9",),
    slide="Decomposition of the Error (the trends of the three terms)",
    version=3,
    finding="holds",
    says="The estimation error can increase when the class of hypotheses increases.",
    statement="The estimation error of least squares on a hundred examples, p / (n − p − 1) times the noise on "
    "average, rises with every useless feature up to p = 98. It rises from one constant to both to all functions of "
    "the input, too. But it falls beyond 101 features, and when the truth is added to two wrong functions.",
    reason="More predictors give the noise more to choose from. But it is not a rule: a larger class can also hold one "
    "that is easier to tell from the rest, or average the noise out. VC theory bounds the error from above and only "
    "the bound must grow.",
    scope="existence; averages over the samples; nested classes that all hold the best predictor, except where it is "
    "added",
    source="Breiman & Freedman 1983; Belkin, Hsu & Xu 2020 (arXiv 1903.07571) for more features than examples",
    evidence=Exact(),
)

# A formula is right if it is off by little more than half of what one degree of freedom more would change.
CLOSE = 0.07

# -- least squares, in closed form --------------------------------------------------------------------------------

FEWER, MORE = range(1, 99), range(102, 401)  # features than the hundred examples


def each_larger_class_has(more: bool, errors: list[Fraction | float]) -> Certificate:
    """Whether the estimation error of each class is finite, and larger (or smaller) than that of the one inside it."""
    finite = all(0 <= error < math.inf for error in errors)
    return Certificate(
        finite and all(small < large if more else small > large for small, large in pairwise(errors)),
        errors=[float(error) for error in errors],
    )


def with_features(*, features: range, more: bool = True, examples: int = 100) -> Certificate:
    """Least squares on the first p features, for every p: true weights (1, 0, 0, ...), noise of variance 1."""
    return each_larger_class_has(more, [estimation_error(examples, p, noise=1, signal=1) for p in features])


def test_claim(judge):
    """Least squares on 100 examples with 1 to 98 independent Gaussian features, of which the first matters."""
    judge(with_features, features=FEWER).supports()


def test_it_falls_with_more_features_than_examples(judge):
    """From 102 to 400 features for 100 examples: the weights of least norm spread the noise over all features."""
    judge(with_features, features=MORE, more=False).supports()


def test_control_more_features_than_examples(judge):
    """The interpolating weights of least norm spread the noise over all features, the more the better."""
    judge(with_features, features=MORE).refutes()


# -- least squares itself -----------------------------------------------------------------------------------------

Formula = Callable[..., Fraction | float]


def least_squares(seeds: Seeds, *, formula: Formula = estimation_error) -> Rows:
    """Whether the error is what a formula says, on average over 4000 samples of a seed, on both sides of n = p.

    12 examples with 6 features, and 6 with 12, where the weights are those of least norm; noise of variance 2. The
    standard errors are about 1.7 % and 1.5 %.
    """
    sizes = ((12, 6), (6, 12))
    errors = torch.stack([drawn_errors(seeds, *size, noise=2)[0] for size in sizes], dim=1)
    said = errors.new_tensor([float(formula(*size, noise=2, signal=1)) for size in sizes])
    return Rows(win=((errors / said - 1).abs() <= CLOSE).all(dim=1), error=errors)


def one_degree_more(n: int, p: int, *, noise: Fraction, signal: int) -> Fraction | float:
    """A formula in the claim's favour, which falls and rises where the right one does: |n − p| in place of one less."""
    return estimation_error(n, p, noise=noise * Fraction(abs(n - p) - 1, abs(n - p)), signal=signal)


@pytest.mark.statistical(dtype="float64", block=11)
def test_least_squares_does_as_the_formula_says(judge):
    """Means of 4000 samples of 12 examples with 6 features, and of 6 with 12, are less than 7 % from the formula."""
    judge(least_squares).supports()


@pytest.mark.statistical(dtype="float64", block=11)
def test_control_one_degree_more(judge):
    judge(least_squares, formula=one_degree_more).refutes()


# -- finite classes, all samples enumerated -----------------------------------------------------------------------


def in_finite_classes(
    *, law: Distribution, classes: list[list[Predictor]], examples: int, more: bool = True
) -> Certificate:
    """Classes one inside the other, all samples enumerated. Of predictors that are as good the first is trained."""
    assert all({*small} < {*large} for small, large in pairwise(classes))

    def mean_estimation_error(predictors: list[Predictor]) -> Fraction:
        trained = expected(
            lambda sample: risk(erm(predictors, sample, loss=zero_one), law, loss=zero_one), law, examples
        )
        return trained - risk(best(predictors, law, loss=zero_one), law, loss=zero_one)

    return each_larger_class_has(more, [mean_estimation_error(predictors) for predictors in classes])


def truth_added() -> dict[str, Any]:
    """The label is always 0. Two wrong functions can be mistaken for one another, and neither for the truth."""
    wrong = [(1, 0, 0), (0, 1, 1)]
    law = distribution({(x, 0): 1 for x in range(3)})
    return {"law": law, "classes": [wrong, [(0, 0, 0), *wrong]], "examples": 2}


def test_finite_classes(judge):
    """Six examples, 0-1 loss; the label is 0 three times in four, whichever of three values the input has.

    The class is one constant, both constants, and all eight functions of the input.
    """
    law = distribution({(x, y): 3 - 2 * y for x, y in product(range(3), range(2))})
    constants = [(0, 0, 0), (1, 1, 1)]
    classes = [constants[:1], constants, [*product((0, 1), repeat=3)]]
    judge(in_finite_classes, law=law, classes=classes, examples=6).supports()


def test_it_falls_when_the_truth_is_added(judge):
    """Two examples, 0-1 loss, three values of the input, the label 0, and the class (1, 0, 0), (0, 1, 1)."""
    judge(in_finite_classes, **truth_added(), more=False).supports()


def test_control_truth_added(judge):
    judge(in_finite_classes, **truth_added()).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """The estimation error of least squares rises with the features until there are as many as examples, then falls."""
    draw.numbers(ax.xaxis, [1, 3, 10, 30, 100, 400], log=True)
    ax.set_yscale("log")
    draw.curve(ax, FEWER, measured["claim"]["errors"], "fewer features than examples", marks=False)
    more = measured["control_more_features_than_examples"]["errors"]
    draw.curve(ax, MORE, more, "more, least norm (control)", marks=False)
    draw.upright(ax, 100, "n = p", left=True)
    ax.set(xlabel="features p (n = 100 examples)", ylabel="estimation error / noise")
    ax.legend(loc="upper left")
