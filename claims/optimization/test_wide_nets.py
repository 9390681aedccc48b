"""Wide nets reach zero training error.

Slide: Non-convex Optimization. The training set is the deck's own toy: thirty points on two interleaved half moons,
which no straight line separates (the premise, proved by linear programming). There is no guarantee that gradient
descent finds a perfect fit, and with two hidden units it never does; with 256 it does so seed after seed. How wide is
wide enough is not much, and no sharp number: the nets between the two are trained on the same points, shown and not
judged. Width buys this only where a perfect fit exists: the second control gives one point two labels.
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
    version=3,
    finding="holds",
    says="When the net is wide enough, training can often drive the training error to zero.",
    statement=(
        "Full-batch gradient descent teaches a net with one hidden layer of 256 ReLU units to classify all of 30 "
        "two-moons points correctly, although no straight line separates them."
    ),
    reason=(
        "The nets get there, while two hidden units do not under the same training. Eight are wide enough for "
        "most seeds, so that 256 are no threshold. Du et al. prove it for far wider nets; here it is a measurement."
    ),
    scope="Thirty consistent points in the plane, one hidden layer, float32. No width fits a point with two labels.",
    source="Du, Zhai, Poczos & Singh 2019, Gradient descent provably optimizes over-parameterized neural networks",
    evidence=Statistical(),
)


WIDTHS = (4, 8, 32, 256)

# A net that has learned anything has lost a tenth of the loss that it started with.
LEARNED = 0.9


def trial(
    seeds: Seeds,
    *,
    widths: tuple[int, ...] = WIDTHS,
    points: int = 30,
    rate: float = 0.5,
    steps: int = 500,
    contradictory: bool = False,
) -> Rows:
    """A seed draws the points and the initialisation; `contradictory` puts a point of each class in the same place.

    The widest net decides. The premise is that no straight line separates the points, so that there is something for
    hidden units to do, and that this net has learned something.
    """
    world = two_moons(seeds, n=points, n_test=2)
    if contradictory:
        world.x[:, -1] = world.x[:, 0]
    errors, took, learned = [], [], torch.tensor(False)
    for width in widths:
        net = MLP((2, width, 1))
        start = net.init(seeds, name=f"init.{width}")
        fit = train(
            seeds, net, start, world.x, world.y,
            loss=logistic, optimizer=partial(parts().sgd, lr=rate, momentum=0.9),
            epochs=steps, goal=interpolates, check_every=5,
        )  # fmt: skip
        outputs = net(fit.parameters, world.x)
        learned = logistic(outputs, world.y) < LEARNED * logistic(net(start, world.x), world.y)
        errors.append(1 - accuracy(outputs, world.y))
        took.append(fit.epochs)
    return Rows(
        win=errors[-1] == 0,
        premise=~linearly_separable(world.x, world.y) & learned,
        train_error=torch.stack(errors, dim=1),
        steps=torch.stack(took, dim=1),
    )


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
    """He's initialisation, logistic loss, at most 500 steps at rate 0.5 and momentum 0.9; narrower nets are shown."""
    judge(trial).supports()


def test_control_two_units_cannot(judge):
    judge(trial, widths=(2,)).refutes()


def test_control_contradictory_labels(judge):
    judge(trial, widths=(256,), contradictory=True).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """The share of seeds at zero training error: most from 8 units on, none with 2, or where a point has two labels."""
    draw.numbers(ax.xaxis, (2, *WIDTHS), log=True)
    draw.curve(ax, WIDTHS, (measured["claim"]["train_error"] == 0).mean(axis=0), "one label a point")
    fitted = {2: "control_two_units_cannot", 256: "control_contradictory_labels"}
    labels = {2: "two units (control)", 256: "one point with two labels (control)"}
    for width, test in fitted.items():
        draw.dots(ax, width, [(measured[test]["train_error"] == 0).mean()], labels[width])
    ax.set(xlabel="hidden units", ylabel="share of seeds at zero error", ylim=(-0.04, 1.04))
    draw.key(ax)
