"""From different seeds a wide net ends at similar training losses; a narrow one ends now well, now badly.

Slide: Non-convex Optimization. Seeds decide where descent starts and in which order it meets the samples. Similar is a
word that needs a scale, and the scale was chosen before anything was trained: any two of eight runs on the same data,
for the same number of steps, end within a factor of two. On this logarithmic scale it is hard to pass: two losses near
zero, which look the same on a plot, may differ a hundredfold. A difference that is "not significant" would be easy to
get with few runs, and is not what is asked.

Two nets that have learned nothing are similar as well, so the best of the eight must have learned most of what there is
to learn. And the narrow net must be of a width at which some runs succeed: two units are too few for all starts, which
then all end at similar losses, bad ones.

Width is not all. With a rate so large that the loss jumps before it falls, wide nets too end far apart on this scale.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import log
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from claimlab import Claim, Rows, Seeds, Statistical, draw
from claimlab.data.digits import CLASSES, digits
from claimlab.data.moons import two_moons
from claimlab.measure.fit import cross_entropy, logistic
from claimlab.nets import MLP
from claimlab.parts import parts
from claimlab.train import train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="optimization/seeds-end-at-similar-losses",
    covers=("D5",),
    slide="Non-convex Optimization",
    version=1,
    finding="scoped",
    says="Training from different random seeds ends at similar training losses.",
    statement=(
        "Train a wide ReLU net eight times on the same data, from different seeds, for the same number of steps: any "
        "two final training losses are within a factor of two. With four hidden units, or with steps that are too "
        "large, they are not: the worst of sixteen ends at five times the loss of the best or more."
    ),
    reason=(
        "Width makes seeds alike: in a wide net the many units of every start add up to much the same, and with few "
        "units it matters which ones a start happens to have."
    ),
    scope="one hidden layer, two moons with full batches and digits with minibatches, losses compared by their ratio "
    "after equal budgets, He's initialisation, float32",
    source="Choromanska, Henaff, Mathieu, Ben Arous & LeCun 2015 (arXiv 1412.0233): bad minima are found by small nets",
    evidence=Statistical(block=11),
)

SIMILAR = 2.0
"""The ratio of two final losses up to which they are similar."""

APART = 5.0
"""The ratio from which on they are far apart."""

LEARNED = 0.25
"""The share of what knowing nothing costs that the best run must fall below."""


def final_losses(
    seeds: Seeds, net: MLP, x: Tensor, y: Tensor,
    *, loss: Callable[[Tensor, Tensor], Tensor], runs: int, rate: float, epochs: int, batch: int | None = None,
) -> Tensor:  # fmt: skip
    """Training losses `[S, runs]`: each of the `runs` has an initialisation and an order of batches of its own."""
    each = replace(seeds, indices=tuple(runs * index + run for index in seeds.indices for run in range(runs)))
    x, y = x.repeat_interleave(runs, dim=0), y.repeat_interleave(runs, dim=0)
    fit = train(
        each, net, net.init(each), x, y,
        loss=loss, optimizer=partial(parts().sgd, lr=rate, momentum=0.9), epochs=epochs, batch=batch,
    )  # fmt: skip
    return loss(net(fit.parameters, x), y).unflatten(0, (-1, runs))


def judged(losses: Tensor, nothing: float, *, apart: bool = False) -> Rows:
    """Whether the worst run of every seed is near the best, or far `apart` from it, where the best has learned."""
    best, worst = losses.amin(dim=1), losses.amax(dim=1)
    win = worst >= APART * best if apart else worst <= SIMILAR * best
    ratio = worst / best.clamp(min=torch.finfo(best.dtype).tiny)
    return Rows(win=win, premise=best < LEARNED * nothing, ratio=ratio, losses=losses)


def moons(
    seeds: Seeds,
    *,
    width: int = 128,
    points: int = 30,
    noise: float = 0.1,
    runs: int = 8,
    rate: float = 0.1,
    steps: int = 300,
    apart: bool = False,
) -> Rows:
    """Full-batch descent on two moons; a seed draws the points. With more noise some are easy by luck, a line apart."""
    world = two_moons(seeds, n=points, n_test=2, noise=noise)
    net = MLP((2, width, 1))
    losses = final_losses(seeds, net, world.x, world.y, loss=logistic, runs=runs, rate=rate, epochs=steps)
    return judged(losses, log(2), apart=apart)


def images(
    seeds: Seeds, *, width: int = 64, samples: int = 128, runs: int = 8, rate: float = 0.03, epochs: int = 20
) -> Rows:
    """SGD on digits in batches of 32; a seed draws the images."""
    world = digits(seeds, n=samples, n_test=1)
    net = MLP((64, width, CLASSES))
    losses = final_losses(
        seeds, net, world.x, world.y, loss=cross_entropy, runs=runs, rate=rate, epochs=epochs, batch=32
    )
    return judged(losses, log(CLASSES))


def test_claim(judge):
    """128 hidden units, He's initialisation, thirty points, 300 full-batch steps at rate 0.1 and momentum 0.9."""
    judge(moons).supports()


def test_minibatches_on_digits(judge):
    """64 hidden units, 128 images, twenty epochs in batches of 32 at rate 0.03, each run in an order of its own."""
    judge(images).supports()


def test_four_units_end_apart(judge):
    """Sixteen runs of 600 steps: the worst ends at five times the loss of the best or more."""
    judge(moons, width=4, runs=16, steps=600, apart=True).supports()


def test_large_steps_end_apart(judge):
    """Eight runs of 64 hidden units, 100 steps at rate 4, forty times the claim's: again at least five times."""
    judge(moons, width=64, rate=4.0, steps=100, apart=True).supports()


def test_control_four_units(judge):
    """Some starts have units in the right places and some do not."""
    judge(moons, width=4, runs=12, steps=600).refutes()


def test_control_small_steps_do_not_end_apart(judge):
    """The same 64 units at the claim's rate."""
    judge(moons, width=64, steps=100, apart=True).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Eight runs on each of eleven data sets: those of the wide net end together, those of the narrow one far apart."""
    ax.set(yscale="log")
    for test, label, aside in (("claim", "128 units", -0.15), ("control_four_units", "4 units (control)", 0.15)):
        losses = measured[test]["losses"][:11, :8]
        places = np.arange(1, len(losses) + 1) + aside
        for run in losses.T:
            draw.dots(ax, places, run, label)
    draw.level(ax, log(2), "knowing\nnothing")
    draw.numbers(ax.xaxis, range(1, 12))
    ax.set(xlabel="set of thirty points", ylabel="final training loss")
    draw.key(ax)
