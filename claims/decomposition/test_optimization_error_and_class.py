"""A larger class of models can leave a larger optimisation error.

Slide: Decomposition of the Error. The optimisation error is what the optimizer leaves between the training loss it
reaches and the lowest one in the class. Here the smaller class is the ReLU nets with two hidden layers of 16 units,
the larger one those with twelve. Every net of the smaller class is in the larger one: let ten more layers, with the
identity as weights and no bias, follow its second. They are fed with what a ReLU gave, so their ReLUs change nothing.

The lowest loss of a class is not known, but it can be bounded. It is at least 0, so the smaller class's optimisation
error is at most the loss it is trained to. In the larger class it is at most the loss of the smaller class's trained
net with ten copying layers, so the larger class's optimisation error is at least what it ends above that.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import log
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import Tensor

from claimlab import Certificate, Claim, Rows, Seeds, Statistical, draw
from claimlab.data.moons import Moons, two_moons
from claimlab.measure.fit import logistic
from claimlab.measure.piecewise import PiecewiseLinear, identity, relu
from claimlab.nets import MLP
from claimlab.parts import parts
from claimlab.train import train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="decomposition/optimisation-error-can-grow-with-the-class",
    covers=("A11",),
    slide="Decomposition of the Error (the trends of the three terms)",
    version=3,
    finding="holds",
    says="Where training is not convex, the optimisation error can grow with the class of models.",
    statement=(
        "Gradient descent leaves a larger optimisation error in ReLU nets of twelve hidden layers, under torch's "
        "default init, than in nets of two: by half of what knowing nothing costs. Yet the trained net of two layers "
        "is in the larger class as well, with ten layers that copy."
    ),
    reason=(
        "The deep net stays at log 2, where a coin would be, while copies of a shallow net's weights would do far "
        "better. Torch's default init lets a sixth of a signal's mean square through a ReLU layer, biases "
        "aside, so that gradient descent sees next to nothing of the data. With nested linear models, where training "
        "is convex, it does not happen."
    ),
    scope=(
        "that it can happen, shown for one pair of classes, one optimizer and one init, at a budget and at three times "
        "as much; float32. With three layers instead of twelve it does not"
    ),
    source="Bottou & Bousquet 2008, The tradeoffs of large scale learning, for the decomposition",
    evidence=Statistical(block=11),
)

# Half of what knowing nothing costs, which is log 2 nats.
GROWTH = log(2) / 2

Losses = tuple[Tensor, Tensor, Tensor]
"""Training losses `[S]`: of the smaller class, of the larger one, and of the first one's net copied into the larger."""


def trial(seeds: Seeds, *, classes: Callable[[Seeds, Moons], Losses], points: int = 30) -> Rows:
    """A seed draws the points and the initialisations.

    The premises: the copies copy, up to the rounding of products (equal bits are nothing to ask for: an accelerator may
    round what it multiplies by one); and the smaller class is trained so well that it would be a win if training left
    the larger one at log 2, where it knows nothing.
    """
    small, large, copied = classes(seeds, two_moons(seeds, n=points, n_test=2))
    at_most, at_least = small, large - copied  # bounds of the optimisation errors of the small and the large class
    alike = (copied - small).abs() <= GROWTH / 100
    could_win = log(2) - copied - small >= GROWTH
    return Rows(win=at_least - at_most >= GROWTH, premise=alike & could_win, small=small, large=large, copied=copied)


def nets(
    seeds: Seeds, world: Moons, *, width: int = 16, few: int = 2, layers: int = 12, steps: int = 150, rate: float = 0.1
) -> Losses:
    """Nets with few hidden layers, and with more."""
    shallow, deep = (MLP((2, *[width] * depth, 1)) for depth in (few, layers))
    draws = parts().torch_init
    fitted, deep_fitted = (
        fit(seeds, net, net.init(seeds, draws), world.x, world.y, steps=steps, rate=rate) for net in (shallow, deep)
    )
    ones = torch.eye(width, dtype=seeds.dtype, device=seeds.device).expand(len(seeds), -1, -1)
    copying = [ones, torch.zeros_like(ones[:, :1])] * (layers - few)
    copy = [*fitted[: 2 * few], *copying, *fitted[2 * few :]]
    return (
        logistic(shallow(fitted, world.x), world.y),
        logistic(deep(deep_fitted, world.x), world.y),
        logistic(deep(copy, world.x), world.y),
    )


def linear_models(
    seeds: Seeds, world: Moons, *, few: int = 128, many: int = 256, steps: int = 150, rate: float = 0.1
) -> Losses:
    """Linear models of fixed random ReLU units, of few and of many: from zero weights, a convex problem."""
    plain = torch.cat([torch.ones_like(world.x[..., :1]), world.x], dim=2)
    units = (plain @ seeds.normal("units", 3, many)).relu()
    smaller = units * (torch.arange(many, device=seeds.device) < few)  # the weights of the others stay 0
    model = MLP((many, 1))
    zero = [torch.zeros_like(parameter) for parameter in model.init(seeds)]
    fitted, larger_fitted = (fit(seeds, model, zero, x, world.y, steps=steps, rate=rate) for x in (smaller, units))
    return (
        logistic(model(fitted, smaller), world.y),
        logistic(model(larger_fitted, units), world.y),
        logistic(model(fitted, units), world.y),
    )


def fit(seeds: Seeds, net: MLP, start: list[Tensor], x: Tensor, y: Tensor, *, steps: int, rate: float) -> list[Tensor]:
    """The parameters after so many steps of gradient descent with momentum."""
    optimizer = partial(parts().sgd, lr=rate, momentum=0.9)
    return train(seeds, net, start, x, y, loss=logistic, optimizer=optimizer, epochs=steps).parameters


def relu_copies(*, values: PiecewiseLinear) -> Certificate:
    """Whether the ReLU of a unit that copies leaves the values it is given, a function of x on all of R, as they are.

    In a copying layer unit i computes relu(1 * value i + 0 * the others + 0), so this is all that has to be shown.
    """
    return Certificate(relu(values) == values, kinks=len(values.kinks), kinks_of_the_copy=len(relu(values).kinks))


def test_claim(judge):
    """Width 16, 30 two-moons points, 150 full-batch steps at rate 0.1 and momentum 0.9: a growth of half of log 2."""
    judge(trial, classes=nets).supports()


def test_three_times_as_many_steps(judge):
    """The same growth after 450 steps: the deep nets are not merely a little slower."""
    judge(trial, classes=partial(nets, steps=450)).supports()


@pytest.mark.exact
def test_relu_copies_what_a_relu_gave(judge):
    """So a net with more layers can do what the net with fewer does: the larger class contains the smaller."""
    judge(relu_copies, values=relu(identity())).supports()


def test_control_convex(judge):
    """Linear models of 128 random ReLU units, and of 256: the larger class is trained at least as well."""
    judge(trial, classes=linear_models).refutes()


def test_control_one_layer_more(judge):
    """Three layers instead of two make the class larger too, and training copes."""
    judge(trial, classes=partial(nets, layers=3)).refutes()


@pytest.mark.exact
def test_control_relu_does_not_copy_the_input(judge):
    """The input can be negative, so a copying layer cannot come first."""
    judge(relu_copies, values=identity()).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Training ends at a coin's loss in the largest class, and only there (a line a seed, controls dashed)."""
    pairs = {
        "claim": ("2 hidden\nlayers", "12 hidden\nlayers"),
        "control_one_layer_more": ("2 hidden\nlayers", "3 hidden\nlayers"),
        "control_convex": ("linear,\n128 units", "linear,\n256 units"),
    }
    places = [place for pair in range(len(pairs)) for place in (3 * pair, 3 * pair + 1)]
    for place, test in zip(places[::2], pairs, strict=True):
        losses = np.stack([measured[test]["small"], measured[test]["large"]], axis=1)
        draw.runs(ax, (place, place + 1), losses, "claim" if test == "claim" else "(control)")
    draw.level(ax, log(2), "a coin: log 2", where="right")
    draw.names(ax.xaxis, [name for pair in pairs.values() for name in pair], at=places)
    ax.tick_params(axis="x", labelsize=8)
    ax.set(ylabel="training loss (nats)", ylim=(-0.03, 0.8))
