"""Wider nets overfit noisy labels, most of all where they can only just fit them.

Slide: Non-intuitive behavior of MLP. More width, the deck says, does not lead to overfitting; a later version of the
slide says that it rarely does. With clean labels it does not, here up to 96 units: no wider net is worse than a
narrower one. With one label in five wrong it does. Narrow nets cannot fit the wrong labels and ignore most of them.
Wider ones can, and the test error climbs up to the interpolation threshold, where training error reaches zero, and
falls beyond it: double descent (Belkin et al. 2019; Nakkiran et al. 2020). Whether it falls far enough depends on the
task. Asked only whether a digit has a hole, a net with a single unit stays better than one with 48, which fits all.

All nets have one budget, and stop when they have fitted their labels; each has a rate of its own. By hand, there was a
peak with one rate for all, and with SGD with momentum in batches of 50.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from claimlab import Claim, Rows, Seeds, Statistical, draw
from claimlab.data.digits import CLASSES, digits
from claimlab.measure.fit import accuracy, cross_entropy, interpolates
from claimlab.nets import MLP
from claimlab.parts import parts, remembered
from claimlab.train import train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="generalization/wider-nets-overfit-noisy-labels",
    covers=("H11",),
    slide="Non-intuitive behavior of MLP",
    version=2,
    finding="false",
    says="Making a net wider does not lead to overfitting.",
    statement=(
        "With clean labels, wider nets are no worse. With a fifth of the labels wrong, test error climbs with the "
        "width by five points or more, up to the threshold where the training labels are just fitted, and falls by as "
        "much beyond it. On a task of two classes it does not come back: one unit stays better than 48."
    ),
    reason=(
        "Without wrong labels there is no peak, so it is not the width alone that overfits. A net that is just wide "
        "enough has to bend to every wrong label; wider ones fit them too, and spoil less of what lies around them."
    ),
    scope=(
        "One hidden layer of up to 96 units, 1000 small images of digits, full-batch Adam until all labels are "
        "fitted or 130 to 150 steps are over; float32. Trained for much longer, narrow nets overfit too, and the "
        "climb is smaller. Convolutional nets are not rerun here."
    ),
    source=(
        "Belkin, Hsu, Ma & Mandal 2019 (arXiv 1812.11118); Nakkiran et al. 2020, Deep double descent (arXiv 1912.02292)"
    ),
    evidence=Statistical(block=11),
)

Nets = tuple[tuple[int, float], ...]
"""The hidden units of every net, and its learning rate."""
NETS: Nets = ((8, 0.03), (24, 0.05), (48, 0.04), (96, 0.03))
SINGLE: Nets = (*[(1, 0.1)] * 4, (48, 0.03))

NOISE = 0.2
"""The share of training labels that are wrong."""

# In test error. Two points are what a wider net may be worse by chance, on 797 images, and what nobody would miss.
# A peak has five: a quarter of the labels that are wrong.
WORSE, PEAK = 0.02, 0.05

# Digits that enclose a hole when printed.
HOLES = (0, 4, 6, 8, 9)


@remembered  # several tests look at the same nets
def errors(
    seeds: Seeds, *, nets: Nets, noise: float, holes: bool, images: int = 1000, steps: int
) -> tuple[Tensor, Tensor]:
    """The error on the training labels and on new images, `[S, nets]` each.

    A seed draws the split of the images, which labels are wrong and how, and an initialisation for each net. The
    question is which digit it is, or only whether it has a hole. A net whose training error is zero stops.
    """
    data = digits(seeds, n=images, n_test=1797 - images)
    told, true, classes = data.y, data.y_test, CLASSES
    if holes:
        told, true = (torch.isin(y, torch.tensor(HOLES, device=y.device)).long() for y in (told, true))
        classes = 2
    wrong = round(noise * images)  # of the images, whose order is random
    shift = 1 + seeds.integers("labels.wrong", wrong, high=classes - 1)
    told = torch.cat([(told[:, :wrong] + shift) % classes, told[:, wrong:]], dim=1)
    train_error, test_error = [], []
    for place, (width, rate) in enumerate(nets):
        net = MLP((64, width, classes))
        parameters = train(
            seeds, net, net.init(seeds, name=f"init.{place}"), data.x, told,
            loss=cross_entropy, optimizer=partial(parts().adam, lr=rate),
            epochs=steps, goal=interpolates, check_every=5,
        ).parameters  # fmt: skip
        train_error.append(1 - accuracy(net(parameters, data.x), told))
        test_error.append(1 - accuracy(net(parameters, data.x_test), true))
    return torch.stack(train_error, dim=1), torch.stack(test_error, dim=1)


def climb(error: Tensor) -> Tensor:
    """By how much a wider net is worse than a narrower one, at most, `[S]`: 0 if the error only falls."""
    return (error - error.cummin(dim=1).values).amax(dim=1)


def learned(error: Tensor, *, holes: bool) -> Tensor:
    """Whether the narrowest net is wrong less than half as often as guessing is."""
    return error[:, 0] < (1 - 1 / (2 if holes else CLASSES)) / 2


def no_worse(
    seeds: Seeds,
    *,
    noise: float = 0.0,
    nets: Nets = NETS,
    steps: int = 130,
) -> Rows:
    """A win: no wider net is worse than a narrower one by more than two points. Premise: the narrowest has learned."""
    train_error, test_error = errors(seeds, nets=nets, noise=noise, holes=False, steps=steps)
    worse = climb(test_error)
    return Rows(
        win=worse <= WORSE, premise=learned(test_error, holes=False),
        climb=worse, train_error=train_error, test_error=test_error,
    )  # fmt: skip


def peak(
    seeds: Seeds,
    *,
    noise: float = NOISE,
    nets: Nets = NETS,
    steps: int = 130,
) -> Rows:
    """A win: test error climbs by the margin and falls by it, and is worst at the threshold or next to it.

    `threshold` counts the nets that come before the narrowest one without training errors. Next to it is the net before
    or after it, since the widths between are not tried.
    """
    train_error, test_error = errors(seeds, nets=nets, noise=noise, holes=False, steps=steps)
    worst = test_error.argmax(dim=1)
    top = test_error.amax(dim=1)
    fall = top - test_error[:, -1]
    threshold = (train_error > 0).cumprod(dim=1).sum(dim=1)  # how many nets come before it
    return Rows(
        win=(climb(test_error) >= PEAK) & (fall >= PEAK) & ((threshold - worst).abs() <= 1),
        premise=learned(test_error, holes=False),
        climb=climb(test_error), fall=fall, threshold=threshold, worst=worst,
        train_error=train_error, test_error=test_error,
    )  # fmt: skip


def not_recovered(seeds: Seeds, *, noise: float = NOISE, nets: Nets = SINGLE, steps: int = 150) -> Rows:
    """A win: asked for holes, the last net is worse than the narrow one by more than two points.

    A single unit may get stuck, so the narrow net is that of four initialisations which fits its labels best.
    """
    train_error, test_error = errors(seeds, nets=nets, noise=noise, holes=True, steps=steps)
    fitted = train_error[:, :-1].argmin(dim=1, keepdim=True)
    ends = torch.cat([test_error.gather(1, fitted), test_error[:, -1:]], dim=1)
    worse = ends[:, 1] - ends[:, 0]
    return Rows(
        win=worse > WORSE, premise=learned(ends, holes=True),
        worse=worse, train_error=train_error, test_error=ends,
    )  # fmt: skip


def test_deck_wording(judge):
    """With 200 of 1000 labels wrong, some wider net is worse than a narrower one by more than two points."""
    judge(no_worse, noise=NOISE).refutes()


def test_clean_labels(judge):
    """64-h-10 units, h = 8, 24, 48, 96, He's init, 130 full-batch steps of Adam or fewer, at .03, .05, .04, .03.

    On 797 new images no wider net's error is above a narrower one's by more than two points: so far the deck is right.
    """
    judge(no_worse).supports()


def test_claim(judge):
    """The same nets with 200 of 1000 labels wrong: test error climbs by five points and falls by five.

    The worst net is the narrowest without training errors, or next to it in this row of four.
    """
    judge(peak).supports()


def test_two_classes_do_not_recover(judge):
    """Whether a digit encloses a hole, 200 of 1000 answers wrong, at most 150 steps: 48 units at .03 are worse than 1.

    By more than two points of test error, of the best of four single units, at rate .1.
    """
    judge(not_recovered).supports()


def test_control_clean_labels_have_no_peak(judge):
    judge(peak, noise=0.0).refutes()


def test_control_two_clean_classes(judge):
    judge(not_recovered, noise=0.0).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """With wrong labels the test error peaks where the training error reaches zero; with clean ones it only falls."""
    widths = [width for width, _ in NETS]
    draw.numbers(ax.xaxis, widths, log=True)
    noisy, clean = measured["claim"], measured["control_clean_labels_have_no_peak"]
    draw.runs(ax, widths, 100 * noisy["test_error"], "new images, a fifth of the labels wrong")
    draw.runs(ax, widths, 100 * noisy["train_error"], "training labels, a fifth of them wrong")
    draw.runs(ax, widths, 100 * clean["test_error"], "new images, clean labels (control)")
    threshold = widths[round(float(noisy["threshold"].mean()))]
    draw.upright(ax, threshold, "all labels fitted\nfrom here on", height=0.28)
    ax.set(xlabel="hidden units", ylabel="error (%)", ylim=(0, None))
    draw.key(ax)
