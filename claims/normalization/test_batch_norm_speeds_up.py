"""Batch norm makes a badly scaled deep net train in far fewer steps; a shallow or well-scaled one gains little.

Slide: Batch Normalization. The most quoted number is 14 times fewer steps, from ImageNet (Ioffe & Szegedy, section
4.2): 31.0 million steps of Inception against 2.1 million of a net with batch norm, five times the learning rate, and
six more changes, such as no dropout and less weight decay. Batch norm alone took less than half the steps (13.3
million).

Here nothing else changes, and both nets get the best of the same seven learning rates, seed by seed: batch norm stands
larger ones, and a comparison at one rate could be won by choosing the rate. A seed counts where the best one of either
net is neither the smallest nor the largest. The net is the one people write without thinking: linear layers with
torch's default initialisation, ReLU between them. From layer to layer that initialisation divides what is left of the
input by about √6, and batch norm multiplies it back. Where there is nothing to put back, in a net with one hidden layer
or in eight layers of tanh with Glorot's initialisation, the steps do not halve.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from claimlab import Claim, Rows, Seeds, Statistical, draw
from claimlab.data.digits import digits
from claimlab.measure.fit import cross_entropy
from claimlab.nets import MLP
from claimlab.parts import Initialise, parts
from claimlab.train import train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="normalization/batch-norm-speeds-up-training",
    covers=("F2",),
    slide="Batch Normalization",
    version=2,
    finding="scoped",
    says="Batch norm speeds up training.",
    statement=(
        "A deep ReLU net with the initial weights that torch gives it reaches a low training loss with batch norm in "
        "at most half as many steps as without, each at its best learning rate. Batch norm does not halve the steps of "
        "a net with one hidden layer, nor of a deep tanh net with Glorot's weights."
    ),
    reason=(
        "The gain is large where depth and initialisation let the signal die out, and small where they do not. The "
        "factor of 14 often quoted is not batch norm's alone: Ioffe & Szegedy also raised the learning rate five times "
        "and changed the recipe in six more ways; batch norm alone took them 13.3 instead of 31.0 million steps."
    ),
    scope=(
        "steps, not seconds, to a training loss; one small data set, full batch, momentum SGD, seven learning rates a "
        "factor of three apart, float32"
    ),
    source="Ioffe & Szegedy 2015 (arXiv 1502.03167), section 4.2 and figure 3",
    evidence=Statistical(block=11),
)


def steps_to_target(
    seeds: Seeds, net: MLP, scheme: Initialise, x: Tensor, y: Tensor,
    *, rates: tuple[float, ...], target: float, most: int,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The fewest steps to the target over all learning rates, int64 `[S]`, and whether the best is inside, bool `[S]`.

    It is where a seed arrives, and later or never at the smallest and at the largest rate. A learning rate need not
    be tried for longer than the slowest seed took with the rates before it.
    """
    parameters = net.init(seeds, scheme)
    never = torch.full((len(seeds),), most + 1, device=seeds.device)
    fewest, at = never, {}
    for rate in rates:
        fit = train(
            seeds, net, parameters, x, y,
            loss=cross_entropy, optimizer=partial(parts().sgd, lr=rate, momentum=0.9),
            epochs=min(int(fewest.max()), most), goal=lambda logits, labels: cross_entropy(logits, labels) < target,
        )  # fmt: skip
        at[rate] = torch.where(fit.met, fit.epochs, never)
        fewest = torch.minimum(fewest, at[rate])
    return fewest, (at[min(rates)] > fewest) & (at[max(rates)] > fewest)


def trial(
    seeds: Seeds,
    *,
    hidden: int = 4,
    width: int = 32,
    activation: str = "relu",
    scheme: str = "torch_init",
    samples: int = 64,
    rates: tuple[float, ...] = (0.1, 0.3, 1.0, 0.03, 3.0, 0.01, 10.0),  # the order only matters for speed
    target: float = 0.1,  # nats: the right class gets 90 %
    most: int = 200,
) -> Rows:
    """A win: with batch norm the net takes at most half the steps. Premise: both arrive, soonest at rates inside.

    Columns of `steps`: with and without. A seed draws the images and the weights, which both nets share.
    """
    data = digits(seeds, n=samples, n_test=1)
    initial, plain = parts().named(scheme), MLP((64, *[width] * hidden, 10), parts().named(activation))
    steps = partial(steps_to_target, seeds, scheme=initial, x=data.x, y=data.y, rates=rates, target=target, most=most)
    with_norm, tuned = steps(replace(plain, norm=parts().batch_norm_1d))
    without, tuned_without = steps(plain)
    return Rows(
        win=2 * with_norm <= without, premise=tuned & tuned_without, steps=torch.stack([with_norm, without], dim=1)
    )


def test_claim(judge):
    """A 64-32-32-32-32-10 net with the initial weights of torch.nn.Linear on 64 digits, full-batch SGD, momentum .9.

    The steps to a cross-entropy of .1 nats, each net at the best of the learning rates .01, .03, .1, .3, 1, 3 and 10,
    which is neither the smallest nor the largest.
    """
    judge(trial).supports()


def test_control_one_hidden_layer(judge):
    """64-32-10, He's init."""
    judge(trial, hidden=1, scheme="he_init").refutes()


def test_control_well_scaled_deep_net(judge):
    """Eight hidden tanh layers, Glorot's init."""
    judge(trial, hidden=8, activation="tanh", scheme="glorot_init").refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Batch norm saves steps where the signal dies out, and few elsewhere. A line joins a seed's two nets."""
    nets = {
        "4 layers, ReLU,\ntorch's init": "claim",
        "1 layer, ReLU,\nHe's init (control)": "control_one_hidden_layer",
        "8 layers, tanh,\nGlorot's init (control)": "control_well_scaled_deep_net",
    }
    draw.numbers(ax.yaxis, (3, 5, 10, 20, 50, 100, 200), log=True)
    for place, test in enumerate(nets.values()):
        steps = measured[test]["steps"]
        pair = (place - 0.2, place + 0.2)
        draw.runs(ax, pair, steps, style="0.6-")
        draw.dots(ax, pair[0], steps[:, 0], "with batch norm", width=0)
        draw.dots(ax, pair[1], steps[:, 1], "without", style="C1s", width=0)
    draw.names(ax.xaxis, nets)
    ax.set(ylabel="steps to a loss of 0.1, best rate")
    draw.key(ax)
