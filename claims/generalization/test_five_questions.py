"""What lets deep nets generalise? Five ablations of one net, on one task, as effects on one axis.

Slide: The Mystery of Generalization, which asks whether it is the piecewise linear units, the composed architecture,
SGD with large steps, small batches and early stopping, the small random start of an over-parameterised net, or all of
these together. A question is not true or false, so nothing here asserts an answer. What is asserted is that the answers
are measured soundly.

One small ConvNet on the signals of MNIST-1D is taken as it is, and then without the thing that a question names: with
tanh units; on signals whose samples are put into one random order; with full batches, whose steps are five times
smaller for a signal, and trained on to half the loss; from initial weights three times He's in all three layers, which
is towards the lazy regime; and without all of these. The arms of a seed share signals, initial weights and the order of
the batches. Every arm fits its training set, to the same loss unless that is what is asked about, so that what it loses
on new signals is generalisation. A rate is one at which its arm gets there soon and surely; other rates would give
other effects.

The smallest effect that is of interest is six points, a fifth of what the net gets right beyond chance. The mean of
eleven seeds shows it if its 95 % interval, two deviations of a seed divided by √11, reaches less than six points to
either side. So where nothing is changed but the initial weights and the batches, a seed may read √11 / 2 times six
points.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from math import sqrt
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from claimlab import Claim, Rows, Seeds, Statistical, draw
from claimlab.data.mnist1d import CLASSES, LENGTH, POOL, mnist1d
from claimlab.measure.fit import accuracy, cross_entropy
from claimlab.nets.dense import affine
from claimlab.parts import Activation, initialiser, lift, parts, remembered
from claimlab.train import train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

SEEDS = 11
SMALLEST = 0.06
"""The smallest loss of accuracy that is of interest; the docstring above says why, and what a seed may read of none."""

CLAIM = Claim(
    id="generalization/five-questions",
    covers=("H19",),
    slide="The Mystery of Generalization",
    version=1,
    finding="open",
    says=(
        "Deep nets may generalise because of ReLUs, of deep compositions, of SGD, of over-parameterised nets with a "
        "small start, or of all of it (five questions)."
    ),
    statement=(
        "How much accuracy a small ConvNet loses on new signals without ReLUs, without the order of samples, without "
        "small batches and early stopping, without a small start, and without all four, is measured soundly: every "
        "arm fits its 100 signals, and where nothing but chance changes, seeds read too little to feign, in the mean "
        "of eleven, a loss of six points."
    ),
    reason=(
        "A question has answers and is not true or false. Read them off the figure, for this net and this task. What "
        "matters here need not matter elsewhere, an effect depends on the rate, and effects need not add up."
    ),
    scope=(
        "two convolutions on 100 signals of MNIST-1D, which was made to tell architectures apart; one learning rate an "
        "arm, a training loss of .1 nats; float32. An ablation shows what a net can do without, not why it generalises."
    ),
    source=(
        "The questions are the deck's. On architecture: the README of MNIST-1D (Greydanus), where shuffling takes a "
        "ConvNet from 94 % to 56 %. On the start: Chizat, Oyallon & Bach 2019 (arXiv 1812.07956)"
    ),
    evidence=Statistical(block=SEEDS),
)


@dataclass(frozen=True)
class ConvNet:
    """A convolution of windows of five samples, two apart, another of three such side by side, the mean, and a readout.

    It is a pure function of its parameters, a weight and a bias a layer. The windows of the first layer are a view of
    the signals, and those of the second do not overlap, so that either layer is one matrix product.
    """

    activation: Activation
    channels: tuple[int, int] = (16, 32)

    def init(self, seeds: Seeds, *, name: str) -> list[Tensor]:
        """He's weights, zero biases."""
        draw, (first, second) = initialiser(parts().he_init), self.channels
        return [
            of
            for place, fans in enumerate(((5, first), (3 * first, second), (second, CLASSES)), start=1)
            for of in (
                draw.weight(seeds, f"{name}.w{place}", *fans),
                draw.bias(seeds, f"{name}.b{place}", *fans).unsqueeze(1),
            )
        ]

    def __call__(self, parameters: list[Tensor], x: Tensor) -> Tensor:
        """The logits `[S, N, 10]` of signals `[S, N, 40]`."""
        w1, b1, w2, b2, readout, bias = parameters
        activate = lift(self.activation)
        windows = x.unfold(2, 5, 2).flatten(1, 2)
        z = activate([], affine(windows, w1, b1)).reshape(len(x), -1, w2.shape[1])
        z = activate([], affine(z, w2, b2)).unflatten(1, (x.shape[1], -1))
        return affine(z.mean(dim=2), readout, bias)


@dataclass(frozen=True)
class Arm:
    """How the net is trained. A batch of None is all signals; `scale` is that of the initial weights, in He's.

    `again` draws other initial weights and other batches, and `signals` is how many of the training set there are.
    """

    activation: str = "relu"
    shuffled: bool = False
    batch: int | None = 20
    rate: float = 0.1
    loss: float = 0.1
    scale: float = 1.0
    again: bool = False
    signals: int = 100


AS_IT_IS = Arm()
AGAIN = Arm(again=True)
ABLATIONS = {
    "tanh": Arm(activation="tanh"),
    "shuffled": Arm(shuffled=True),
    "full_batch": Arm(batch=None, loss=0.05),
    "large_start": Arm(scale=3.0, rate=0.02),
    "all_four": Arm(activation="tanh", shuffled=True, batch=None, rate=0.5, loss=0.05, scale=3.0),
}


@dataclass(frozen=True)
class Trained:
    """What came of an arm: which class it says each new signal is, its accuracy on them, and whether it fits, `[S]`."""

    answers: Tensor
    right: Tensor
    fits: Tensor


@remembered
def trained(seeds: Seeds, arm: Arm, *, signals: int = 100, most: int = 300) -> Trained:
    """Train the net of an arm until the loss is there, looked at after every third pass.

    A seed draws the signals, the order of their samples, the initial weights and the order of the batches.
    """
    data = mnist1d(seeds, n=signals, n_test=POOL - signals)
    x, y, x_test = data.x[:, : arm.signals], data.y[:, : arm.signals], data.x_test
    if arm.shuffled:
        order = seeds.permutation("samples", LENGTH)[:, None]
        x, x_test = (each.gather(2, order.expand_as(each)) for each in (x, x_test))
    if arm.again:
        x, y = x.flip(1), y.flip(1)  # others in every batch
    net = ConvNet(parts().named(arm.activation))
    start = [arm.scale * part for part in net.init(seeds, name="again" if arm.again else "init")]
    fit = train(
        seeds, net, start, x, y, loss=cross_entropy, optimizer=partial(parts().sgd, lr=arm.rate, momentum=0.9),
        epochs=most, batch=arm.batch, goal=lambda logits, labels: cross_entropy(logits, labels) < arm.loss,
        check_every=3,
    )  # fmt: skip
    logits = net(fit.parameters, x_test)
    return Trained(logits.argmax(dim=2), accuracy(logits, data.y_test), fit.met)


def measures(seeds: Seeds, *, nothing: Arm = AGAIN, smallest: float = SMALLEST) -> Rows:
    """Whether the effect of `nothing` is small enough that the mean of eleven seeds shows the smallest of interest.

    Premise: every arm fits its training set, the net as it is gets twice as many right as chance does, and none is
    compared with itself. An effect is the accuracy that an arm loses against the net as it is.
    """
    base, null = trained(seeds, AS_IT_IS), trained(seeds, nothing)
    arms = {name: trained(seeds, arm) for name, arm in ABLATIONS.items()}
    effects = {name: base.right - arm.right for name, arm in arms.items()}
    effect = base.right - null.right
    fits = torch.stack([arm.fits for arm in (base, null, *arms.values())]).all(dim=0)
    others = torch.stack([(base.answers != arm.answers).any(dim=1) for arm in (null, *arms.values())]).all(dim=0)
    return Rows(
        win=effect.abs() <= smallest * sqrt(SEEDS) / 2,
        premise=fits & others & (base.right > 2 / CLASSES),
        accuracy=base.right,
        nothing=effect,
        **effects,
        sum_of_four=torch.stack([effects[name] for name in ABLATIONS if name != "all_four"]).sum(dim=0),
    )


def test_claim(judge):
    """Convolutions of 16 and 32 channels, He's init, mean over time; 100 signals, and the 1900 others of the pool.

    SGD with momentum .9, batches of 20, rate .1, to a loss of .1 nats. The arms: tanh; shuffled samples; full batches
    to a loss of .05; three times the initial weights, at rate .02; all of it at rate .5. Each gets to its loss within
    300 passes, the net as it is gets more than 20 % of new signals right, and with other initial weights and batches
    it gets at most √11 / 2 times six points more or fewer right.
    """
    judge(measures).supports()


def test_control_fewer_signals(judge):
    """Where there is an effect the same instrument reads it: trained on 10 of the signals, the net falls behind."""
    judge(measures, nothing=replace(AGAIN, signals=10, batch=10)).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Accuracy lost without what a question names: dots are seeds, and bars their means with 95 % intervals."""
    lost = {
        "nothing\nbut chance": "nothing",
        "ReLU:\ntanh": "tanh",
        "order of\nsamples:\nshuffled": "shuffled",
        "small batch,\nearly stop:\nneither": "full_batch",
        "small\nstart:\n3 × larger": "large_start",
        "all four": "all_four",
    }
    for place, effect in enumerate(lost.values()):
        points = 100 * measured["claim"][effect]
        draw.dots(ax, place, points, width=0.5, style="0.6o")
        half = 2 * points.std(ddof=1) / sqrt(len(points))
        ax.errorbar(place, points.mean(), half, fmt="_", color="C0", markersize=24, capsize=5, linewidth=2, zorder=3)
    draw.level(ax, 0, "none")
    draw.level(ax, 100 * SMALLEST, "the smallest\nof interest")
    draw.names(ax.xaxis, lost)
    ax.set(xlim=(-0.5, len(lost) - 0.5), ylabel="accuracy lost (points)")
