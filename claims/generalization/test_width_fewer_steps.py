"""A wider net needs fewer steps to fit its data, until it is wide enough.

Slide: Non-intuitive behavior of MLP. How many steps a net takes hangs on its learning rate, and the best rate hangs on
the width: with one rate for all, a comparison of widths is one of rates. So every width has the best of six, seed by
seed, and for the net that is said to be no better it was not one at an end. What is counted is full-batch
steps of SGD with momentum until the loss is .1 nats, where the right class gets about 90 %.

The saving ends: from 128 to 256 units the steps do not halve again. And it is one of steps, not of work, of which a
wider net does more in each (H13).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from claimlab import Claim, Rows, Seeds, Statistical, draw
from claimlab.data.digits import CLASSES, digits
from claimlab.measure.fit import cross_entropy
from claimlab.nets import MLP
from claimlab.parts import parts
from claimlab.train import train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="generalization/wider-nets-need-fewer-steps",
    covers=("H12",),
    slide="Non-intuitive behavior of MLP",
    version=2,
    finding="scoped",
    says="More width means fewer steps of training.",
    statement="With 32 units a layer a net fits its training set in at most half the steps that one with 8 units "
    "takes, each at its best learning rate. From 128 to 256 units the steps do not halve again.",
    reason="Narrow nets are hard to optimize, and width makes that easier until nothing is left to ease. With one "
    "learning rate for all widths the comparison would be one of rates too.",
    scope="steps, not work; 128 digits, two hidden layers, He's initialisation, full batch, momentum SGD, float32",
    source="none on the slide; Du, Zhai, Poczos & Singh 2019 (arXiv 1810.02054) prove that descent fits very wide nets",
    evidence=Statistical(holds=0.8, block=18, max_seeds=512),  # a narrow net can be lucky
)

WIDTHS = (8, 32)
TARGET = 0.1


def trial(
    seeds: Seeds,
    *,
    widths: tuple[int, int] = WIDTHS,
    images: int = 128,
    rates: tuple[float, ...] = (0.3, 0.1, 1.0, 0.03, 3.0, 0.01),  # the order only matters for speed
    most: int = 200,
) -> Rows:
    """A seed draws the images and the weights. A win: the wider net takes at most half the steps.

    Premise: both arrive, and for the net that is said to be no better, the narrower one of a win and else the wider
    one, the best rate or as good a one is neither the smallest nor the largest.
    """
    data = digits(seeds, n=images, n_test=0)
    steps, tuned = [], []
    for width in widths:
        took = steps_to_target(seeds, MLP((64, width, width, CLASSES)), data.x, data.y, rates=rates, most=most)
        fewest = took.amin(dim=1)
        inside = torch.tensor([min(rates) < rate < max(rates) for rate in rates], device=seeds.device)
        steps.append(fewest)
        tuned.append(took[:, inside].amin(dim=1) == fewest)
    narrow, wide = steps
    arrived = (narrow < most) & (wide < most)
    win = 2 * wide <= narrow
    return Rows(win=win, premise=arrived & torch.where(win, *tuned), steps=torch.stack(steps, dim=1))


def steps_to_target(seeds: Seeds, net: MLP, x: Tensor, y: Tensor, *, rates: tuple[float, ...], most: int) -> Tensor:
    """The steps to the target at every rate, int64 `[S, rates]`.

    A rate need not be tried for longer than the slowest seed took with the rates before it; a seed that has not arrived
    by then is given up, and counted as if it had.
    """
    start, took = net.init(seeds), []
    for rate in rates:
        fit = train(
            seeds, net, start, x, y,
            loss=cross_entropy, optimizer=partial(parts().sgd, lr=rate, momentum=0.9),
            epochs=int(torch.stack(took).amin(dim=0).max()) if took else most, goal=low_enough,
        )  # fmt: skip
        took.append(fit.epochs)
    return torch.stack(took, dim=1)


def low_enough(logits: Tensor, labels: Tensor) -> Tensor:
    """Whether the loss is below the target, bool `[S]`."""
    return cross_entropy(logits, labels) < TARGET


def test_claim(judge):
    """64-8-8-10 and 64-32-32-10, 128 digits, at most 200 steps at the rates .01, .03, .1, .3, 1 and 3, momentum .9."""
    judge(trial).supports()


def test_control_wide_and_wider(judge):
    """64-128-128-10 and 64-256-256-10."""
    judge(trial, widths=(128, 256)).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """From 8 to 32 units the steps more than halve; from 128 to 256 they stay. A line joins a seed's two nets."""
    draw.numbers(ax.xaxis, (8, 32, 128, 256), log=True)
    draw.numbers(ax.yaxis, (3, 5, 10, 20, 50), log=True)
    draw.runs(ax, WIDTHS, measured["claim"]["steps"], "narrow and wide")
    draw.runs(ax, (128, 256), measured["control_wide_and_wider"]["steps"], "wide and wider (control)")
    ax.set(xlabel="units a layer", ylabel="steps to a loss of 0.1, best rate")
    draw.key(ax)
