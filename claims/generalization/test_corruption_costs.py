"""The more training labels are noise, the more often a net that has learned them all is wrong on new images.

Slide: Deep Nets Generalize Better than They Should. Zhang et al. replace a share of the labels by random ones, from
none to all, train until every one is learned, and see the test error rise to that of a guess. Nothing else differs
between the nets here: a seed's images, the net's initial weights and which labels go first are the same at all shares,
and every net is right on all of its training labels. The training error, then, says nothing of it.

How fast the error grows can be read off the picture. A net that has learned its labels by heart passes them on: it is
wrong on new images about as often as its labels were.

What costs is that labels are noise, and not that they are other ones. The control gives at least as many images another
label but by a rule, which has classes pass their names round, and asks for the same on new images: that is learned as
well as the truth.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from claimlab import Claim, Rows, Seeds, Statistical, draw
from claimlab.data.digits import CLASSES, digits
from claimlab.data.overlap import are_new
from claimlab.measure.fit import accuracy, cross_entropy, interpolates
from claimlab.nets import MLP
from claimlab.parts import parts
from claimlab.train import train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="generalization/test-error-grows-with-corruption",
    covers=("H17",),
    slide="Deep Nets Generalize Better than They Should",
    version=1,
    finding="holds",
    says="The more labels are corrupted, the larger is the test error.",
    statement=(
        "A net is trained until it has learned all of its labels, of which none, a third, two thirds or all are drawn "
        "at random. From each to the next its error on new images grows by at least ten points, and in the end it is "
        "that of a guess. The training error is zero throughout."
    ),
    reason=(
        "What the net has learned by heart it passes on: it is wrong on new images about as often as its labels are. "
        "If at least as many are exchanged by a rule, and on the new images too, nothing is lost."
    ),
    scope="a small net on 256 images of 8 x 8 pixels, trained to the end, without regularisation; float32",
    source="Zhang, Bengio, Hardt, Recht & Vinyals 2017 (arXiv 1611.03530), section 2.1 and figure 1c",
    evidence=Statistical(block=11),
)

SHARES = (0, 1 / 3, 2 / 3, 1)

# A label that is drawn is another one nine times in ten, so a third of them adds 30 points of wrong labels. The error
# has to rise by a third of that.
GROWS = 0.1
AT_CHANCE = 2 / CLASSES  # right this often at most, as for the nets that memorise random labels


def trial(
    seeds: Seeds,
    *,
    shares: tuple[float, ...] = SHARES,
    by_rule: bool = False,
    width: int = 64,
    images: int = 256,
    held_out: int = 1000,
    rate: float = 0.3,
    steps: int = 100,
) -> Rows:
    """A seed draws the images, their random labels, the order in which these replace the true ones, and the net.

    All shares of a seed train in one block. `by_rule` the classes are exchanged for one another, as many as the share
    says, and on new images as well. The premise is that each net has learned its labels and the images are new.
    """
    data = digits(seeds, n=images, n_test=held_out)
    told, asked = (exchanged if by_rule else noisy)(seeds, data.y, data.y_test, shares)
    members = torch.arange(len(seeds)).repeat_interleave(len(shares))
    net = MLP((64, width, CLASSES))
    fit = train(
        seeds.take(members), net, [start[members] for start in net.init(seeds)], data.x[members], told.flatten(0, 1),
        loss=cross_entropy, optimizer=partial(parts().sgd, lr=rate, momentum=0.9), epochs=steps, goal=interpolates,
    )  # fmt: skip
    error = (1 - accuracy(net(fit.parameters, data.x_test[members]), asked.flatten(0, 1))).view(told.shape[:2])
    grows = error.diff(dim=1).amin(dim=1) >= GROWS
    return Rows(
        win=grows & (1 - error[:, -1] <= AT_CHANCE),
        premise=fit.met.view(told.shape[:2]).all(dim=1) & are_new(data.x_test, data.x),
        error=error,
        wrong=(told != data.y[:, None]).double().mean(dim=2),
        steps=fit.epochs.view(told.shape[:2]),
    )


def noisy(seeds: Seeds, y: Tensor, y_test: Tensor, shares: tuple[float, ...]) -> tuple[Tensor, Tensor]:
    """The labels `[S, shares, N]` of which a share is drawn at random, and the true ones of new images."""
    images = y.shape[1]
    drawn, place = seeds.integers("labels", images, high=CLASSES), seeds.permutation("corrupted", images)
    labels = [torch.where(place < round(share * images), drawn, y) for share in shares]
    return torch.stack(labels, dim=1), torch.stack([y_test] * len(shares), dim=1)


def exchanged(seeds: Seeds, y: Tensor, y_test: Tensor, shares: tuple[float, ...]) -> tuple[Tensor, Tensor]:
    """The labels when a share of the classes, drawn by the seed, pass their names round; so do the new images'."""
    order = seeds.permutation("classes", CLASSES)
    rules = []
    for share in shares:
        some = order[:, : round(share * CLASSES)]
        rules.append(torch.arange(CLASSES, device=y.device).expand_as(order).scatter(1, some, some.roll(1, dims=1)))
    told, asked = ([rule.gather(1, labels) for rule in rules] for labels in (y, y_test))
    return torch.stack(told, dim=1), torch.stack(asked, dim=1)


def test_claim(judge):
    """64-64-10 units, He's init, 256 digits, full-batch SGD with rate .3 and momentum .9 until all labels are learned.

    At shares of 0, 1/3, 2/3 and 1 the error on 1000 new images rises by at least 10 points each time, and at the last
    it is at least 80 %.
    """
    judge(trial).supports()


def test_control_labels_exchanged_by_a_rule(judge):
    """None, three, seven and all ten classes pass their names round, on new images too."""
    judge(trial, by_rule=True).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Where labels are noise, a net that learns them all is wrong on new images about as often as they are."""
    for label, test in (
        ("labels drawn at random", "claim"),
        ("exchanged by a rule (control)", "control_labels_exchanged_by_a_rule"),
    ):
        draw.runs(ax, [100 * share for share in SHARES], 100 * measured[test]["error"], label)
    draw.reference(ax, (0, 100), (0, 100 * (1 - 1 / CLASSES)), "share of wrong labels")
    draw.level(ax, 100 * (1 - 1 / CLASSES), "a guess")
    draw.numbers(ax.xaxis, (0, 33, 67, 100))
    ax.set(xlabel="training labels replaced (%)", ylabel="error on new images (%)", ylim=(0, 100))
    draw.key(ax)
