"""The estimation error falls with the number of examples, but not where a model only just fits them all.

Slide: Decomposition of the Error. The estimation error is read as E(fₙ) − E(f_F*), with expected risks (see the claim
on the sign of the deck's term). For least squares with p features it is known exactly, on average over the samples:
with more than p + 1 examples every further one helps. With fewer than p there are weights that fit every label, noise
and all. Those of least norm are the usual ones (gradient descent from zero finds them), and from half of p examples on
they get worse with every further one, without bound towards n = p. A penalty on the weights takes that peak away.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from claimlab import Certificate, Claim, Exact, Rows, Seeds, draw
from claimlab.data.noisy_sine import evaluation_grid, excess_risk, noisy_sine
from claimlab.measure.least_squares import drawn_errors, estimation_error
from claimlab.train.trees import regression_trees

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="decomposition/estimation-error-falls-with-samples",
    covers=("A8",),
    slide="Decomposition of the Error (the trends of the three terms)",
    version=3,
    finding="scoped",
    says="The estimation error decreases when the number n of training examples increases.",
    statement="With a hundred features the mean estimation error of least squares falls with every example from "
    "n = 102 to 800. From n = 50 to 98, where the weights of least norm fit all labels, it rises with every example; "
    "with a tuned ridge penalty more examples help there, too. Regression trees of sixteen leaves do better with more "
    "points.",
    reason="More examples average the noise of the labels out. Where a model just reaches zero training error each "
    "further label costs it more than it tells, unless it is regularised (sample-wise double descent).",
    scope="on average over the samples; with fewer parameters than examples, or tuned regularisation",
    source="Breiman & Freedman 1983; Belkin, Hsu & Xu 2020 (arXiv 1903.07571); Nakkiran 2019 (arXiv 1912.07242); "
    "Nakkiran, Venkat, Kakade & Ma 2021 (arXiv 2003.01897) for the penalty",
    evidence=Exact(),
)

# Independent Gaussian features, true weights of length 1, and the variance of the noise.
FEATURES, NOISE = 100, Fraction(1, 4)
ENOUGH, FEWER = range(102, 801), range(50, 99)  # examples, for the hundred features

# The share of the error that may be left at the next size, where it is said to fall.
LEFT = 0.9

# A formula is right if it is off by little more than half of what one degree of freedom more would change.
CLOSE = 0.07

# -- least squares, in closed form --------------------------------------------------------------------------------


def mean_error(examples: int, features: int = FEATURES) -> Fraction | float:
    return estimation_error(examples, features, noise=NOISE, signal=1)


def every_example_tells(*, examples: range, lowers: bool = True, features: int = FEATURES) -> Certificate:
    """Whether the mean error falls (or else rises) with every further example."""
    errors = [mean_error(n, features) for n in examples]
    falls = [after < before for before, after in pairwise(errors)]
    rises = [after > before for before, after in pairwise(errors)]
    return Certificate(
        all(falls if lowers else rises), errors=[float(error) for error in errors], falls=sum(falls), steps=len(falls)
    )


def test_claim(judge):
    """Independent Gaussian features, true weights of length 1, noise of variance 1/4; n = 102 to 800."""
    judge(every_example_tells, examples=ENOUGH).supports()


def test_it_rises_towards_as_many_examples_as_features(judge):
    """The same features and noise; n = 50 to 98, by the weights of least norm."""
    judge(every_example_tells, examples=FEWER, lowers=False).supports()


def test_control_fewer_examples_than_features(judge):
    judge(every_example_tells, examples=FEWER).refutes()


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


# -- with a penalty, and trees ------------------------------------------------------------------------------------


def falls_clearly(errors: Tensor) -> Tensor:
    """Whether each error is at most nine tenths of the one before, bool `[S]` of `[S, sizes]`."""
    return (errors[:, 1:] <= LEFT * errors[:, :-1]).all(dim=1)


def ridge_trial(
    seeds: Seeds, *, penalty: float | None = None, sizes: tuple[int, ...] = (40, 100, 400), features: int = FEATURES
) -> Rows:
    """Least squares with a penalty on the squared weights; with zero, the weights of least norm.

    A seed draws as many examples as the largest size has and trains on the first of them. If no penalty is named it is
    the noise over the mean square of a true weight, best on average for every n. In float64, because singular values
    are small at n = p. The excess risk of weights v is |v − w|².
    """
    penalty = float(features * NOISE) if penalty is None else penalty
    x = seeds.normal("x", sizes[-1], features)
    direction = seeds.normal("w", features, 1)
    w = direction / direction.norm(dim=1, keepdim=True)
    y = x @ w + math.sqrt(NOISE) * seeds.normal("noise", sizes[-1], 1)
    errors, training_errors = [], []
    for n in sizes:
        inputs, targets = x[:, :n], y[:, :n]
        u, singular, v = torch.linalg.svd(inputs, full_matrices=False)
        shrunk = (singular / (singular.square() + penalty))[..., None]
        weights = v.mT @ (shrunk * (u.mT @ targets))
        errors.append((weights - w).square().sum(dim=(1, 2)))
        training_errors.append((inputs @ weights - targets).square().mean(dim=(1, 2)))
    error = torch.stack(errors, dim=1)
    return Rows(win=falls_clearly(error), error=error, training_error=torch.stack(training_errors, dim=1))


Take = Callable[[Tensor, tuple[int, ...], int], Tensor]
"""What is trained on of each seed's sample `[S, N]`, of the sizes given, at one of them."""


def first(sample: Tensor, sizes: tuple[int, ...], n: int) -> Tensor:
    """The first n entries."""
    return sample[:, :n]


def copies(sample: Tensor, sizes: tuple[int, ...], n: int) -> Tensor:
    """As many entries, but of the smallest sample over and over."""
    return sample[:, : sizes[0]].repeat(1, n // sizes[0])


def tree_trial(seeds: Seeds, *, take: Take = first, sizes: tuple[int, ...] = (50, 400, 3200), leaves: int = 16) -> Rows:
    """Regression trees on points of the noisy sine; the risk is integrated, not sampled.

    The class stays the same, so what falls is the estimation error (with what greedy growing leaves of it).
    """
    x, y = noisy_sine(seeds, "train", sizes[-1])
    grid = evaluation_grid(seeds)
    outputs = [
        regression_trees(take(x[..., 0], sizes, n), take(y, sizes, n), grid[..., 0], leaves=leaves) for n in sizes
    ]
    error = torch.stack([excess_risk(of_size[..., None], grid) for of_size in outputs], dim=1)
    return Rows(win=falls_clearly(error), error=error)


@pytest.mark.statistical(dtype="float64")
def test_tuned_ridge(judge):
    """On 40, 100 and 400 examples, penalty p times the noise: at most nine tenths of the error is left each time."""
    judge(ridge_trial).supports()


@pytest.mark.statistical(dtype="float64")
def test_control_without_penalty(judge):
    """With 100 examples, as many as there are features, the error is far larger than with 40."""
    judge(ridge_trial, penalty=0.0).refutes()


@pytest.mark.statistical(dtype="float64")
def test_trees(judge):
    """Grown best first on 50, 400 and 3200 points of the noisy sine: at most nine tenths are left each time."""
    judge(tree_trial).supports()


@pytest.mark.statistical(dtype="float64")
def test_control_trees_on_copies(judge):
    """Rows that repeat the first 50 are no further examples."""
    judge(tree_trial, take=copies).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Without a tuned penalty more examples harm least squares before n = p (medians and middle 90 % of the seeds)."""
    draw.numbers(ax.xaxis, [10, 20, 40, 100, 200, 400, 800], log=True)
    ax.set_yscale("log")
    for examples in (range(10, FEATURES - 1), ENOUGH):
        draw.reference(ax, examples, mean_error, "least squares, closed form", style="-")
    for test, label, style in (
        ("tuned_ridge", "tuned ridge penalty", ""),
        ("control_without_penalty", "no penalty (control)", "C1s"),
    ):
        draw.spread(ax, (40, 100, 400), measured[test]["error"], label, style=style, middle=0.9, whiskers=True)
    draw.upright(ax, FEATURES, "n = p")
    ax.set(xlabel="training examples n (p = 100 features)", ylabel="estimation error")
    ax.legend(loc="upper left")
