"""To be within ρ of the least training error says little of the error on new data, unless all errors transfer.

Slide: Decomposition of the Error. The deck replaces the minimiser fₙ of the training error Eₙ by some f̃ with
Eₙ(f̃) < Eₙ(fₙ) + ρ, such that the expected errors E(f̃) and E(fₙ) are about equal. That can be read as a consequence
(within ρ, and therefore about equal) or as a requirement (take ρ so small that they are about equal). In a class that
fits anything neither can be had: a net trained on thirty points of two half moons, and a net trained on the same points
together with thirty others that carry the wrong label, are both right on all of the thirty, so both are exact
minimisers of the training error, and no ρ is smaller than ρ = 0. (Of the logistic loss they are minimisers for every
ρ > 0: multiply the output layer by a large number.) One is right on 96 % of new points on average, the other on six in
ten.

What is true needs a bound on how far training and expected error are apart for every f of the class. If it is ε,

    E(f̃) ≤ Eₙ(f̃) + ε ≤ Eₙ(fₙ) + ρ + ε ≤ E(fₙ) + ρ + 2ε.
"""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import Tensor

from claimlab import Certificate, Claim, Exact, Rows, Seeds, draw
from claimlab.data.moons import Moons, two_moons
from claimlab.data.overlap import are_new
from claimlab.measure.fit import accuracy, interpolates, logistic
from claimlab.measure.risks import Predictor, distribution, empirical_risk, erm, risk, samples, zero_one
from claimlab.nets import MLP
from claimlab.parts import parts
from claimlab.train import train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="decomposition/small-training-gap-means-similar-risk",
    covers=("A5",),
    slide="Decomposition of the Error",
    version=3,
    finding="false",
    says="An optimizer that stops within ρ of the least training error Eₙ(fₙ) finds a function f̃ whose expected error "
    "is about that of the minimiser.",
    statement=(
        "Where training and expected error are within ε of each other for every function of a class, a function within "
        "ρ of the least training error is at most ρ + 2ε worse on new data than the minimiser. Without such a bound no "
        "ρ is small enough: two nets can be right on every training point, and far apart on new ones."
    ),
    reason=(
        "A class that can fit any labels has minimisers of every quality, and the training error cannot tell them "
        "apart. The conclusion needs a class small enough for its training errors to be near its expected errors."
    ),
    scope="the bound holds for every class; the counterexample is one data set, full-batch Adam, float32",
    source="the deck's notebook generalization.ipynb (poisoned minima); Bottou & Bousquet 2008",
    evidence=Exact(),
)

# Within the tolerance: for two nets that must both be right on all points, no difference at all up to rounding.
RHO = 1e-5

# About equal, of shares of wrong labels: less than ten points apart, a fifth of what a coin has wrong.
CLOSE = 0.10

# About equal, of squared errors with the labels -1 and 1: less than a tenth of what knowing nothing costs, which is 1.
CLOSE_SQUARES = 0.10


# -- what is true -------------------------------------------------------------------------------------------------

# Three inputs, each with a label that is 1 with its own chance.
NOISY = distribution({(0, 0): 6, (0, 1): 1, (1, 0): 2, (1, 1): 3, (2, 0): 1, (2, 1): 5})
ALL_CLASSIFIERS: list[Predictor] = list(product((0, 1), repeat=3))


def within_rho_and_eps(*, eps_counted: int = 2, n: int = 5) -> Certificate:
    """Whether E(f̃) ≤ E(fₙ) + ρ + 2ε for every sample and every classifier f̃, with the least ρ it allows.

    ε is the largest |Eₙ(f) − E(f)| of any classifier on that sample. `slack` is what is left of the bound.
    """
    expected = {f: risk(f, NOISY, loss=zero_one) for f in ALL_CLASSIFIERS}
    slack: list[Fraction] = []
    rho: list[Fraction] = []
    for sample, _ in samples(NOISY, n):
        training = {f: empirical_risk(f, sample, loss=zero_one) for f in ALL_CLASSIFIERS}
        f_n = erm(ALL_CLASSIFIERS, sample, loss=zero_one)
        eps = max(abs(training[f] - expected[f]) for f in ALL_CLASSIFIERS)
        for f in ALL_CLASSIFIERS:
            rho.append(training[f] - training[f_n])
            slack.append(expected[f_n] + rho[-1] + eps_counted * eps - expected[f])
    return Certificate(min(rho) >= 0 and min(slack) >= 0, least_slack=min(slack), cases=len(slack))


def test_claim(judge):
    """All samples of 5 from a noisy law on 3 inputs, all 8 classifiers as f̃, 0-1 loss, in rational arithmetic."""
    judge(within_rho_and_eps).supports()


@pytest.mark.parametrize("times", [0, 1], ids=["not_at_all", "once"])
def test_control_eps_counted(judge, times):
    """Once is too little: the training error may be too low for the one function and too high for the other."""
    judge(within_rho_and_eps, eps_counted=times).refutes()


# -- what the deck says -------------------------------------------------------------------------------------------


def half_moons(seeds: Seeds, *, points: int, fresh: int) -> tuple[Moons, Moons]:
    """Points with their labels, and as many between them with the wrong ones; new points are the same."""
    world = two_moons(seeds, n=2 * points, n_test=fresh)
    clean = Moons(world.x[:, ::2], world.y[:, ::2], world.x_test, world.y_test)
    wrong = Moons(world.x[:, 1::2], 1 - world.y[:, 1::2], world.x_test, world.y_test)
    return clean, wrong


def nets(
    seeds: Seeds, *, points: int = 30, fresh: int = 1000, width: int = 64, rate: float = 0.02, steps: int = 1000
) -> Rows:
    """A seed draws the points and the initialisation, which both nets share. It is a win where the deck is right.

    The second net is trained until it is right on the clean points and has taken on two thirds of the wrong labels. The
    premise is that both nets are within ρ of the least training error, and that new points are new to either.
    """
    clean, wrong = half_moons(seeds, points=points, fresh=fresh)
    net = MLP((2, width, width, 1))
    fit = partial(
        train, seeds, net, net.init(seeds, parts().glorot_init), optimizer=partial(parts().adam, lr=rate), epochs=steps
    )  # fmt: skip
    first = fit(clean.x, clean.y, loss=logistic, goal=interpolates)
    both = torch.cat([clean.x, wrong.x], dim=1), torch.cat([clean.y, wrong.y], dim=1)
    second = fit(*both, loss=clean_counts_twice, goal=poisoned)
    outputs = [net(arm.parameters, clean.x) for arm in (first, second)]
    rho = (accuracy(outputs[0], clean.y) - accuracy(outputs[1], clean.y)).abs()
    errors = [1 - accuracy(net(arm.parameters, clean.x_test), clean.y_test) for arm in (first, second)]
    gap = (errors[1] - errors[0]).abs()
    within = (rho <= RHO) & interpolates(outputs[0], clean.y) & are_new(clean.x_test, both[0])
    return Rows(win=gap < CLOSE, premise=within, rho=rho, gap=gap, error=errors[0], poisoned_error=errors[1])


def clean_counts_twice(outputs: Tensor, labels: Tensor) -> Tensor:
    """The logistic loss, `[S]`, with the clean points, which are the first half, counted twice."""
    points = labels.shape[1] // 2
    return 2 * logistic(outputs[:, :points], labels[:, :points]) + logistic(outputs[:, points:], labels[:, points:])


def poisoned(outputs: Tensor, labels: Tensor) -> Tensor:
    """Whether a net is right on the clean points and agrees with two thirds of the wrong labels, bool `[S]`."""
    points = labels.shape[1] // 2
    agrees = accuracy(outputs[:, points:], labels[:, points:]) > 0.66
    return interpolates(outputs[:, :points], labels[:, :points]) & agrees


def least_squares(seeds: Seeds, *, units: int = 0, points: int = 30, fresh: int = 1000) -> Rows:
    """The same for a convex problem, and for the squared error in E_n and in E, with labels -1 and 1.

    The weights on 1 and the two coordinates, or on so many fixed random ReLU units, are fitted to the clean points
    (wₙ) and to all points (w'), with minimum norm. From wₙ go towards w' until w' or the tolerance is reached. The
    premise is that the one or the other was, and that new points are new.
    """
    clean, wrong = half_moons(seeds, points=points, fresh=fresh)
    x, x_test = features(seeds, clean.x, units), features(seeds, clean.x_test, units)
    y, y_wrong, y_test = (2 * labels[..., None].to(x.dtype) - 1 for labels in (clean.y, wrong.y, clean.y_test))
    minimiser = torch.linalg.pinv(x) @ y
    joint = torch.linalg.pinv(torch.cat([x, features(seeds, wrong.x, units)], dim=1)) @ torch.cat([y, y_wrong], dim=1)
    direction = joint - minimiser
    # E_n is a parabola along the direction, with its minimum at wₙ and this much more at w'.
    rise = (x @ direction).square().mean(dim=1, keepdim=True)
    near = minimiser + direction * (RHO / rise).sqrt().clamp(max=1)
    rho, gap = (
        (data @ near - labels).square().mean(dim=(1, 2)) - (data @ minimiser - labels).square().mean(dim=(1, 2))
        for data, labels in ((x, y), (x_test, y_test))
    )
    used_up = (rho - rise.clamp(max=RHO)[:, 0, 0]).abs() <= RHO / 1000
    new = are_new(clean.x_test, torch.cat([clean.x, wrong.x], dim=1))
    return Rows(win=gap.abs() < CLOSE_SQUARES, premise=used_up & new, rho=rho, gap=gap)


def features(seeds: Seeds, x: Tensor, units: int) -> Tensor:
    """1 and the two coordinates, `[S, N, 3]`, or random ReLU units of them, `[S, N, units]`."""
    plain = torch.cat([torch.ones_like(x[..., :1]), x], dim=2)
    return (plain @ seeds.normal("features", 3, units)).relu() if units else plain


@pytest.mark.statistical
def test_deck_wording(judge):
    """Two nets without an error on 30 points of two moons, and ten or more points apart on 1000 new ones.

    Two hidden layers of 64 ReLU units, up to 1000 full-batch steps of Adam at rate 0.02 from one Glorot init.
    """
    judge(nets).refutes()


@pytest.mark.statistical(dtype="float64")
def test_three_weights_are_close(judge):
    """Linear least squares with ρ = 1e-5 on 30 points: squared errors on 1000 new points are less than 0.1 apart."""
    judge(least_squares).supports()


@pytest.mark.statistical(dtype="float64")
def test_control_more_weights_than_points(judge):
    """With 256 weights for 60 points w' is a minimiser as well, so convexity is not what makes them close."""
    judge(least_squares, units=256).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Both nets of a seed are right on all of the 30 points, and one errs many times as often on new ones."""
    rows = measured["deck_wording"]
    draw.runs(ax, (0, 1), 100 * np.stack([rows["error"], rows["poisoned_error"]], axis=1))
    draw.names(ax.xaxis, ["trained on 30 points", "and on 30 with wrong labels"])
    ax.set(xlim=(-0.4, 1.4), ylim=(0, 70), ylabel="error on 1000 new points (%)")
    ax.text(0.5, 64, "every net is right on all of the 30 points", ha="center")
