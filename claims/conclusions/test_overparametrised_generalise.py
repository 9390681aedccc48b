"""Nets with a thousand times more parameters than images fit them all, and are right about most new ones.

Slide: Conclusions. With so many parameters the images do not determine the net: it can be fitted to any labels, and the
control does that, with labels drawn at random. Nothing in the training error tells the two apart; only new images do.
So the parameters cannot be what keeps a net from generalising, and their number does not tell whether it does. What
does is not known for nets in general; for linear models it is the choice that descent makes (I4).

It is a conclusion from other entries: nets of the deck's own size on thirty points (H22), memorising (H15), and the
widths between, where wider nets are no worse with clean labels and, for a while, worse with noisy ones (H11). Here only
the number of parameters changes, from ten for each image on: no net is so small that it has to leave an image out.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

import torch

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
    id="conclusions/overparametrised-nets-generalise",
    covers=("I3",),
    slide="Conclusions",
    version=1,
    finding="holds",
    says="Neural networks have more parameters than samples and can generalise nevertheless.",
    statement="Trained on a hundred digit images, nets with ten, a hundred and a thousand parameters for each of them "
    "label all as told, and are right about two of three new ones or more. With a hundred, a net fits labels drawn "
    "at random as well, and is then right about one of three at most; chance is one of ten.",
    reason="Images with labels that mean something can be fitted in ways that generalise, and descent finds one of "
    "them; that others exist, and how many parameters there are, does not change that.",
    scope="nets of one hidden layer on clean labels, full-batch momentum SGD until all images are right, He's "
    "initialisation, float32. With noisy labels more parameters can be worse for a while (H11)",
    source="Zhang, Bengio, Hardt, Recht & Vinyals 2017 (arXiv 1611.03530)",
    evidence=Statistical(block=11),
)


def width(each: int, images: int) -> int:
    """The fewest units of a 64-h-10 net that make at least so many parameters for each image."""
    return -((CLASSES - each * images) // (64 + 1 + CLASSES))


def trial(
    seeds: Seeds,
    *,
    each: tuple[int, ...] = (10, 100, 1000),
    images: int = 100,
    held_out: int = 1000,
    rate: float = 0.1,
    steps: int = 300,
    shuffled: bool = False,
    asked: Literal["most", "few"] = "most",
) -> Rows:
    """A seed draws the images and the initialisations; labels may be drawn at random.

    A win: all nets are right about at least two thirds of the new images, or at most about a third. The premise is that
    all label the training images as told, and that new images are new.
    """
    data = digits(seeds, n=images, n_test=held_out)
    labels = seeds.integers("labels", images, high=CLASSES) if shuffled else data.y
    fitted, new, took = [], [], []
    for ratio in each:
        net = MLP((64, width(ratio, images), CLASSES))
        fit = train(
            seeds, net, net.init(seeds, name=f"init.{ratio}"), data.x, labels,
            loss=cross_entropy, optimizer=partial(parts().sgd, lr=rate, momentum=0.9), epochs=steps, goal=interpolates,
        )  # fmt: skip
        fitted.append(fit.met)
        took.append(fit.epochs)
        new.append(accuracy(net(fit.parameters, data.x_test), data.y_test))
    right = torch.stack(new, dim=1)
    return Rows(
        win=(right >= 2 / 3 if asked == "most" else right <= 1 / 3).all(dim=1),
        premise=torch.stack(fitted).all(dim=0) & are_new(data.x_test, data.x),
        accuracy=right, steps=torch.stack(took, dim=1),
    )  # fmt: skip


def test_claim(judge):
    """64-h-10 nets of 14, 134 and 1334 units, rate .1, momentum .9, until all 100 images are right.

    They are right about at least two thirds of 1000 new ones.
    """
    judge(trial).supports()


def test_random_labels_teach_little(judge):
    """134 units fit labels drawn at random, too, and are then right about at most a third of the new images."""
    judge(trial, each=(100,), shuffled=True, asked="few").supports()


def test_control_random_labels(judge):
    """A net of this size fits them, too."""
    judge(trial, each=(100,), shuffled=True).refutes()


def test_control_true_labels_teach_more(judge):
    judge(trial, each=(100,), asked="few").refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """With a thousand parameters an image nets are right about new ones, if labels mean something."""
    draw.numbers(ax.xaxis, (10, 100, 1000), log=True)
    draw.runs(ax, (10, 100, 1000), 100 * measured["claim"]["accuracy"], "true labels")
    draw.dots(ax, 100, 100 * measured["control_random_labels"]["accuracy"][:, 0], "random labels (control)")
    draw.level(ax, 100 / CLASSES, "chance")
    ax.set(xlabel="parameters for each training image", ylabel="new images that are right (%)", ylim=(0, 100))
    draw.key(ax)
