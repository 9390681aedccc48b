"""Of two nets with equally many parameters, the deeper can be the one that trains more slowly.

Slide: For a fixed param budget, deeper is better. The speaker notes limit that to what a net can represent: to train it
is another matter. Two nets that classify the 8 x 8 digits have exactly 5290 parameters each, one with two hidden layers
of 44 units, one with sixteen of 16. They meet with the same images, He's initialisation, the same optimizer and number
of steps. The deep net has the best of four learning rates, of which a win shows that it is neither the smallest nor the
largest. The net of two layers has one: at a better one it would be further ahead.

What is behind after a short training need not end there. With more steps the deep net learns the images as well, so
that what depth costs is time. And it costs it only without skip connections: with them, and no parameter more, the very
same initial weights are not behind.
"""

from __future__ import annotations

from functools import partial
from math import log
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from claimlab import Claim, Rows, Seeds, Statistical, draw
from claimlab.data.digits import CLASSES, Digits, digits
from claimlab.measure.count import mlp_parameters
from claimlab.measure.fit import cross_entropy
from claimlab.nets import MLP, ResidualMLP
from claimlab.parts import parts
from claimlab.train import train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="expressivity/deeper-is-not-easier-to-train",
    covers=("C9",),
    slide="For a fixed param budget, deeper is better",
    version=4,
    finding="scoped",
    says="That depth pays at a fixed number of parameters is about what a net can represent, not about training it.",
    statement="Of plain ReLU nets with equally many parameters, one with sixteen narrow hidden layers ends a short "
    "training at a much larger loss than one with two, whatever its learning rate. It is slower, not worse: with more "
    "steps it learns the images too.",
    reason="Depth costs time here and not the result: 15 steps leave the deep net far behind, and it makes all of it "
    "up within 200. With skip connections the same initial weights are not behind after the 15 either, so that "
    "neither width nor budget is what is missing.",
    scope="small data, a narrow and very deep net, fully connected and without normalisation; behind after a short "
    "training only; float32. The cause need not be that of He et al.: they saw deeper plain ConvNets train worse "
    "although batch norm kept signals and gradients at a healthy size, and thought vanishing gradients an unlikely "
    "reason.",
    source="He, Zhang, Ren & Sun 2016, Deep residual learning for image recognition, for the phenomenon",
    evidence=Statistical(block=11),
)

TWO_LAYERS = (64, 44, 44, CLASSES)
DEEP = (64, *[16] * 16, CLASSES)

# A quarter of what knowing nothing costs, which is log 10 nats.
WORSE = log(CLASSES) / 4


def trial(
    seeds: Seeds,
    *,
    fewer: tuple[int, ...] = TWO_LAYERS,
    more: tuple[int, ...] = DEEP,
    skips: bool = False,
    images: int = 64,
    steps: int = 15,
    rate: float = 0.01,
    rates: tuple[float, ...] = (0.001, 0.01, 0.03, 0.3),
) -> Rows:
    """A seed draws the images and the initialisations of nets with fewer layers, trained at one rate, and with more.

    Premise: the net with fewer has learned, and where the one with more is behind its best rate is not at an end.
    """
    assert mlp_parameters(fewer) == mlp_parameters(more)
    data = digits(seeds, n=images, n_test=0)
    net = ResidualMLP if skips else MLP
    few = loss_after(seeds, net(fewer), data, rate=rate, steps=steps)
    losses = torch.stack([loss_after(seeds, net(more), data, rate=each, steps=steps) for each in rates])
    many, best = losses.min(dim=0)
    behind = many - few >= WORSE
    tuned = (best > 0) & (best < len(rates) - 1)
    premise = (few < WORSE) & (tuned | ~behind)
    return Rows(win=behind, premise=premise, fewer_layers=few, more_layers=many, best_rate=best)


def loss_after(seeds: Seeds, net: MLP, data: Digits, *, rate: float, steps: int) -> Tensor:
    """The training loss `[S]` at that learning rate."""
    adam = partial(parts().adam, lr=rate)
    fit = train(seeds, net, net.init(seeds), data.x, data.y, loss=cross_entropy, optimizer=adam, epochs=steps)
    return cross_entropy(net(fit.parameters, data.x), data.y)


def learns(
    seeds: Seeds, *, widths: tuple[int, ...] = DEEP, images: int = 64, rate: float = 0.003, steps: int = 200
) -> Rows:
    """A net of these widths is trained for so many steps at most; a win is a loss that cannot be far behind any other.

    No loss is below 0. So one below a quarter of log 10 is not behind by that much.
    """
    data, net = digits(seeds, n=images, n_test=0), MLP(widths)
    fit = train(
        seeds, net, net.init(seeds), data.x, data.y,
        loss=cross_entropy, optimizer=partial(parts().adam, lr=rate), epochs=steps, goal=not_behind, check_every=5,
    )  # fmt: skip
    return Rows(win=fit.met, steps=fit.epochs)


def not_behind(logits: Tensor, labels: Tensor) -> Tensor:
    """Whether the loss is below what the claim calls worse, bool `[S]`."""
    return cross_entropy(logits, labels) < WORSE


def test_claim(judge):
    """5290 parameters (He init, zero biases, no normalisation, no skips), 64 digits, full-batch Adam, 15 steps.

    With 16 hidden layers of 16 units the loss at the best of the rates 0.001, 0.01, 0.03 and 0.3 is larger than with
    two layers of 44 at rate 0.01 by at least a quarter of log 10.
    """
    judge(trial).supports()


def test_with_more_steps_the_deep_net_learns(judge):
    """At rate 0.003 the 16 layers are below a quarter of log 10 within 200 steps, so no longer behind by as much."""
    judge(learns).supports()


def test_control_skip_connections(judge):
    """The same widths, depths and initial weights with skip connections."""
    judge(trial, skips=True).refutes()


def test_control_two_layers_against_one(judge):
    """Two layers of 24 units train no worse than one of 32, which has as many parameters."""
    judge(trial, fewer=(64, 32, CLASSES), more=(64, 24, 24, CLASSES)).refutes()


def test_control_few_steps_are_not_enough(judge):
    judge(learns, steps=15).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Without skip connections the deep net is far behind after 15 steps, with them it is not; a line a seed."""
    ax.set(yscale="log", xlim=(-0.2, 1.2), ylabel="training loss (nats)")
    for name, test in (("plain", "claim"), ("with skip connections (control)", "control_skip_connections")):
        losses = np.stack([measured[test]["fewer_layers"], measured[test]["more_layers"]], axis=1)
        draw.runs(ax, (0, 1), losses, name)
    draw.names(ax.xaxis, ["2 hidden layers\nof 44", "16 hidden layers\nof 16"])
    draw.level(ax, log(CLASSES), "guessing: log 10", where="center")
    ax.set_ylim(top=6)
    draw.key(ax)
