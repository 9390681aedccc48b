"""A deeper residual net comes to the lower loss in the same steps, where the shallower one lacks the means.

Slide: Residual Networks, with the table of He et al. on ImageNet: 34 layers are worse than 18 without skip connections,
and better with them. ImageNet is out of reach here. What can be asked is whether skip connections let the optimizer use
what depth adds. So the task is one that uses up any means: 128 random points whose labels, of four, mean nothing and
have to be learned by heart, by nets six units wide.

Both nets meet with the same points, and each has the best of some learning rates. Where one is behind, the smallest and
the largest of its rates, far from the others, must gain nothing; the one ahead has fewer. Depth helps only where it is
needed, which is the second control: 16 points are few enough for two layers. The first is the same depths without skip
connections.
"""

from __future__ import annotations

from functools import partial
from math import log
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from claimlab import Claim, Rows, Seeds, Statistical, draw
from claimlab.measure.fit import cross_entropy
from claimlab.nets import MLP, ResidualMLP
from claimlab.parts import parts
from claimlab.train import train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="conditioning/deeper-residual-nets-train-better",
    covers=("E9",),
    slide="Residual Networks",
    version=3,
    finding="scoped",
    says="Deeper residual nets have a lower training error than shallower ones, and deeper plain nets a higher one.",
    statement="In 120 steps a narrow net of eighteen hidden layers with skip connections learns more of random labels "
    "by heart than one of two. Without them it does not. Nor is it better where two layers can learn everything.",
    reason="Depth adds what the shallow net lacks, and skip connections leave it within the optimizer's reach. To see "
    "it takes a task that the shallow net cannot do; in the paper that was ImageNet.",
    scope="training loss after 120 steps, not at the end of training; fully connected nets of 6 units a layer, "
    "branches scaled by one over their number, He's initialisation, full-batch Adam, float32; the paper's numbers are "
    "out of reach",
    source="He, Zhang, Ren & Sun 2016, Deep residual learning for image recognition (arXiv 1512.03385), section 4.1",
    evidence=Statistical(block=11),
)

FEW, MANY = 2, 18
INPUTS, CLASSES = 8, 4

# The smallest gain worth nine times the work: a tenth of what guessing costs, which is log 4 nats.
MARGIN = log(CLASSES) / 10


def trial(
    seeds: Seeds,
    *,
    skips: bool = True,
    points: int = 128,
    steps: int = 120,
    few_rates: tuple[float, ...] = (0.003, 0.1, 0.2, 0.3, 2.0),
    many_rates: tuple[float, ...] = (0.1, 0.2),
) -> Rows:
    """A seed draws the points, their labels and the initialisation. A win: the deeper net's loss is lower.

    Premise: the shallow net has learned something, a tenth of what guessing costs, and for the net that is said to be
    no better an end of its rates gains no more than a tenth of that.
    """
    x, y = seeds.normal("points", points, INPUTS), seeds.integers("labels", points, high=CLASSES)
    few = losses(seeds, FEW, x, y, skips=skips, rates=few_rates, steps=steps)
    many = losses(seeds, MANY, x, y, skips=skips, rates=many_rates, steps=steps)
    least = torch.stack([few.amin(dim=1), many.amin(dim=1)], dim=1)
    win = least[:, 0] - least[:, 1] >= MARGIN
    learned = least[:, 0] < log(CLASSES) - MARGIN
    return Rows(win=win, premise=learned & torch.where(win, tuned(few), tuned(many)), losses=least)


def tuned(losses: Tensor) -> Tensor:
    """Whether neither end of the rates gains anything, for losses `[S, rates]`; not if there are only two."""
    ends = losses[:, [0, -1]].amin(dim=1)
    inside = losses[:, 1:-1].amin(dim=1) if losses.shape[1] > 2 else torch.full_like(ends, torch.inf)
    return inside - ends < MARGIN / 10


def losses(
    seeds: Seeds, hidden: int, x: Tensor, y: Tensor, *, skips: bool, rates: tuple[float, ...], steps: int
) -> Tensor:
    """The training loss at the end at every rate, `[S, rates]`; one that is no number counts as infinite."""
    net = (ResidualMLP if skips else MLP)((INPUTS, *[6] * hidden, CLASSES))
    start, ends = net.init(seeds), []
    for rate in rates:
        fit = train(seeds, net, start, x, y, loss=cross_entropy, optimizer=partial(parts().adam, lr=rate), epochs=steps)
        ends.append(cross_entropy(net(fit.parameters, x), y).nan_to_num(nan=torch.inf))
    return torch.stack(ends, dim=1)


def test_claim(judge):
    """128 points in 8 dimensions, 2 and 18 hidden layers of 6 units, 120 steps.

    Two layers have the best of the rates .003, .1, .2, .3 and 2, and eighteen the better of .1 and .2.
    """
    judge(trial).supports()


def test_control_without_skip_connections(judge):
    """Plain nets: two layers at the better of the rates .03 and .1, eighteen at the best of .0001, .003 and .3."""
    judge(trial, skips=False, few_rates=(0.03, 0.1), many_rates=(0.0001, 0.003, 0.3)).refutes()


def test_control_two_layers_suffice(judge):
    """Of 16 points both nets learn all labels: two layers at rate .1, eighteen at the best of .003, .1 and 2."""
    judge(trial, points=16, few_rates=(0.1,), many_rates=(0.003, 0.1, 2.0)).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """In 120 steps eighteen layers with skip connections learn what two do not; without them they learn less."""
    arms = {
        "with skip connections": "claim",
        "plain (control)": "control_without_skip_connections",
        "with skip connections,\n16 points (control)": "control_two_layers_suffice",
    }
    for place, test in enumerate(arms.values()):
        losses, pair = measured[test]["losses"], (place - 0.2, place + 0.2)
        draw.runs(ax, pair, losses, style="0.6-")
        draw.dots(ax, pair[0], losses[:, 0], f"{FEW} hidden layers", width=0)
        draw.dots(ax, pair[1], losses[:, 1], f"{MANY} hidden layers", style="C1s", width=0)
    draw.level(ax, log(CLASSES), "guessing: log 4")
    draw.names(ax.xaxis, arms)
    ax.set(ylabel="training loss (nats)", ylim=(-0.05, 1.5))
    draw.key(ax)
