"""Batch norm needs a mini-batch large enough to compute statistics from.

Slide: Batch Normalization. The statistics of m samples are an estimate. A batch of one has none; a batch of two leaves
nothing of a feature but which of the two is larger, and a net has little to learn from; from there on the noise falls
like 1 / sqrt(m), and with it the gap between training, which normalises by the batch, and evaluation, which does by an
average. Group norm takes its statistics from one sample and knows no batch.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Literal

import pytest
import torch

from claimlab import Certificate, Claim, Rows, Statistical
from claimlab.data.digits import CLASSES, digits
from claimlab.measure.draws import Draws
from claimlab.measure.fit import accuracy, cross_entropy
from claimlab.measure.rounding import moments, standardised
from claimlab.nets import CNN
from claimlab.parts import lift, parts
from claimlab.seeds import Seeds
from claimlab.train import train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

SIZES = (2, 4, 16)  # images a batch
MARGIN = 0.1  # what the smallest batch costs in test error; 11 points in the paper, from 32 images to 2
CHANCE = 1 - 1 / CLASSES

CLAIM = Claim(
    id="normalization/batch-norm-needs-large-batches",
    covers=("F6",),
    slide="Batch Normalization",
    version=1,
    finding="holds",
    says="Batch norm requires mini-batches that are large enough to compute statistics from.",
    statement="One epoch of SGD (momentum .9, learning rate .03 for 16 images, in proportion for fewer) on 384 digits "
    "of 8 x 8 pixels, He init: with batch norm a net of three 3 x 3 convolutions of stride 2 (8, 16, 32 channels) has "
    "a test error at least ten points higher from batches of 2 than from batches of 16, which bring it below half of "
    "chance. With group norm (one group) it does not. torch.nn.BatchNorm1d refuses to train on one value and makes 1 "
    "and -1 of any two; between 8 and 512 normal samples the gap between training and evaluation falls with a "
    "log-log slope of -.5 +- .05.",
    reason="The mean of m samples has variance sigma^2 / m, so the noise that training puts into every feature, and "
    "the gap to evaluation, fall like 1 / sqrt(m). Group norm and layer norm treat every sample by itself. On ImageNet "
    "ResNet-50 goes from 23.6 % to 34.7 % error with batch norm, from 32 images a GPU to 2, and stays at 24.1 % with "
    "group norm.",
    scope="every position of a map counts as a sample, if not an independent one; the maps here have 16, 4 and 1 "
    "positions, and where the last ones are larger a batch of two costs less. float32 (exact parts float64)",
    source="Wu and He 2018 (arXiv 1803.08494), table 2; Ioffe and Szegedy 2015 (arXiv 1502.03167)",
    evidence=Statistical(block=12),
)


def trial(seeds: Seeds, norm: Literal["batch", "group"] = "batch") -> Rows:
    """A seed draws the images, the initialisation and the order, the same for every batch size and both norms.

    A win is a test error, in evaluation mode, at least MARGIN higher with the smallest batches than with the largest,
    and a net that has learned from the largest.
    """
    world = digits(seeds, n=384, n_test=512)
    x, x_test = (images.unflatten(-1, (1, 8, 8)) for images in (world.x, world.x_test))
    layer_of = {"batch": parts().batch_norm_2d, "group": partial(parts().group_norm, 1)}
    net = CNN((1, 8, 16, 32), CLASSES, strides=(2, 2, 2), norm=layer_of[norm])
    errors = []
    for size in SIZES:
        parameters = net.init(seeds)
        running = net.start(parameters)
        fit = train(
            seeds, partial(net, running=running), parameters, x, world.y,
            loss=cross_entropy, optimizer=partial(parts().sgd, lr=0.03 * size / 16, momentum=0.9), epochs=1, batch=size,
        )  # fmt: skip
        with torch.no_grad():
            errors.append(1 - accuracy(net(fit.parameters, x_test, running, training=False), world.y_test))
    smallest, largest = errors[0], errors[-1]
    return Rows(win=(smallest - largest >= MARGIN) & (largest < CHANCE / 2), test_error=torch.stack(errors, dim=1))


def falls_like_one_over_sqrt_m(seeds: Seeds, *, together: int | None = None) -> Rows:
    """Whether the gap between training and evaluation falls like 1 / sqrt(m), for normal features.

    The gap is the root mean square of train(x) - eval(x) when evaluation has the true mean and variance. In a batch of
    variance s^2 the mean of (train(x) - x)^2 is 1 + mean x^2 - 2 s, so its expectation is 2 - 2 E s = 1.5 / m + O(1 /
    m^2), and the exact slope from 8 to 512 is -.504. Of `together`, only so many samples are normalised at a time,
    however large the batch.
    """
    sizes, features = (8, 32, 128, 512), 256
    pool = seeds.normal("x", sizes[-1], features)
    gaps = []
    for size in sizes:
        batches = pool[:, :size].unflatten(1, (-1, together or size)).transpose(1, 2).flatten(2)  # a feature a batch
        norm = lift(parts().batch_norm_1d, batches.shape[2])
        use = partial(norm, norm.init(seeds, "norm"), batches)
        gap = use(training=True) - use(norm.start(batches), training=False)
        gaps.append(gap.square().mean(dim=(1, 2)).sqrt())
    gap = torch.stack(gaps, dim=1)  # [S, sizes]
    m = torch.tensor(sizes, dtype=gap.dtype, device=gap.device).log()
    slope = (gap.log() * (m - m.mean())).sum(dim=1) / (m - m.mean()).square().sum()
    return Rows(win=(slope + 0.5).abs() <= 0.05, slope=slope, gap=gap)


def only_signs_survive(samples: int) -> Certificate:
    """Whether all outputs for a thousand features, of standard deviations from 1e-3 to 1e3, are 1 or -1.

    Two numbers lie d above and below their mean and have the variance d^2, so d / sqrt(d^2 + eps) comes out. Torch
    takes no eps of 0; with 1e-300 it is lost in the sum.
    """
    x = Draws(0).normal("x", samples, 1000) * torch.logspace(-3, 3, 1000, dtype=torch.float64)
    with torch.no_grad():
        y = parts().batch_norm_1d(1000, eps=1e-300, dtype=torch.float64)(x)
    off = (y.abs() - 1).abs().amax(dim=0)
    allowed = standardised(x, dim=0)
    return Certificate(bool((off <= allowed).all()), off=off.max(), rounding_allowed=allowed.max())


def refuses_one_sample(name: str) -> Certificate:
    """Whether the layer raises an error for a batch of one value a feature in training mode."""
    arguments = (1, 4) if name == "group_norm" else (4,)
    try:
        parts().named(name)(*arguments)(torch.ones(1, 4))
    except ValueError as error:
        return Certificate(True, error=str(error))
    return Certificate(False)


def knows_no_batch(name: str) -> Certificate:
    """Whether each of sixteen samples comes out the same, up to rounding, in every batch of the first m, in training.

    From m = 2, for batch norm has no smaller batch. With u = 2^-53, n <= 8 numbers in a statistic and k the largest |x|
    over the least spread of a group of four, the mean is off by at most n u max|x|, 1 / spread by (n + 3) u of itself,
    and four more operations round: n k u + 2 (n + 3) k u + 8 k u <= 38 k u for an output, twice that for two.
    """
    arguments = (2, 8) if name == "group_norm" else (8,)
    norm = parts().named(name)(*arguments, dtype=torch.float64)
    x = Draws(0).normal("x", 16, 8)
    with torch.no_grad():
        everything = norm(x)
        off = [float((norm(x[:m]) - everything[:m]).abs().max()) for m in range(2, 16)]
    allowed = 76 * 2**-53 * x.abs().max() / x.unflatten(1, (-1, 4)).std(dim=2, correction=0).min()
    return Certificate(bool(max(off) <= allowed), largest_difference=max(off), rounding_allowed=allowed)


def variance_of_the_mean(*, copies: bool = False) -> Certificate:
    """Whether the mean over a batch of m has a variance of sigma^2 / m, over all 3^m batches from three numbers.

    Every possible batch is a feature of its own, and its mean is what a running average that forgets at once keeps.
    Rounding moves the means, and so their deviation, by no more than `moments` allows, and that and sigma once more.
    With `copies` a batch is m times the same number, and 3 batches are possible.
    """
    population = torch.tensor([-1.0, 0.0, 4.0], dtype=torch.float64)
    sizes, variances, off = range(2, 7), [], []
    for m in sizes:
        batches = population.expand(m, 3) if copies else torch.cartesian_prod(*[population] * m).T  # [m, 3^m]
        norm = parts().batch_norm_1d(batches.shape[1], momentum=1.0, dtype=torch.float64)
        with torch.no_grad():
            norm(batches)
        means = norm.state_dict()["running_mean"]
        deviation, sigma = means.std(correction=0), population.std(correction=0)
        allowed = sum(moments(x, dim=0).max() for x in (batches, means, population))
        off.append(float((deviation - sigma / math.sqrt(m)).abs() / allowed))
        variances.append(float(deviation**2))
    return Certificate(max(off) <= 1, sizes=list(sizes), variances=variances)


def test_claim(judge):
    judge(trial).supports()


def test_control_group_norm(judge):
    judge(trial, norm="group").refutes()


def test_gap_falls_like_one_over_sqrt_m(judge):
    judge(falls_like_one_over_sqrt_m).supports()


def test_control_eight_at_a_time(judge):
    """Ghost batches: a larger batch does not help if its statistics come from eight samples."""
    judge(falls_like_one_over_sqrt_m, together=8).refutes()


@pytest.mark.exact
def test_one_sample_is_refused(judge):
    judge(refuses_one_sample, name="batch_norm_1d").supports()


@pytest.mark.exact
def test_control_group_norm_takes_one_sample(judge):
    judge(refuses_one_sample, name="group_norm").refutes()


@pytest.mark.exact
def test_two_samples_become_signs(judge):
    judge(only_signs_survive, samples=2).supports()


@pytest.mark.exact
def test_control_three_samples_keep_sizes(judge):
    judge(only_signs_survive, samples=3).refutes()


@pytest.mark.exact
def test_variance_of_the_mean(judge):
    judge(variance_of_the_mean).supports()


@pytest.mark.exact
def test_control_copies_are_no_samples(judge):
    """Samples that depend on one another, as positions of a map do, count for less."""
    judge(variance_of_the_mean, copies=True).refutes()


@pytest.mark.exact
def test_group_norm_knows_no_batch(judge):
    judge(knows_no_batch, name="group_norm").supports()


@pytest.mark.exact
def test_layer_norm_knows_no_batch(judge):
    judge(knows_no_batch, name="layer_norm").supports()


@pytest.mark.exact
def test_control_batch_norm_knows_its_batch(judge):
    judge(knows_no_batch, name="batch_norm_1d").refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Test error against the batch size, one line a seed."""
    arms = {"batch norm": "claim", "group norm (control)": "control_group_norm"}
    for colour, (name, test) in zip(("C0", "C1"), arms.items(), strict=True):
        lines = ax.plot(SIZES, measured[test]["test_error"].T, "o-", color=colour, alpha=0.6, linewidth=1, markersize=4)
        lines[0].set_label(name)
    ax.axhline(CHANCE, linestyle=":", linewidth=1, color="gray")
    ax.annotate("chance", (SIZES[-1], CHANCE), va="top", ha="right", color="gray")
    ax.set(xscale="log", xlabel="images in a batch", ylabel="test error", ylim=(0, 1))
    ax.set_xticks(SIZES, [str(size) for size in SIZES])
    ax.minorticks_off()
    ax.legend()
