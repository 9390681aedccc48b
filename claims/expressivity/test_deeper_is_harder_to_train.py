"""Of two nets with equally many parameters, the deeper can be the one that trains worse.

Slide: For a fixed param budget, deeper is better. The speaker notes limit that to what a net can represent: to train it
is another matter. Three nets that classify the 8 x 8 digits have exactly 2410 parameters each: with one hidden layer of
32 units, with two of 24 and with sixteen of 10. Here two layers meet sixteen, with the same images, He's
initialisation, the same optimizer and number of steps, each at the better of two learning rates.

The deep net is not too narrow for the task, nor are 25 steps too few for so many layers: with skip connections, and
no parameter more, the very same initial weights train to about a tenth of a nat.
"""

from __future__ import annotations

from functools import partial
from math import log
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from claimlab import Claim, Rows, Seeds, Statistical, draw
from claimlab.data.digits import CLASSES, digits
from claimlab.measure.count import mlp_parameters
from claimlab.measure.fit import cross_entropy
from claimlab.nets import MLP, residual
from claimlab.nets.mlp import affine
from claimlab.parts import lift, parts
from claimlab.train import train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="expressivity/deeper-is-not-easier-to-train",
    covers=("C9",),
    slide="For a fixed param budget, deeper is better",
    version=2,
    finding="holds",
    says="That depth pays at a fixed number of parameters is about what a net can represent, not about training it.",
    statement="Of plain ReLU nets with equally many parameters, the one with sixteen narrow hidden layers ends a "
    "short training at a much larger training loss than the one with two, each at the better of two learning rates.",
    reason="The deep net ends at about 1.6 nats, where guessing costs 2.3 and two layers end at 0.02; with skip "
    "connections the same initial weights reach 0.1. So neither width nor budget is what is missing. Moderate depth "
    "can help: on two moons with some 300 parameters five layers of 7 units ended lower than one of 75, ten of 5 "
    "higher.",
    scope="Small data, narrow fully connected nets without normalisation, a short budget; float32. The cause need not "
    "be that of He et al.: they saw deeper plain ConvNets train worse although batch norm kept signals and gradients "
    "at a healthy size, and thought vanishing gradients an unlikely reason.",
    source="He, Zhang, Ren & Sun 2016, Deep residual learning for image recognition, for the phenomenon",
    evidence=Statistical(block=11),
)

ONE_LAYER = (64, 32, CLASSES)
TWO_LAYERS = (64, 24, 24, CLASSES)
DEEP = (64, *[10] * 16, CLASSES)

# A quarter of what knowing nothing costs, which is log 10 nats.
WORSE = log(CLASSES) / 4


def trial(
    seeds: Seeds,
    *,
    fewer: tuple[int, ...] = TWO_LAYERS,
    more: tuple[int, ...] = DEEP,
    skips: bool = False,
    images: int = 64,
    steps: int = 25,
    rates: tuple[float, ...] = (0.003, 0.01),
) -> Rows:
    """A seed draws the images and the initialisations of nets with fewer and with more layers.

    The premise is that the net with fewer layers has learned, to less than what the other may be behind.
    """
    assert mlp_parameters(fewer) == mlp_parameters(more)
    data = digits(seeds, n=images, n_test=0)
    losses = [
        best_loss(seeds, MLP(widths), data.x, data.y, skips=skips, steps=steps, rates=rates) for widths in (fewer, more)
    ]
    win = losses[1] - losses[0] >= WORSE
    return Rows(win=win, premise=losses[0] < WORSE, fewer_layers=losses[0], more_layers=losses[1])


def best_loss(
    seeds: Seeds, net: MLP, x: Tensor, y: Tensor, *, skips: bool, steps: int, rates: tuple[float, ...]
) -> Tensor:
    """The training loss `[S]` at the better of the learning rates."""
    function = partial(with_skips, net) if skips else net
    losses = []
    for rate in rates:
        optimizer = partial(parts().adam, lr=rate)
        fit = train(seeds, function, net.init(seeds), x, y, loss=cross_entropy, optimizer=optimizer, epochs=steps)
        losses.append(cross_entropy(function(fit.parameters, x), y))
    return torch.stack(losses).amin(dim=0)


def with_skips(net: MLP, parameters: list[Tensor], x: Tensor) -> Tensor:
    """The outputs `[S, N, 10]` of a net whose first layer is linear and whose other hidden layers add to their input.

    The branches are scaled by one over their number, which keeps the activations' size at any depth (Hanin & Rolnick).
    """
    first, *hidden, last = net.layers(parameters)
    activate, x = lift(net.activation), affine(x, *first)
    for layer in hidden:
        x = residual(lambda x, layer=layer: activate([], affine(x, *layer)), x, scale=1 / len(hidden))
    return affine(x, *last)


def test_claim(judge):
    """2410 parameters (He init, zero biases, no normalisation, no skips), 64 digits, full-batch Adam, 25 steps.

    With 16 hidden layers of 10 units the loss at the better of the rates 0.003 and 0.01 is larger than with two layers
    of 24 by at least a quarter of log 10.
    """
    judge(trial).supports()


def test_control_skip_connections(judge):
    """The same widths, depths and initial weights with skip connections."""
    judge(trial, skips=True).refutes()


def test_control_two_layers_against_one(judge):
    """One layer more, at the same budget, trains no worse."""
    judge(trial, fewer=ONE_LAYER, more=TWO_LAYERS).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Without skip connections the deep net is far behind after 25 steps, with them it is not; a line a seed."""
    ax.set(yscale="log", xlim=(-0.2, 1.2), ylabel="training loss (nats)")
    for name, test in (("plain", "claim"), ("with skip connections (control)", "control_skip_connections")):
        losses = np.stack([measured[test]["fewer_layers"], measured[test]["more_layers"]], axis=1)
        draw.runs(ax, (0, 1), losses, name)
    draw.names(ax.xaxis, ["2 hidden layers\nof 24", "16 hidden layers\nof 10"])
    draw.level(ax, log(CLASSES), "guessing: log 10", where="center")
    ax.set_ylim(top=6)
    ax.legend(loc="lower right")
