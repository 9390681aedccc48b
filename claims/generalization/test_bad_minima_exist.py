"""A net can be right on all training points, have nothing left to learn there, and be wrong on many new ones.

Slide: Good and bad global minima. The deck makes bad minima with poison: a net is trained on the 30 points of two moons
and on others whose labels are noise, and is then looked at on the 30 alone. Here the labels of the poison are all
wrong, as by noise about half of them are right by luck.

That a net is right on the 30 does not make it a minimum: the logistic loss falls as long as the outputs grow. But if
they are multiplied by one factor, by that much larger weights in the last layer, every decision stays as it is and the
loss vanishes. So each net that is right on the 30 is worth as little loss as any other, and is asked for that: a loss
below 0.00001, and that fifty more steps on the 30 alone, at a rate at which others learn them, mend nothing.

How bad can they be? As bad as one likes: a net that is right on the deck's 30 points and wrong on each of 200 new ones
can be written down. Along a line through the plane it zigzags, and crosses zero wherever the label that is wanted of it
changes. The hinge loss has its minimum, zero, there.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import Tensor

from claimlab import Certificate, Claim, Rows, Seeds, Statistical, draw
from claimlab.data.moons import deck_moons, poisoned_moons
from claimlab.measure.fit import accuracy, interpolates, logistic
from claimlab.nets import MLP
from claimlab.parts import parts
from claimlab.train import train
from claimlab.train.poison import louder, margin, train_with_poison

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="generalization/bad-global-minima-exist",
    covers=("H23",),
    slide="Good and bad global minima",
    version=1,
    finding="holds",
    says="There are bad global minima: they fit the training set and do not generalise.",
    statement=(
        "On 30 points of two moons a net with 64 units a layer can be right on all points, have a loss below 0.00001, "
        "gain nothing by fifty more steps of descent, and be right on at least ten fewer of a hundred new points than "
        "a net that was trained on the 30 alone. Another, written down, is wrong on each of 200 new points."
    ),
    reason=(
        "A net that is flexible enough to fit noise can fit the 30 points and nonsense beside them. Descent finds such "
        "nets when it is taught the nonsense: here, 20 points with wrong labels."
    ),
    scope=(
        "Thirty points in the plane, nets made to be bad on purpose, float32. Whether training finds such nets on its "
        "own is another claim."
    ),
    source=(
        "Huang et al. 2020 (arXiv 1906.03291), figure 1: right on nearly all training points, and on fewer than 53 % "
        "of the others; Liu, Papailiopoulos & Achlioptas 2020 (arXiv 1906.02613)"
    ),
    evidence=Statistical(block=11),
)

# Ten of a hundred: the distance between a straight line, 88 %, and the deck's wide nets, 98 %.
GAP = 0.10

# The share of the 30 points that a net must be right on to have learned anything: halfway from guessing to all.
LEARNED = 0.75

# The logit of the worst of the 30 points: a loss of exp(-12), 0.000006, at most.
LOUD = 12.0

VANISHED = 1e-5


def trial(
    seeds: Seeds,
    *,
    widths: tuple[int, ...] = (64, 64),
    points: int = 30,
    poison: int = 20,
    wrong: bool = True,
    rate: float = 0.02,
    steps: int = 2000,
    further: int = 50,
) -> Rows:
    """A seed draws all points and the initialisation, which the good and the bad net share.

    The good one is trained on the clean points alone, the bad one also on the poison, whose labels are `wrong`. Then
    its outputs are multiplied, and it is trained `further` on the clean ones by descent.

    The premise is that the good net has learned; a seed whose bad net is not right on all clean points has no minimum.
    """
    world = poisoned_moons(seeds, n=points, poison=poison, flipped=True)
    x, y = world.x[:, :points], world.y[:, :points]
    told = world.y if wrong else torch.cat([y, 1 - world.y[:, points:]], dim=1)
    net = MLP((2, *widths, 1))
    start, adam = net.init(seeds, parts().glorot_init), partial(parts().adam, lr=rate)
    good = train(
        seeds, net, start, x, y, loss=logistic, optimizer=adam, epochs=steps, goal=interpolates, check_every=5
    ).parameters
    taught = train_with_poison(seeds, net, start, world.x, told, clean=points, optimizer=adam, epochs=steps).parameters

    by = margin(net(taught, x), y)
    loud = louder(taught, torch.where(by > 0, LOUD / by.clamp(min=0.01), 1.0).clamp(min=1.0))
    bad = train(
        seeds, net, loud, x, y, loss=logistic, optimizer=partial(parts().sgd, lr=0.1, momentum=0.9), epochs=further
    ).parameters
    loss, good_accuracy, bad_accuracy = (
        logistic(net(bad, x), y),
        accuracy(net(good, world.x_test), world.y_test),
        accuracy(net(bad, world.x_test), world.y_test),
    )
    return Rows(
        win=interpolates(net(bad, x), y) & (loss <= VANISHED) & (bad_accuracy <= good_accuracy - GAP),
        premise=accuracy(net(good, x), y) >= LEARNED,
        good=good_accuracy,
        taught=accuracy(net(taught, world.x_test), world.y_test),
        bad=bad_accuracy,
        loss=loss,
        gradient=length_of_gradient(net, bad, x, y),
    )


def length_of_gradient(net: MLP, parameters: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
    """The norm of the mean logistic loss's gradient, all parameters together, `[S]`."""
    weights = [parameter.detach().requires_grad_() for parameter in parameters]
    gradient = torch.autograd.grad(logistic(net(weights, x), y).sum(), weights)
    return torch.cat([part.flatten(1) for part in gradient], dim=1).norm(dim=1)


# -- in rational arithmetic ------------------------------------------------------------------------------------------


def written_down(*, new: int = 200, from_training_set: bool = False) -> Certificate:
    """A zigzag that is right on the deck's 30 training points and wrong on `new` of its test points.

    The points are projected on a line. Between two neighbours that are to get different signs it crosses zero halfway,
    with slopes of 1 and -1; from one crossing to the next it has one kink, a ReLU unit's. At the end all is multiplied
    by one factor, so that the logit of the worst of the 30 is 1 and their hinge losses are exactly zero.
    """
    x, y, x_test, y_test = deck_moons()
    fresh, labels = (x, y) if from_training_set else (x_test[:new], y_test[:new])
    at = [*map(projected, x), *map(projected, fresh)]
    signs = [*signs_of(y), *(-sign for sign in signs_of(labels))]
    crossings = crossings_of(sorted(zip(at, signs, strict=True)))
    kinks = [(left + right) / 2 for left, right in pairwise(crossings)]
    first = min(zip(at, signs, strict=True))[1]

    def logit(t: Fraction) -> Fraction:
        bends = (2 * (-1) ** place * (t - kink) for place, kink in enumerate(kinks) if t > kink)
        return first * (crossings[0] - t + sum(bends, Fraction(0)))

    own = [sign * logit(t) for t, sign in zip(at[: len(x)], signs, strict=False)]
    factor = 1 / min(own) if min(own) > 0 else Fraction(1)
    hinge = sum(max(1 - factor * each, Fraction(0)) for each in own)
    wrong = sum(sign * logit(t) < 0 for t, sign in zip(map(projected, fresh), signs_of(labels), strict=True))
    return Certificate(
        hinge == 0 and wrong == len(fresh),
        training_loss=float(hinge),
        wrong=wrong,
        new=len(fresh),
        units=len(kinks) + 1,
    )


def projected(point: np.ndarray) -> Fraction:
    """A point of the plane on a line on which no two of the deck's lie in one place, exactly."""
    return Fraction(float(point[0])) + 3 * Fraction(float(point[1]))


def signs_of(labels: Iterable[int]) -> list[int]:
    """1 for label 1 and -1 for label 0."""
    return [2 * int(label) - 1 for label in labels]


def crossings_of(points: list[tuple[Fraction, int]]) -> list[Fraction]:
    """Halfway between neighbours of different signs."""
    return [(a + b) / 2 for (a, one), (b, other) in pairwise(points) if one != other]


def test_claim(judge):
    """2-64-64-1 units, Glorot's initialisation, Adam at rate 0.02; 30 points, and 20 with wrong labels.

    The bad net is taught until it is right on the 30 by a logit of 0.3 and has learned 15 of the wrong labels, in at
    most 2000 steps. Then its outputs are multiplied until the worst logit is 12, and fifty steps of descent follow at
    rate 0.1 and momentum 0.9. It is right on all 30 and on at least ten points fewer in a hundred, of 1000 new ones.
    """
    judge(trial).supports()


def test_control_poison_with_the_right_labels(judge):
    """Twenty more points with their own labels: what is taught besides is no nonsense, and nothing is bad."""
    judge(trial, wrong=False).refutes()


def test_control_four_units_cannot(judge):
    """One layer of four learns most of the 30, at rate 0.05 in 300 steps, but not the nonsense beside them."""
    judge(trial, widths=(4,), rate=0.05, steps=300).refutes()


@pytest.mark.exact
def test_written_down(judge):
    """A net of one hidden layer, in rational arithmetic: no hinge loss on the deck's 30 points, 200 of 200 wrong."""
    judge(written_down).supports()


@pytest.mark.exact
def test_control_new_points_that_are_not_new(judge):
    judge(written_down, from_training_set=True).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """A net that is right on all 30 points, but was taught nonsense besides, is far worse on new ones, and stays so."""
    rows = measured["claim"]
    for place, (column, label, style) in enumerate(
        (("good", "trained on the 30 points", ""), ("bad", "taught nonsense besides", "C1s"))
    ):
        draw.dots(ax, place, 100 * rows[column], label, style=style)
    control = measured["control_poison_with_the_right_labels"]
    draw.dots(ax, 2, 100 * control["bad"], "taught 20 right labels (control)", style="C3^")
    draw.names(ax.xaxis, ("plain training", "poison", "right labels\n(control)"))
    draw.level(ax, 50, "guessing")
    ax.set(ylabel="right on 1000 new points (%)", ylim=(45, 101), xlim=(-0.5, 2.5))
    draw.key(ax)
