"""A larger class can have a larger estimation error, and need not.

Slide: Decomposition of the Error, which says "can", and gives VC theory as the reason. That theory bounds the
estimation error from above, by something that grows with the class. A bound that grows is no error that grows, so what
is tested is an example, exactly: with every feature that least squares is given, it loses more on new examples. The
estimation error is read as E(f_n) - E(f_F*), with expected risks (see the claim on the sign of the deck's term).

The controls are nested classes whose estimation error falls: one gets the truth added to it, the other has more
features than there are examples already, and spreads the noise over more of them.
"""

import math
from fractions import Fraction
from itertools import pairwise, product
from typing import TYPE_CHECKING

from claimlab import Certificate, Claim, Exact
from claimlab.measure.least_squares import estimation_error
from claimlab.measure.risks import Distribution, Predictor, best, distribution, erm, expected, risk, zero_one

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="decomposition/estimation-error-can-grow-with-the-class",
    covers=("A9",),
    slide="Decomposition of the Error (the trends of the three terms)",
    version=1,
    finding="holds",
    says="The estimation error can increase when the class of hypotheses increases.",
    statement="Least squares on n = 100 examples with p independent Gaussian features, of which the first one matters, "
    "and noise of variance 1: the mean of E(f_n) - E(f_F*) is p / (n - p - 1) and rises with every feature from p = 1 "
    "to 98. For labels that are 0 three times in four whatever the input, and six examples, it rises from one constant "
    "to both constants to all eight functions of three inputs (0-1 loss). It falls from p = 102 to 400 features, and "
    "when the truth is added to a class of two wrong functions.",
    reason="More predictors give the noise more to choose from. But it is not a rule: a larger class can also hold one "
    "that is easier to tell from the rest, or average the noise out. VC theory bounds the error from above and only "
    "the bound must grow.",
    scope="existence; nested classes that all hold the best predictor, except in the control that adds it",
    source="Breiman & Freedman 1983; Belkin, Hsu & Xu 2020 (arXiv 1903.07571) for more features than examples",
    evidence=Exact(),
)

EXAMPLES = 100
FEATURES = range(1, EXAMPLES - 1)
MORE_FEATURES_THAN_EXAMPLES = range(EXAMPLES + 2, 4 * EXAMPLES + 1)


def grows(errors: list[Fraction | float]) -> Certificate:
    """Whether the estimation error of each class is finite and larger than that of the one inside it."""
    return Certificate(
        errors[0] >= 0 and errors[-1] < math.inf and all(small < large for small, large in pairwise(errors)),
        errors=[float(error) for error in errors],
    )


def with_features(features: range) -> Certificate:
    """Least squares on the first p features, for every p; the true weights are (1, 0, 0, ...)."""
    return grows([estimation_error(EXAMPLES, p, noise=1, signal=1) for p in features])


def in_finite_classes(law: Distribution, classes: list[list[Predictor]], examples: int) -> Certificate:
    """Classes one inside the other, all samples enumerated. Of predictors that are as good the first is trained."""
    assert all({*small} < {*large} for small, large in pairwise(classes))

    def mean_estimation_error(predictors: list[Predictor]) -> Fraction:
        trained = expected(
            lambda sample: risk(erm(predictors, sample, loss=zero_one), law, loss=zero_one), law, examples
        )
        return trained - risk(best(predictors, law, loss=zero_one), law, loss=zero_one)

    return grows([mean_estimation_error(predictors) for predictors in classes])


def test_claim(judge):
    """Least squares, with one more feature at a time."""
    judge(with_features, features=FEATURES).supports()


def test_finite_classes(judge):
    """The label is 0 three times in four, whatever the input; the class is one constant, both, or all functions."""
    law = distribution({(x, y): 3 - 2 * y for x, y in product(range(3), range(2))})
    constants = [(0, 0, 0), (1, 1, 1)]
    judge(
        in_finite_classes, law=law, classes=[constants[:1], constants, [*product((0, 1), repeat=3)]], examples=6
    ).supports()


def test_control_truth_added(judge):
    """The label is always 0. Two wrong functions can be mistaken for one another, and neither for the truth."""
    law = distribution({(x, 0): 1 for x in range(3)})
    wrong = [(1, 0, 0), (0, 1, 1)]
    judge(in_finite_classes, law=law, classes=[wrong, [(0, 0, 0), *wrong]], examples=2).refutes()


def test_control_more_features_than_examples(judge):
    """The interpolating weights of least norm spread the noise over all features, the more the better."""
    judge(with_features, features=MORE_FEATURES_THAN_EXAMPLES).refutes()


def figure(measured: "Measured", ax: "Axes") -> None:
    """The estimation error of least squares against the number of features."""
    for name, features, color, label in (
        ("claim", FEATURES, "C0", "fewer features than examples"),
        ("control_more_features_than_examples", MORE_FEATURES_THAN_EXAMPLES, "C1", "more, least norm (control)"),
    ):
        ax.plot(features, measured[name]["errors"], color=color, label=label)
    ax.axvline(EXAMPLES, color="0.5", linestyle=":")
    ax.annotate("n = p", (EXAMPLES, 0.02), xytext=(4, 0), textcoords="offset points", color="0.4")
    ax.set(
        xscale="log", yscale="log", xlabel=f"features p (n = {EXAMPLES} examples)", ylabel="estimation error / noise"
    )
    ticks = [1, 3, 10, 30, 100, 400]
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.set_xticks([], minor=True)
    ax.legend(loc="upper left")
