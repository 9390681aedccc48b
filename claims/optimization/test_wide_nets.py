"""Wide nets reach zero training error.

Slide: Non-convex Optimization. The training set is the deck's own toy: thirty points on two interleaved half moons,
which no straight line separates (a win includes the proof by linear programming). There is no guarantee that gradient
descent finds a perfect fit, and with two hidden units it never does; with 256 it does so seed after seed. Width buys
this only where a perfect fit exists: the second control gives one point two labels.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from claimlab import Claim, Rows, Seeds, Statistical, draw
from claimlab.data.moons import two_moons
from claimlab.measure.fit import accuracy, interpolates, logistic
from claimlab.nets import MLP
from claimlab.parts import parts
from claimlab.train import train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="optimization/wide-nets-reach-zero-training-error",
    covers=("D6",),
    slide="Non-convex Optimization",
    version=1,
    finding="holds",
    says="When the net is wide enough, training can often drive the training error to zero.",
    statement=(
        "Full-batch gradient descent teaches a net with one hidden layer of 256 ReLU units to classify all of 30 "
        "two-moons points correctly, although no straight line separates them."
    ),
    reason=(
        "Every seed gets there, half of them within about thirty steps, while two hidden units never do under the same "
        "training. Du et al. prove it for far wider nets; at this width it is a measurement, not a theorem."
    ),
    scope="Thirty consistent points in the plane, one hidden layer, float32. No width fits a point with two labels.",
    source="Du, Zhai, Poczos & Singh 2019, Gradient descent provably optimizes over-parameterized neural networks",
    evidence=Statistical(),
)


STEPS = 500


def trial(
    seeds: Seeds,
    *,
    width: int = 256,
    points: int = 30,
    rate: float = 0.5,
    steps: int = STEPS,
    contradictory: bool = False,
) -> Rows:
    """A seed draws the points and the initialisation; `contradictory` puts a point of each class in the same place.

    The premise is that no straight line separates the points, so that there is something for the hidden units to do.
    """
    world = two_moons(seeds, n=points, n_test=2)
    if contradictory:
        world.x[:, -1] = world.x[:, 0]
    net = MLP((2, width, 1))
    fit = train(
        seeds, net, net.init(seeds), world.x, world.y,
        loss=logistic, optimizer=partial(parts().sgd, lr=rate, momentum=0.9),
        epochs=steps, goal=interpolates, check_every=5,
    )  # fmt: skip
    train_error = 1 - accuracy(net(fit.parameters, world.x), world.y)
    separable = linearly_separable(world.x, world.y)
    return Rows(win=train_error == 0, premise=~separable, train_error=train_error, steps=fit.epochs)


def linearly_separable(x: Tensor, y: Tensor) -> Tensor:
    """Whether a line w.x + b has the classes on its two sides, bool `[S]`, for points `[S, N, 2]`, labels `[S, N]`.

    Exactly then the linear program "signed margin at least 1 at every point" has a solution.
    """
    from scipy.optimize import linprog  # here, because it takes a second that other claims can do without

    feasible = []
    for points, labels in zip(x.double().cpu().numpy(), y.cpu().numpy(), strict=True):
        signed = (2 * labels - 1)[:, None] * np.column_stack([points, np.ones(len(points))])
        program = linprog(np.zeros(3), A_ub=-signed, b_ub=-np.ones(len(points)), bounds=(None, None))
        feasible.append(program.status == 0)
    return torch.tensor(feasible, device=x.device)


def test_claim(judge):
    """He's initialisation, logistic loss, at most 500 steps at rate 0.5 and momentum 0.9."""
    judge(trial).supports()


def test_control_two_units_cannot(judge):
    judge(trial, width=2).refutes()


def test_control_contradictory_labels(judge):
    judge(trial, contradictory=True).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """The share of seeds at zero training error, step by step: wide nets get there, no control does."""
    ax.set(xscale="log", xlabel="steps of gradient descent", ylabel="share of seeds at zero error", ylim=(-0.04, 1.04))
    for test, label in {
        "claim": "256 units",
        "control_two_units_cannot": "2 units (control)",
        "control_contradictory_labels": "256 units, one point with two labels (control)",
    }.items():
        rows = measured[test]
        draw.share(ax, np.where(rows["train_error"] == 0, rows["steps"], np.nan), label, within=(1, STEPS))
    draw.key(ax)
