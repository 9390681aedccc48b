"""Deeper nets overfit no more when training ends soon, and several times more when it goes on.

Slide: Non-intuitive behavior of MLP. More layers, the deck says, do not cause much more overfitting; a later version of
the slide says, not always. Before it stands the noisy sine, whose nets train until the loss has levelled off. Nets that
stop early here, each depth at a rate of its own, come about equally close to the best possible error with one, two and
three hidden layers. But that is the doing of the recipe. With eight times as many steps the net with one layer stays
about where it was, for it can do little with the noise. One with five goes on to fit it, and its error above what the
noise costs becomes several times that of one layer, and several times its own. Without noise it has nothing to overfit,
and long training does it no harm.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from claimlab import Claim, Rows, Seeds, Statistical, draw
from claimlab.data.noisy_sine import BAYES_RISK, NOISE, evaluation_grid, excess_risk, noisy_sine
from claimlab.measure.fit import mean_squared_error
from claimlab.nets import MLP
from claimlab.parts import parts, remembered
from claimlab.train import train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="generalization/deeper-nets-overfit-in-time",
    covers=("H14",),
    slide="Non-intuitive behavior of MLP",
    version=4,
    finding="scoped",
    says="Adding layers does not cause much more overfitting.",
    statement=(
        "Trained for 150 steps on the noisy sine, nets with two and three hidden layers have expected squared errors "
        "above that of one layer by no more than a tenth of what the noise costs. Trained for 1200 steps, five layers "
        "err by more than that tenth above what one layer does, and above what they themselves did after 150."
    ),
    reason=(
        "One layer trained by Adam hardly fits the noise, however long it trains; five layers do. Without "
        "noise they are not behind. So it is the end of training that keeps depth harmless."
    ),
    scope=(
        "One input, layers of 64 units and 160 points, in the long run 130; noise on nine tenths of the points, "
        "Glorot's initialisation, full-batch Adam, float32. By hand, small batches kept even the deep net from fitting "
        "the noise, and so may others."
    ),
    source="the deck's notebook learning_curves.ipynb; Caruana, Lawrence & Giles 2000, Overfitting in neural nets",
    evidence=Statistical(block=11),
)

Schedule = tuple[tuple[float, int], ...]
"""Learning rate and steps, one after the other."""

ONE, DEEP = 1, 5

# Each depth has a rate at which it learns the sine in 150 steps. In the long run all have one.
SOON: dict[int, Schedule] = {
    depth: ((rate, 100), (rate / 5, 50)) for depth, rate in {ONE: 0.05, 2: 0.01, 3: 0.007, DEEP: 0.005}.items()
}
LATE: dict[int, Schedule] = dict.fromkeys((ONE, DEEP), ((0.01, 1000), (0.003, 200)))

# In the long run fewer points show it, at less cost.
SMALL = {"samples": 130}

# Much more overfitting is an expected error that is larger by more than a tenth of what the noise costs every net.
MUCH = BAYES_RISK / 10

# Learned: nine tenths of the true function's variance (0.9 / 2, its mean is 0) is explained.
LEARNED = 0.45 / 10


@remembered  # for the tests that look at the same nets
def errors(
    seeds: Seeds, *, depth: int, schedule: Schedule, noise: float, width: int = 64, samples: int = 160
) -> tuple[Tensor, Tensor]:
    """The error on the sample and the expected error above the noise's, `[S]` each. A seed's nets share the sample.

    The risk is integrated over the inputs, so that no test noise blurs the comparison.
    """
    x, y = noisy_sine(seeds, "train", samples, noise=noise)
    grid = evaluation_grid(seeds)
    net = MLP((1, *[width] * depth, 1))
    parameters = net.init(seeds, parts().glorot_init, name=f"init.{depth}")
    for rate, steps in schedule:
        parameters = train(
            seeds, net, parameters, standardised(x), y,
            loss=mean_squared_error, optimizer=partial(parts().adam, lr=rate), epochs=steps,
        ).parameters  # fmt: skip
    train_error = mean_squared_error(net(parameters, standardised(x)), y)
    return train_error, excess_risk(net(parameters, standardised(grid)), grid)


def standardised(x: Tensor) -> Tensor:
    """The inputs with mean 0 and variance 1 under their law, whose mean is 0.4 and whose mean square is 1/3."""
    return (x - 0.4) / math.sqrt(1 / 3 - 0.4**2)


def compared(
    seeds: Seeds, schedules: dict[int, Schedule], depths: tuple[int, ...], noise: float, **sizes: int
) -> tuple[Tensor, dict[str, Tensor]]:
    """How much more the worst of the deeper nets errs than the shallowest, `[S]`, and the errors of all."""
    nets = [errors(seeds, depth=depth, schedule=schedules[depth], noise=noise, **sizes) for depth in depths]
    train_error, excess = (torch.stack(column, dim=1) for column in zip(*nets, strict=True))
    more = excess[:, 1:].amax(dim=1) - excess[:, 0]
    return more, {"more": more, "train_error": train_error, "excess": excess}


def harmless(
    seeds: Seeds,
    *,
    schedules: dict[int, Schedule] = SOON,
    depths: tuple[int, ...] = (ONE, 2, 3),
    noise: float = NOISE,
    **sizes: int,
) -> Rows:
    """A win: no deeper net is worse than the first by more than the margin. Premise: the first has learned the sine."""
    more, metrics = compared(seeds, schedules, depths, noise, **sizes)
    return Rows(win=more <= MUCH, premise=metrics["excess"][:, 0] < LEARNED, **metrics)


def overfits(
    seeds: Seeds,
    *,
    schedules: dict[int, Schedule] = LATE,
    depths: tuple[int, ...] = (ONE, DEEP),
    noise: float = NOISE,
    **sizes: int,
) -> Rows:
    """A win: the deep net is worse than the first by more than the margin, though it fits the sample better.

    The premise is that the first has learned the sine.
    """
    more, metrics = compared(seeds, schedules, depths, noise, **sizes)
    better = metrics["train_error"][:, -1] < metrics["train_error"][:, 0]
    ratio = metrics["excess"][:, -1] / metrics["excess"][:, 0]
    return Rows(win=(more > MUCH) & better, premise=metrics["excess"][:, 0] < LEARNED, ratio=ratio, **metrics)


def worsens(
    seeds: Seeds, *, depth: int = DEEP, schedules: dict[int, Schedule] = LATE, noise: float = NOISE, **sizes: int
) -> Rows:
    """A win: long training leaves a net worse than short training does, by more than the margin.

    The premise is that the net had learned the sine when the short training ended.
    """
    soon, late = (errors(seeds, depth=depth, schedule=of[depth], noise=noise, **sizes)[1] for of in (SOON, schedules))
    return Rows(win=late - soon > MUCH, premise=soon < LEARNED, soon=soon, late=late)


def test_claim(judge):
    """64 units, 160 points, Adam, 100 steps at .05, .01 or .007 with one, two or three layers, and 50 at a fifth of it.

    No expected squared error is above that of one layer by more than 0.0144, a tenth of the noise's 0.144.
    """
    judge(harmless).supports()


def test_after_long_training(judge):
    """On 130 points, 1000 steps at .01 and 200 at .003: five layers fit better than one, but err more.

    By over 0.0144, that is. How many times as large their error above the noise's is, is recorded and not judged.
    """
    judge(overfits, **SMALL).supports()


def test_long_training_worsens_deep_nets(judge):
    """The same five layers err more by over 0.0144 than after 100 steps at .005 and 50 at .001."""
    judge(worsens, **SMALL).supports()


def test_control_long_training(judge):
    """What is harmless after 150 steps is not when training goes on, with five layers."""
    judge(harmless, schedules=LATE, depths=(ONE, DEEP), **SMALL).refutes()


def test_control_without_noise(judge):
    """300 steps of the long training, on a sine without noise."""
    judge(overfits, noise=0.0, schedules=dict.fromkeys((ONE, DEEP), ((0.01, 300),)), **SMALL).refutes()


def test_control_worse_without_noise(judge):
    """There 300 steps at the higher rate do five layers no harm."""
    judge(worsens, noise=0.0, schedules=dict.fromkeys((ONE, DEEP), ((0.01, 300),)), **SMALL).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """With 150 steps all depths are alike; with 1200 five layers are several times as far from the best as one is."""
    ax.set(yscale="log", xlabel="hidden layers", ylabel="squared error above the noise's")
    draw.numbers(ax.xaxis, SOON)
    soon, late = measured["claim"]["excess"], measured["after_long_training"]["excess"]
    deep = measured["long_training_worsens_deep_nets"]["soon"]
    draw.runs(ax, (ONE, 2, 3), soon, "150 steps")
    draw.dots(ax, DEEP, deep, "150 steps", style="C0o", width=0)
    draw.runs(ax, LATE, late, "1200 steps", style="C3s-.")
    draw.level(ax, MUCH, "a tenth of what\nthe noise costs")
    draw.key(ax)
