"""Batch size and learning rate change how a net generalises by little, next to what lies between good and bad minima.

Slide: Good and bad global minima. Small batches and large steps are often said to be what makes training find minima
that generalise. A minimum that was made to be bad shows how much there is to lose, and so what such an effect is to be
compared with. Each of two batch sizes is trained at each of two learning rates, from one initialisation and until all
30 points are right, so that no arm is merely trained for longer. What batch size does is the mean difference at the two
rates, what the rate does that at the two batch sizes, data set by data set.

That could be said of arms that are all the same; so it is asked that the larger rate takes fewer passes over the data,
and small batches another number than large ones. And the measure must be able to find a large effect: it does where the
start takes the place of the batch, and one of the two starts is a net that was taught nonsense.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from claimlab import Claim, Rows, Seeds, Statistical, draw
from claimlab.data.moons import poisoned_moons
from claimlab.measure.fit import accuracy, interpolates, logistic
from claimlab.nets import MLP
from claimlab.parts import parts
from claimlab.train import train
from claimlab.train.poison import margin, train_with_poison

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="generalization/batch-and-rate-matter-little",
    covers=("H25",),
    slide="Good and bad global minima",
    version=1,
    finding="scoped",
    says="Small batches and large learning rates have a minor effect, next to that between good and bad minima.",
    statement=(
        "A wide net that fits 30 points of two moons, and was taught nonsense besides, is right on at least ten fewer "
        "of a hundred new points than nets that were trained plainly. Batches of six instead of all thirty, or ten "
        "times the learning rate, change what is right by at most a third of that difference."
    ),
    reason=(
        "Among the nets that plain training finds, with whatever batches and rate, there is little to choose: all have "
        "found the bend. The bad ones are elsewhere."
    ),
    scope=(
        "Thirty points in the plane, two hidden layers of 64 units, Adam until all points are right, float32; rates at "
        "which training gets there. On images the effect of small batches is a question of its own."
    ),
    source=(
        "Huang et al. 2020 (arXiv 1906.03291), and its first author's summary of July 2019, where choices of the "
        "optimizer are worth percents"
    ),
    evidence=Statistical(block=11),
)

# Ten of a hundred: the distance between a straight line, 88 %, and the deck's wide nets, 98 %.
GAP = 0.10

# What is a minor effect: a third of the gap at most.
MINOR = 3.0

# The share of the 30 points that a net must be right on to have learned them.
LEARNED = 0.9


def trial(
    seeds: Seeds,
    *,
    batch: int = 6,
    rates: tuple[float, float] = (0.002, 0.02),
    points: int = 30,
    poison: int = 20,
    wrong: bool = True,
    adversarial: bool = False,
    updates: int = 3000,
) -> Rows:
    """A seed draws all points, the initialisation, which all nets share, and the orders of the batches.

    An `adversarial` start takes the place of the batch: full batches, from the initialisation or from the bad net. The
    premise: the bad net is right on all clean points, and the others on nine of ten at least; the larger rate took
    fewer passes over the data than the smaller one with one of the batch sizes, and small batches took another number
    than large ones at one of the rates.
    """
    world = poisoned_moons(seeds, n=points, poison=poison, flipped=True)
    x, y = world.x[:, :points], world.y[:, :points]
    told = world.y if wrong else torch.cat([y, 1 - world.y[:, points:]], dim=1)
    net = MLP((2, 64, 64, 1))
    start = net.init(seeds, parts().glorot_init)
    taught = train_with_poison(
        seeds, net, start, world.x, told,
        clean=points, optimizer=partial(parts().adam, lr=0.02), epochs=3000, learned=0.8,
    ).parameters  # fmt: skip
    right, passes, new = [margin(net(taught, x), y) > 0], [], []
    for rate in rates:
        for size, begin in ((points, start), (points, taught)) if adversarial else ((batch, start), (points, start)):
            fit = train(
                seeds, net, begin, x, y, loss=logistic, optimizer=partial(parts().adam, lr=rate),
                epochs=updates * size // points, batch=size, goal=interpolates,
            )  # fmt: skip
            right.append(accuracy(net(fit.parameters, x), y) >= LEARNED)
            passes.append(fit.epochs)
            new.append(accuracy(net(fit.parameters, world.x_test), world.y_test))

    good, took = (torch.stack(each, dim=1).unflatten(1, (2, 2)) for each in (new, passes))  # rate, then batch size
    bad = accuracy(net(taught, world.x_test), world.y_test)
    of_batch, of_rate = effects(good)
    gap = good.mean(dim=(1, 2)) - bad
    quicker = (took[:, 1] < took[:, 0]).any(dim=1)
    differ = quicker & (took[:, :, 0] != took[:, :, 1]).any(dim=1)
    return Rows(
        win=(gap >= GAP) & (MINOR * torch.maximum(of_batch.abs(), of_rate.abs()) <= gap),
        premise=torch.stack(right, dim=1).all(dim=1) & differ,
        of_batch=of_batch,
        of_rate=of_rate,
        gap=gap,
        good=good,
        bad=bad,
        passes=took,
    )


def effects(of: Tensor) -> tuple[Tensor, Tensor]:
    """What the smaller batch and the larger rate add, `[S]` each, of numbers `[S, rates, batch sizes]`."""
    return (of[:, :, 0] - of[:, :, 1]).mean(dim=1), (of[:, 1] - of[:, 0]).mean(dim=1)


def test_claim(judge):
    """2-64-64-1 units, Glorot's initialisation, Adam at the rates 0.002 and 0.02, batches of 6 and of all 30 points.

    Each until all 30 points are right, or 3000 steps, after which very few are not. The nonsense is 20 more points with
    wrong labels. On 1000 new points the mean of the four nets is at least ten points above the net that was taught
    them, and the mean effects of batch size and rate are each at most a third of the difference.
    """
    judge(trial).supports()


def test_control_poison_with_the_right_labels(judge):
    """Where nothing is bad, nothing is minor beside it."""
    judge(trial, wrong=False).refutes()


def test_control_adversarial_start(judge):
    """Full batches from Glorot's initialisation or from the bad net, at rates half as large: an effect like the gap."""
    judge(trial, adversarial=True, rates=(0.001, 0.01)).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """What batch and rate change is little next to the gap to a bad minimum; where one starts changes more."""
    rows, start = measured["claim"], measured["control_adversarial_start"]
    for place, (values, label, style) in enumerate(
        (
            (rows["of_batch"], "small batches", ""),
            (rows["of_rate"], "a large rate", ""),
            (start["of_batch"], "a good start (control)", ""),
            (rows["gap"], "good instead of bad minima", "C5D"),
        )
    ):
        draw.dots(ax, place, 100 * values, label, style=style)
    draw.level(ax, 0, "no effect")
    draw.names(
        ax.xaxis,
        ("batches of 6,\nnot of 30", "ten times\nthe rate", "plain start,\nnot bad (control)", "good minima,\nnot bad"),
    )
    ax.set(ylabel="more new points right (of 100)", xlim=(-0.5, 3.5))
