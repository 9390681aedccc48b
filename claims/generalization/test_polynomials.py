"""A polynomial of high degree goes astray on a few samples, and on most is as good as one of low degree.

Slide: Polynomial regression. The deck's sample of 200 points is fitted with polynomials of degree 0 to 25, and at 25
the error of 5-fold cross-validation explodes. The deck's own table, recomputed below, says what the figure hides: 1.08
is the mean of five folds whose standard deviation is 1.85. Four of the folds are as good as at degree 10.

Is that the deck's luck? Each seed below draws eighty samples. On the mean of their errors the deck is right, on the
median it is not: the mean is made by the few samples, or folds, where the polynomial has to guess what lies between two
of the rare points left of 0, or beyond the last of them.

What holds a polynomial there is the penalty, and not the degree. The deck's, 1e-6, is next to nothing. With one of 1
in Legendre's basis, where every degree is penalised alike, nothing explodes. With the deck's in that basis not even
the median is good.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import Tensor

from claimlab import Certificate, Claim, Rows, Seeds, Statistical, draw
from claimlab.data.noisy_sine import BAYES_RISK, deck_noisy_sine, evaluation_grid, excess_risk, noisy_sine

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="generalization/polynomials-overfit",
    covers=("H9",),
    slide="Polynomial regression",
    version=1,
    finding="scoped",
    says="Polynomials overfit: at degree 25 the validation error explodes.",
    statement="Over many samples of the noisy sine the mean cross-validation error of a polynomial of degree 25 is "
    "more than twice the median. In the median it predicts as well as one of degree 10. With a stronger penalty and an "
    "orthogonal basis nothing explodes.",
    reason="On the deck's own sample one fold of five makes the explosion. A few samples leave a gap where points are "
    "rare, in which a polynomial of high degree and next to no penalty may take any value; the others do not.",
    scope='200 points, a tenth of them on the left half, ridge regression with the deck\'s penalty of 1e-6; "as well" '
    "means within a fifth of what the noise alone costs",
    source="the deck's notebook learning_curves.ipynb",
    evidence=Statistical(dtype="float64", block=11),
)

DEGREES = (5, 10, 15, 20, 25)
PENALTY = 1e-6
FOLDS = 5

# Level: within a fifth of what the noise costs every model, as in the claims on the tree (H8) and the net (H10).
FLAT = BAYES_RISK / 5

# Training error and the mean and standard deviation of the validation error on the deck's slide, by degree.
DECK = {
    0: (0.5765, 0.5784, 0.107),
    5: (0.1758, 0.2067, 0.032),
    10: (0.1431, 0.1776, 0.060),
    15: (0.1426, 0.1937, 0.090),
    20: (0.1424, 0.1938, 0.089),
    25: (0.1421, 1.0757, 1.85),
}


# -- fresh samples ---------------------------------------------------------------------------------------------------


def errors(seeds: Seeds, *, degree: int, penalty: float, legendre: bool, samples: int) -> tuple[Tensor, Tensor]:
    """The cross-validation error and the risk on each of the samples, `[S, samples]`."""
    drawn = [noisy_sine(seeds, f"sample.{place}", 200) for place in range(samples)]
    x, y = (torch.stack(part, dim=1).flatten(0, 1) for part in zip(*drawn, strict=True))
    powers = basis(x[..., 0], degree, legendre=legendre)
    folds = powers.unflatten(1, (FOLDS, -1)).transpose(0, 1)  # [folds, S * samples, points, degree + 1]
    targets = y.unflatten(1, (FOLDS, -1)).transpose(0, 1)[..., None]
    gram, moment = folds.mT @ folds, folds.mT @ targets
    left_out = ridge(gram.sum(dim=0) - gram, moment.sum(dim=0) - moment, penalty)
    validation = (folds @ left_out - targets).square().mean(dim=(0, 2, 3))
    grid = evaluation_grid(seeds, points=200)[:1]
    outputs = basis(grid[..., 0], degree, legendre=legendre) @ ridge(gram.sum(dim=0), moment.sum(dim=0), penalty)
    risk = BAYES_RISK + excess_risk(outputs, grid.expand(len(x), -1, 1))
    return validation.unflatten(0, (len(seeds), -1)), risk.unflatten(0, (len(seeds), -1))


def basis(x: Tensor, degree: int, *, legendre: bool) -> Tensor:
    """1, x, x², ..., or Legendre's polynomials, of x in (-1, 1): `[..., degree + 1]`, by Bonnet's recursion."""
    terms = [torch.ones_like(x), x]
    for k in range(1, degree):
        terms.append(((2 * k + 1) * x * terms[k] - k * terms[k - 1]) / (k + 1) if legendre else x * terms[k])
    return torch.stack(terms, dim=-1)


def ridge(gram: Tensor, moment: Tensor, penalty: float) -> Tensor:
    """The weights of least squares with a penalty on all but the constant, from X'X and X'y."""
    penalties = torch.full(gram.shape[-1:], penalty, dtype=gram.dtype, device=gram.device)
    penalties[0] = 0
    return torch.linalg.solve(gram + penalties.diag(), moment)


def mean_explodes(
    seeds: Seeds, *, degree: int = 25, penalty: float = PENALTY, legendre: bool = False, samples: int = 80
) -> Rows:
    """A win: the mean cross-validation error over samples is more than twice the median.

    Premise: in the median it has learned: half of the noiseless variance, .45, is explained.
    """
    validation, _ = errors(seeds, degree=degree, penalty=penalty, legendre=legendre, samples=samples)
    mean, median = validation.mean(dim=1), validation.median(dim=1).values
    learned = median - BAYES_RISK < 0.225
    return Rows(win=mean > 2 * median, premise=learned, mean=mean, median=median, sample=validation[:, :40])


def median_is_level(
    seeds: Seeds, *, low: int = 10, high: int = 25, penalty: float = PENALTY, legendre: bool = False, samples: int = 80
) -> Rows:
    """A win: the median risk over samples is level from the low degree to the high one.

    Premise: the low degree has learned: nine tenths of the noiseless variance, .45, are explained.
    """
    medians = torch.stack(
        [
            errors(seeds, degree=degree, penalty=penalty, legendre=legendre, samples=samples)[1].median(dim=1).values
            for degree in (low, high)
        ],
        dim=1,
    )
    learned = medians[:, 0] - BAYES_RISK < 0.045
    return Rows(win=(medians[:, 1] - medians[:, 0]).abs() < FLAT, premise=learned, median_risk=medians)


def test_claim(judge):
    """The mean of eighty cross-validation errors at degree 25 is more than twice their median."""
    judge(mean_explodes).supports()


def test_the_median_is_level(judge):
    """The medians of eighty risks at degrees 10 and 25 differ by less than .0288, a fifth of what noise costs."""
    judge(median_is_level).supports()


def test_control_adequate_penalty(judge):
    """A penalty of 1 in Legendre's basis."""
    judge(mean_explodes, penalty=1.0, legendre=True).refutes()


def test_control_equal_penalty_next_to_none(judge):
    """The deck's penalty in Legendre's basis, which leaves high degrees free: the median explodes too."""
    judge(median_is_level, legendre=True).refutes()


# -- the deck's sample -----------------------------------------------------------------------------------------------


def deck_folds() -> tuple[np.ndarray, np.ndarray]:
    """Training and validation errors of the deck's 5-fold cross-validation on its sample, `[degrees, folds]` each."""
    from sklearn.linear_model import Ridge  # here, because it takes a second that other claims can do without
    from sklearn.model_selection import cross_validate
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures

    sample, targets = deck_noisy_sine()
    train, validation = [], []
    for degree in DECK:
        model = make_pipeline(PolynomialFeatures(degree), Ridge(alpha=PENALTY))
        scores = cross_validate(
            model, sample, targets, cv=FOLDS, scoring="neg_mean_squared_error", return_train_score=True
        )
        train.append(-scores["train_score"])
        validation.append(-scores["test_score"])
    return np.array(train), np.array(validation)


def deck_table() -> Certificate:
    """The deck's table to one unit of the last digit of its figures.

    Half a unit is the figures' rounding, the other half room for another machine's: noise of 1e-12 on the inputs moves
    no error by more than 1e-8.
    """
    train, validation = deck_folds()
    table = np.column_stack([train.mean(axis=1), validation.mean(axis=1), validation.std(axis=1)])
    units = np.array([[1e-4, 1e-4, 1e-3]] * 5 + [[1e-4, 1e-4, 1e-2]])
    return Certificate((np.abs(table - np.array(list(DECK.values()))) <= units).all(), table=table)


def worse_than_degree_ten(*, left_out: int) -> Certificate:
    """Whether degree 25 is worse than degree 10 by the fifth of what noise costs, on the mean of the folds.

    So many folds are left out, those with the largest errors of each degree.
    """
    _, validation = deck_folds()
    means = np.sort(validation, axis=1)[:, : FOLDS - left_out].mean(axis=1)
    ten, twenty_five = means[list(DECK).index(10)], means[list(DECK).index(25)]
    return Certificate(bool(twenty_five - ten >= FLAT), degree_10=ten, degree_25=twenty_five)


@pytest.mark.exact
def test_deck_table(judge):
    """The deck's table of training and validation errors, with the standard deviation over folds, for all degrees."""
    judge(deck_table).supports()


@pytest.mark.exact
def test_deck_explosion(judge):
    """On the deck's sample degree 25 is far worse than degree 10 on the mean of five folds."""
    judge(worse_than_degree_ten, left_out=0).supports()


@pytest.mark.exact
def test_control_four_folds(judge):
    """Without the worst fold of each, degree 25 is no worse."""
    judge(worse_than_degree_ten, left_out=1).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """With the deck's penalty a few of many samples explode, and most do not; with an adequate one, none does."""
    ax.set(yscale="log", ylabel="cross-validation error")
    arms = {
        "penalty 1e-6": "claim",
        "penalty 1, orthogonal\nbasis (control)": "control_adequate_penalty",
    }
    for place, (name, test) in enumerate(arms.items()):
        samples = measured[test]["sample"].flatten()
        draw.dots(ax, place - 0.15, samples, name.replace("\n", " "), width=0.5)
        draw.dots(ax, place + 0.25, measured[test]["mean"], "mean of eighty samples", style="C3D", width=0.1)
        draw.dots(ax, place + 0.4, measured[test]["median"], "median", style="C2s", width=0.1)
    draw.level(ax, BAYES_RISK, "noise alone")
    draw.names(ax.xaxis, arms)
    draw.key(ax)
