"""A decision tree with more leaves fits its sample better and better, and the world better only up to a point.

Slide: Single Decision Tree. The textbook picture that the deck sets its nets against: training error falls with the
number of leaves, validation error is a U. The deck shows one sample of 200 points under 5-fold cross-validation; that
table is recomputed below. Here the U is also asked of fresh samples, with the risk integrated instead of estimated on
held-out points. The noise makes the right arm of the U, so the control takes it away.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from claimlab import Certificate, Claim, Rows, Seeds, Statistical, draw
from claimlab.data.noisy_sine import BAYES_RISK, NOISE, deck_noisy_sine, evaluation_grid, excess_risk, noisy_sine

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from sklearn.tree import DecisionTreeRegressor

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="generalization/tree-error-is-u-shaped",
    covers=("H8",),
    slide="Single Decision Tree",
    version=1,
    finding="holds",
    says="With more leaves a decision tree's training error falls, while its validation error falls and then rises.",
    statement=(
        "A regression tree grown best-first on 200 points of the noisy sine has a training error that never rises from "
        "2 to 64 leaves, and an expected squared error that is lower at 8 leaves than at 2 and at 64, by more than a "
        "fifth of what the noise alone costs."
    ),
    reason=(
        "Two leaves cannot follow a sine and 64 leaves average about three noisy points each. Greedy trees of growing "
        "size are nested, so their training error can only fall. The deck's own table is reproduced to its four digits."
    ),
    scope=(
        "One input, Gaussian noise on nine tenths of it, 200 points, scikit-learn's best-first trees without pruning. "
        "Without noise the risk falls all the way to 64 leaves."
    ),
    source="the deck's notebook learning_curves.ipynb (figures noisy_sin_tree_*.svg)",
    evidence=Statistical(dtype="float64"),
)

LEAVES = (2, 4, 8, 16, 32, 64)

# The U must be deeper than a fifth of what the noise costs every model. The claim that a net's curve is flat (H10)
# allows the curve less than the same fifth.
DEPTH = BAYES_RISK / 5

# Training and validation error on the deck's slide, by number of leaves.
DECK = {
    2: (0.2235, 0.2327),
    4: (0.1584, 0.1879),
    8: (0.1214, 0.1724),
    16: (0.0956, 0.1875),
    32: (0.0626, 0.2322),
    64: (0.0226, 0.2640),
}


# -- fresh samples ---------------------------------------------------------------------------------------------------


def tree(leaves: int, *, splitter: str = "best", seed: int = 0) -> DecisionTreeRegressor:
    """An unfitted tree. With one input and the best split nothing is random, and `seed` changes nothing."""
    from sklearn.tree import DecisionTreeRegressor  # here, because it takes a second that other claims can do without

    return DecisionTreeRegressor(max_leaf_nodes=leaves, splitter=splitter, random_state=seed)


def trial(
    seeds: Seeds, *, noise: float = NOISE, samples: int = 200, sizes: tuple[int, ...] = LEAVES, bottom: int = 8
) -> Rows:
    """A seed draws the sample. The risk is the expected squared error on a new point, its noise included.

    The lowest point, at `bottom` leaves, is the deck's, named before any fresh sample is seen.
    """
    x, y = noisy_sine(seeds, "train", samples, noise=noise)
    grid = evaluation_grid(seeds).cpu()
    points = grid[0].numpy()
    train_error, outputs = np.empty((len(seeds), len(sizes))), np.empty((len(sizes), *grid.shape))
    for member, (inputs, targets) in enumerate(zip(x.cpu().numpy(), y.cpu().numpy(), strict=True)):
        for size, leaves in enumerate(sizes):
            fitted = tree(leaves).fit(inputs, targets)
            train_error[member, size] = np.square(fitted.predict(inputs) - targets).mean()
            outputs[size, member, :, 0] = fitted.predict(points)
    excess = torch.stack([excess_risk(torch.from_numpy(of_size), grid) for of_size in outputs], dim=1)
    risk = 0.9 * noise**2 + excess.numpy()
    never_rises = (np.diff(train_error, axis=1) <= 0).all(axis=1)
    depth = np.minimum(risk[:, 0], risk[:, -1]) - risk[:, sizes.index(bottom)]
    return Rows(win=never_rises & (depth > DEPTH), depth=depth, train_error=train_error, risk=risk)


def test_claim(judge):
    """The risks at 2 and at 64 leaves exceed that at 8 by more than 0.0288, a fifth of the 0.144 that noise costs."""
    judge(trial).supports()


def test_control_without_noise(judge):
    judge(trial, noise=0.0).refutes()


# -- the deck's sample -----------------------------------------------------------------------------------------------


def deck_table() -> Certificate:
    """The deck's 5-fold cross-validation on the deck's sample, to half a unit of the last digit of its figures.

    A split is chosen by comparing sums, so rounding could only matter at a tie. There is none: noise of 1e-13 on the
    targets changes no digit.
    """
    from sklearn.model_selection import cross_validate

    sample, targets = deck_noisy_sine()
    errors = {}
    for leaves in DECK:
        folds = cross_validate(
            tree(leaves), sample, targets, cv=5, scoring="neg_mean_squared_error", return_train_score=True
        )
        errors[leaves] = (-folds["train_score"].mean(), -folds["test_score"].mean())
    gap = np.abs(np.array(list(errors.values())) - np.array(list(DECK.values())))
    train, validation = zip(*errors.values(), strict=True)
    return Certificate(gap.max() <= 5e-5, train=train, validation=validation, largest_gap=gap.max())


def trees_nest(*, splitter: str = "best") -> Certificate:
    """Whether each tree refines the smaller one before it, and fits the deck's sample strictly better.

    Best-first growth splits the leaf that gains most, so a tree of k leaves is the tree of k - 1 leaves with one leaf
    split, and splitting a leaf lowers the squared error of its mean. The errors are compared as fractions.
    """
    sample, targets = deck_noisy_sine()
    exact = [Fraction(target) for target in targets]
    partitions = [tree(size, splitter=splitter, seed=size).fit(sample, targets).apply(sample) for size in LEAVES]
    errors = [squared_error(partition.tolist(), exact) for partition in partitions]
    refines = [len({*zip(coarse, fine, strict=True)}) == len({*fine}) for coarse, fine in pairwise(partitions)]
    falls = [after < before for before, after in pairwise(errors)]
    return Certificate(
        all(refines) and all(falls), refines=refines, falls=falls, train_error=[float(error) for error in errors]
    )


def squared_error(partition: list[int], targets: list[Fraction]) -> Fraction:
    """The mean squared error of the leaves' means, exactly."""
    total = Fraction(0)
    for leaf in set(partition):
        members = [target for target, place in zip(targets, partition, strict=True) if place == leaf]
        mean = sum(members, Fraction(0)) / len(members)
        total += sum(((target - mean) ** 2 for target in members), Fraction(0))
    return total / len(targets)


@pytest.mark.exact
def test_deck_table(judge):
    """The deck's table of training and validation errors, from 2 to 64 leaves, in all four digits."""
    judge(deck_table).supports()


@pytest.mark.exact
def test_trees_nest(judge):
    """Why the training error can only fall: every greedy tree refines the smaller ones."""
    judge(trees_nest).supports()


@pytest.mark.exact
def test_control_random_splits(judge):
    """Trees that draw their split points, each its own, do not nest."""
    judge(trees_nest, splitter="random").refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Risk falls and rises with the leaves, training error only falls: the median, the middle nine tenths of seeds."""
    draw.numbers(ax.xaxis, LEAVES, log=True)
    draw.spread(ax, LEAVES, measured["claim"]["risk"], "risk", middle=0.9)
    draw.spread(ax, LEAVES, measured["claim"]["train_error"], "training error", middle=0.9)
    draw.spread(ax, LEAVES, measured["control_without_noise"]["risk"], "risk without noise (control)", middle=0.9)
    draw.level(ax, BAYES_RISK, "noise\nalone")
    ax.set(xlabel="leaves of the tree", ylabel="mean squared error", ylim=(0, None))
    draw.key(ax)
