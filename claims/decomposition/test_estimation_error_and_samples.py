"""The estimation error falls with the number of examples, but not where a model only just fits them all.

Slide: Decomposition of the Error. The estimation error is read as E(f_n) - E(f_F*), with expected risks (see the claim
on the sign of the deck's term). For least squares with p features it is known exactly, on average over the samples:
with more than p + 1 examples every further one helps. With fewer than p there are weights that fit every label, noise
and all. Those of least norm are the usual ones (gradient descent from zero finds them), and from half of p examples on
they get worse with every further one, without bound towards n = p. A penalty on the weights takes that peak away.
"""

import math
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from claimlab import Certificate, Claim, Exact, Rows
from claimlab.data.noisy_sine import evaluation_grid, excess_risk, noisy_sine
from claimlab.measure.least_squares import estimation_error
from claimlab.seeds import Seeds
from claimlab.train.trees import regression_trees

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="decomposition/estimation-error-falls-with-samples",
    covers=("A8",),
    slide="Decomposition of the Error (the trends of the three terms)",
    version=1,
    finding="scoped",
    says="The estimation error decreases when the number n of training examples increases.",
    statement="For least squares with p = 100 independent Gaussian features, true weights of length 1 and noise of "
    "variance 1/4 the mean of E(f_n) - E(f_F*) falls with every example from n = 102 to 800. From n = 50 to 98, where "
    "the weights of least norm fit all labels, it rises with every example. Measured at n = 40, 100 and 400, it falls "
    "by at least a tenth each time with a ridge penalty tuned to the noise, and not without. The excess risk of "
    "regression trees of 16 leaves, grown best first, falls on the noisy sine by at least a tenth from 50 to 400 to "
    "3200 points.",
    reason="More examples average the noise of the labels out. Where a model just reaches zero training error each "
    "further label costs it more than it tells, unless it is regularised (sample-wise double descent).",
    scope="on average over the samples; with fewer parameters than examples, or tuned regularisation",
    source="Breiman & Freedman 1983; Belkin, Hsu & Xu 2020 (arXiv 1903.07571); Nakkiran 2019 (arXiv 1912.07242); "
    "Nakkiran, Venkat, Kakade & Ma 2021 (arXiv 2003.01897) for the penalty",
    evidence=Exact(),
)

FEATURES = 100
NOISE = Fraction(1, 4)
ENOUGH = range(FEATURES + 2, 801)
FEWER_THAN_FEATURES = range(FEATURES // 2, FEATURES - 1)

# -- least squares, in closed form --------------------------------------------------------------------------------


def mean_error(examples: int) -> Fraction | float:
    return estimation_error(examples, FEATURES, noise=NOISE, signal=1)


def falls_with_every_example(examples: range) -> Certificate:
    errors = [mean_error(n) for n in examples]
    falls = [after < before for before, after in pairwise(errors)]
    return Certificate(all(falls), errors=[float(error) for error in errors], falls=sum(falls), steps=len(falls))


def test_claim(judge):
    judge(falls_with_every_example, examples=ENOUGH).supports()


def test_control_fewer_examples_than_features(judge):
    judge(falls_with_every_example, examples=FEWER_THAN_FEATURES).refutes()


# -- measured -----------------------------------------------------------------------------------------------------

LEFT = 0.9  # the share of the error that may be left at the next size


def falls_clearly(errors: Tensor) -> Tensor:
    """Whether each error is at most nine tenths of the one before, bool `[S]` of `[S, sizes]`."""
    return (errors[:, 1:] <= LEFT * errors[:, :-1]).all(dim=1)


SIZES = (40, 100, 400)
TUNED = float(FEATURES * NOISE)  # the noise over the mean square of a true weight: best on average, for every n


def ridge_trial(seeds: Seeds, *, penalty: float = TUNED) -> Rows:
    """Least squares with a penalty on the squared weights; without one, the weights of least norm.

    A seed draws 400 examples and trains on the first 40, the first 100 and all. In float64, because singular values are
    small at n = p. The excess risk of weights v is |v - w|^2.
    """
    seeds = seeds.to(dtype=torch.float64)
    x = seeds.normal("x", SIZES[-1], FEATURES)
    direction = seeds.normal("w", FEATURES, 1)
    w = direction / direction.norm(dim=1, keepdim=True)
    y = x @ w + math.sqrt(NOISE) * seeds.normal("noise", SIZES[-1], 1)
    errors, training_errors = [], []
    for n in SIZES:
        inputs, targets = x[:, :n], y[:, :n]
        u, singular, v = torch.linalg.svd(inputs, full_matrices=False)
        shrunk = (singular / (singular.square() + penalty))[..., None]
        weights = v.mT @ (shrunk * (u.mT @ targets))
        errors.append((weights - w).square().sum(dim=(1, 2)))
        training_errors.append((inputs @ weights - targets).square().mean(dim=(1, 2)))
    error = torch.stack(errors, dim=1)
    return Rows(win=falls_clearly(error), error=error, training_error=torch.stack(training_errors, dim=1))


LEAVES = 16
POINTS = (50, 400, 3200)


def first(sample: Tensor, n: int) -> Tensor:
    """The first n entries of each seed's sample `[S, N]`."""
    return sample[:, :n]


def copies(sample: Tensor, n: int) -> Tensor:
    """As many entries, but of the smallest sample over and over."""
    return first(sample, POINTS[0]).repeat(1, n // POINTS[0])


def tree_trial(seeds: Seeds, *, take: Callable[[Tensor, int], Tensor] = first) -> Rows:
    """Regression trees on 50, 400 and 3200 points of the noisy sine; the risk is integrated, not sampled.

    The class stays the same, so what falls is the estimation error (with what greedy growing leaves of it).
    """
    seeds = seeds.to(dtype=torch.float64)
    x, y = noisy_sine(seeds, "train", POINTS[-1])
    grid = evaluation_grid(seeds)
    outputs = [regression_trees(take(x[..., 0], n), take(y, n), grid[..., 0], leaves=LEAVES) for n in POINTS]
    error = torch.stack([excess_risk(of_size[..., None], grid) for of_size in outputs], dim=1)
    return Rows(win=falls_clearly(error), error=error)


@pytest.mark.statistical
def test_tuned_ridge(judge):
    judge(ridge_trial).supports()


@pytest.mark.statistical
def test_control_without_penalty(judge):
    """With 100 examples, as many as there are features, the error is far larger than with 40."""
    judge(ridge_trial, penalty=0.0).refutes()


@pytest.mark.statistical
def test_trees(judge):
    judge(tree_trial).supports()


@pytest.mark.statistical
def test_control_trees_on_copies(judge):
    """Rows that repeat the first 50 are no further examples."""
    judge(tree_trial, take=copies).refutes()


def figure(measured: "Measured", ax: "Axes") -> None:
    """Learning curves of least squares: the closed form, and the median seed and the middle nine tenths of them."""
    import numpy as np

    for examples in (range(10, FEATURES - 1), ENOUGH):
        label = "least squares, closed form" if examples is ENOUGH else None
        ax.plot(examples, [float(mean_error(n)) for n in examples], color="C1", label=label)
    for name, style, label in (
        ("control_without_penalty", "C1s", "least squares, measured"),
        ("tuned_ridge", "C0o-", "tuned ridge penalty, measured"),
    ):
        low, middle, high = np.quantile(measured[name]["error"], [0.05, 0.5, 0.95], axis=0)
        ax.errorbar(SIZES, middle, yerr=(middle - low, high - middle), fmt=style, capsize=3, label=label)
    ax.axvline(FEATURES, color="0.5", linestyle=":")
    ax.annotate("n = p", (FEATURES, 0.05), xytext=(4, 0), textcoords="offset points", color="0.4")
    ax.set(
        xscale="log", yscale="log", xlabel=f"training examples n (p = {FEATURES} features)", ylabel="estimation error"
    )
    ticks = [10, 20, 40, 100, 200, 400, 800]
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.set_xticks([], minor=True)
    ax.legend(loc="upper left")
