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

import torch
from torch import Tensor

from claimlab import Claim, Rows, Statistical
from claimlab.data.digits import CLASSES, digits
from claimlab.measure.count import mlp_parameters
from claimlab.measure.fit import cross_entropy
from claimlab.nets import MLP, residual
from claimlab.parts import lift, parts
from claimlab.seeds import Seeds
from claimlab.train import train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

ONE_LAYER = (64, 32, CLASSES)
TWO_LAYERS = (64, 24, 24, CLASSES)
DEEP = (64, *[10] * 16, CLASSES)
RATES = (0.003, 0.01)
STEPS = 25

# A quarter of what knowing nothing costs, which is log 10 nats.
WORSE = log(CLASSES) / 4

CLAIM = Claim(
    id="expressivity/deeper-is-not-easier-to-train",
    covers=("C9",),
    slide="For a fixed param budget, deeper is better",
    version=2,
    finding="holds",
    says="That depth pays at a fixed number of parameters is about what a net can represent, not about training it.",
    statement=(
        "Plain ReLU nets with 2410 parameters (He init, zero biases, no normalisation, no skips) are trained on 64 "
        "digits images by full-batch Adam, 25 steps at learning rates 0.003 and 0.01. With 16 hidden layers of 10 "
        "units the better training loss is larger than that with two layers of 24 by at least a quarter of log 10."
    ),
    reason=(
        "The deep net ends at about 1.6 nats, where guessing costs 2.3 and two layers end at 0.02; with skip "
        "connections the same initial weights reach 0.1. So neither width nor budget is what is missing. Moderate "
        "depth can help: on two moons with some 300 parameters five layers of 7 units ended lower than one of 75, ten "
        "of 5 higher."
    ),
    scope=(
        "Small data, narrow fully connected nets without normalisation, a short budget; float32. The cause need not be "
        "that of He et al.: they saw deeper plain ConvNets train worse although batch norm kept signals and gradients "
        "at a healthy size, and thought vanishing gradients an unlikely reason."
    ),
    source="He, Zhang, Ren & Sun 2016, Deep residual learning for image recognition, for the phenomenon",
    evidence=Statistical(block=11),
)


def trial(
    seeds: Seeds, *, fewer: tuple[int, ...] = TWO_LAYERS, more: tuple[int, ...] = DEEP, skips: bool = False
) -> Rows:
    """A seed draws the images and the initialisations of nets with fewer and with more layers."""
    data = digits(seeds, n=64, n_test=0)
    losses = [best_loss(seeds, MLP(widths), data.x, data.y, skips=skips) for widths in (fewer, more)]
    same_budget = mlp_parameters(fewer) == mlp_parameters(more)
    win = (losses[1] - losses[0] >= WORSE) & same_budget
    return Rows(win=win, fewer_layers=losses[0], more_layers=losses[1])


def best_loss(seeds: Seeds, net: MLP, x: Tensor, y: Tensor, *, skips: bool) -> Tensor:
    """The training loss `[S]` at the better of the learning rates."""
    function = partial(with_skips, net) if skips else net
    losses = []
    for rate in RATES:
        optimizer = partial(parts().adam, lr=rate)
        fit = train(seeds, function, net.init(seeds), x, y, loss=cross_entropy, optimizer=optimizer, epochs=STEPS)
        losses.append(cross_entropy(function(fit.parameters, x), y))
    return torch.stack(losses).amin(dim=0)


def with_skips(net: MLP, parameters: list[Tensor], x: Tensor) -> Tensor:
    """The outputs `[S, N, 10]` of a net whose first layer is linear and whose other hidden layers add to their input.

    The branches are scaled by one over their number, which keeps the activations' size at any depth (Hanin & Rolnick).
    """
    first, *hidden, last = zip(parameters[::2], parameters[1::2], strict=True)
    activate, x = lift(net.activation), linear(*first, x)
    for weight, bias in hidden:
        branch = partial(linear, weight, bias)
        x = residual(lambda x, branch=branch: activate([], branch(x)), x, scale=1 / len(hidden))
    return linear(*last, x)


def linear(weight: Tensor, bias: Tensor, x: Tensor) -> Tensor:
    return torch.baddbmm(bias, x, weight)


def test_claim(judge):
    judge(trial).supports()


def test_control_skip_connections(judge):
    """The same widths, depths and initial weights with skip connections."""
    judge(trial, skips=True).refutes()


def test_control_two_layers_against_one(judge):
    """One layer more, at the same budget, trains no worse."""
    judge(trial, fewer=ONE_LAYER, more=TWO_LAYERS).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Training loss against depth on a logarithmic scale, a line a seed, plain and with skip connections."""
    arms = {"plain": ("claim", "C0"), "with skip connections (control)": ("control_skip_connections", "C1")}
    for name, (test, colour) in arms.items():
        losses = [measured[test]["fewer_layers"], measured[test]["more_layers"]]
        lines = ax.plot([2, 16], losses, "o-", color=colour, alpha=0.6, linewidth=1, markersize=4)
        lines[0].set_label(name)
    ax.axhline(log(CLASSES), color="gray", linestyle=":", linewidth=1)
    ax.annotate("guessing: log 10", (9, log(CLASSES)), va="bottom", ha="center", color="gray")
    ax.set_xticks([2, 16], ["2 hidden layers\nof 24", "16 hidden layers\nof 10"])
    ax.set(yscale="log", xlim=(0, 18), ylabel="training loss (nats)", ylim=(None, 6))
    ax.legend(loc="lower right")
