"""With batch norm a convolutional net converges faster, and to an optimum that generalises better.

Slide: Reparametrizations and Normalizations. Two statements, and a rate between them: batch norm stands larger learning
rates, and Bjorck et al. hold that those, and not the norm, are what generalises. So the arms are compared twice.

In a deep net each arm has the learning rate that served it best on other seeds, which turned out to be the same one.
With batch norm the net is ahead early, and after the same number of passes it is ahead on the test images. That is what
the deck sees; but the other net has not fitted its training set by then, so nothing is said of optima yet.

In a shallow net both arms train well at one learning rate, and both fit the training set. There the test errors are
equivalent. The margin is three standard errors of the difference between two nets that err independently on 5 % of 1024
images, sqrt(2 0.05 0.95 / 1024) = 0.0096 each: 0.03 to the nearest point.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from claimlab import Claim, Rows, Statistical
from claimlab.data.digits import CLASSES, digits
from claimlab.measure.fit import accuracy, cross_entropy
from claimlab.nets import CNN
from claimlab.parts import parts, remembered
from claimlab.seeds import Seeds
from claimlab.train import train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured


@dataclass(frozen=True)
class World:
    """How many convolutions and training images, and the training.

    A stage is a learning rate and a number of passes over the data.
    """

    layers: int
    samples: int
    batch: int
    stages: tuple[tuple[float, int], ...]


# In the deep net 0.05 has the lowest test error on seeds of another epoch, out of 0.02, 0.05 and 0.1 in either arm.
DEEP = World(layers=9, samples=256, batch=16, stages=((0.05, 3), (0.01, 1)))
SHALLOW = World(layers=2, samples=768, batch=32, stages=((0.1, 6), (0.02, 2)))
ONE_BY_ONE = World(layers=2, samples=128, batch=1, stages=((0.005, 1),))

TEST_SAMPLES = 1024
MARGIN = 0.03
FITTED = 0.01
"""The training error up to which a net has fitted its training set."""

CLAIM = Claim(
    id="normalization/batch-norm-finds-a-better-optimum",
    covers=("F17",),
    slide="Reparametrizations and Normalizations",
    version=3,
    finding="contested",
    says="In convolutional nets, batch norm makes training converge faster, and to an optimum that generalises better.",
    statement=(
        "Nets of 3 x 3 convolutions with 16 channels (strides 2, 2, then 1; He init; biases only without batch norm) "
        "are trained on digits by SGD with momentum 0.9, the last passes at a fifth of the learning rate. Nine layers, "
        "256 images, batches of 16, learning rate 0.05, the best of three for either net: after 3 passes batch norm "
        "has the lower training error, and after 4 the lower test error. Two layers, 768 images, batches of 32, "
        "learning rate 0.1: after 8 passes both have fitted all but 1 % of the training set, and their test errors "
        "differ by less than 3 points."
    ),
    reason=(
        "Faster, yes, and better after the same passes where depth makes training hard. But the better optimum goes "
        "with the learning rate. In six layers (22 seeds) batch norm errs on 6.5 % of the test images at rate 0.1, "
        "7.2 % at 0.03 and 9.6 % at 0.01, the net without it on 9.6 to 10.3 % at rates from 0.01 to 0.03; and in two "
        "layers there is little to gain."
    ),
    scope=(
        "Small plain nets on 8 x 8 images; three rates tried for each arm, no weight decay, no augmentation; float32. "
        "Batch norm is evaluated with its running statistics."
    ),
    source="Ioffe & Szegedy 2015 (arXiv 1502.03167); on the learning rate Bjorck et al. 2018 (arXiv 1806.02375)",
    evidence=Statistical(block=11),
)


@dataclass(frozen=True)
class Trained:
    """The training error after every stage, `[S, stages]`, and the test error at the end, `[S]`."""

    train_error: Tensor
    test_error: Tensor


@remembered
def trained(seeds: Seeds, world: World, norm: Literal["batch", "none"]) -> Trained:
    """A seed draws the images, the weights and the order of the batches, which all arms share."""
    data = digits(seeds, n=world.samples, n_test=TEST_SAMPLES)
    x, x_test = (images.unflatten(2, (1, 8, 8)) for images in (data.x, data.x_test))
    layer = None if norm == "none" else parts().batch_norm_2d
    net = CNN((1, *[16] * world.layers), classes=CLASSES, strides=(2, 2), norm=layer)
    parameters = net.init(seeds)
    running = net.start(parameters)
    train_error = []
    for rate, passes in world.stages:
        parameters = train(
            seeds, lambda weights, inputs: net(weights, inputs, running), parameters, x, data.y, loss=cross_entropy,
            optimizer=partial(parts().sgd, lr=rate, momentum=0.9), epochs=passes, batch=world.batch,
        ).parameters  # fmt: skip
        train_error.append(1 - accuracy(net(parameters, x, running, training=False), data.y))
    test_error = 1 - accuracy(net(parameters, x_test, running, training=False), data.y_test)
    return Trained(torch.stack(train_error, dim=1), test_error)


def faster_and_better(seeds: Seeds, world: World = DEEP) -> Rows:
    """Whether batch norm is ahead in training after the first stage, and on the test images after the last."""
    batch, none = trained(seeds, world, "batch"), trained(seeds, world, "none")
    faster = batch.train_error[:, 0] < none.train_error[:, 0]
    return rows(faster & (batch.test_error < none.test_error), batch, none)


def equally_good(seeds: Seeds, world: World = SHALLOW) -> Rows:
    """Whether the test errors are equivalent, once both arms have fitted the training set."""
    batch, none = trained(seeds, world, "batch"), trained(seeds, world, "none")
    fitted = (batch.train_error[:, -1] <= FITTED) & (none.train_error[:, -1] <= FITTED)
    return rows(fitted & ((batch.test_error - none.test_error).abs() < MARGIN), batch, none)


def rows(win: Tensor, batch: Trained, none: Trained) -> Rows:
    """The rows of a comparison, with both arms' errors."""
    return Rows(
        win=win, batch_norm=batch.test_error, no_norm=none.test_error,
        batch_norm_train=batch.train_error, no_norm_train=none.train_error,
    )  # fmt: skip


def test_claim(judge):
    """For the deck: each arm at the rate that suits it, batch norm is faster and generalises better."""
    judge(faster_and_better).supports()


def test_equal_where_both_train_well(judge):
    """Against the deck: where both arms reach an optimum at one rate, it generalises alike."""
    judge(equally_good).supports()


def test_control_one_by_one(judge):
    """Image by image the norm levels the channels' means, which the readout goes by: no faster, and no better."""
    judge(faster_and_better, world=ONE_BY_ONE).refutes()


def test_control_one_by_one_they_differ(judge):
    """The equivalence is refuted there too: without the norm the net learns."""
    judge(equally_good, world=ONE_BY_ONE).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """The deep nets: training error along the passes and, on the right, the test error, one line a seed."""
    passes = list(accumulate(count for _, count in DEEP.stages))
    arms = {"batch norm": "batch_norm", "no norm": "no_norm"}
    for colour, (name, key) in zip(("C0", "C1"), arms.items(), strict=True):
        numbers = measured["claim"]
        lines = ax.plot(passes, 100 * numbers[f"{key}_train"].T, "o-", color=colour, alpha=0.6, linewidth=1)
        lines[0].set_label(name)
        ax.plot([passes[-1] + 1] * len(numbers[key]), 100 * numbers[key], "D", color=colour, alpha=0.6)
    ax.axvline(passes[-1] + 0.5, linestyle=":", linewidth=1, color="gray")
    ax.set_xticks([*passes, passes[-1] + 1], [*map(str, passes), "test\nerror"])
    ax.set(xlabel="passes over the training set", ylabel="error in %", ylim=(-2, None))
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
