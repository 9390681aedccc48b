"""Batch norm needs a mini-batch large enough to compute statistics from.

Slide: Batch Normalization. The statistics of m samples are an estimate. A batch of one has none; a batch of two leaves
nothing of a feature but which of the two is larger, and a net has little to learn from; from there on the noise falls
like 1/√m, and with it the gap between training, which normalises by the batch, and evaluation, which does by an
average. Group norm takes its statistics from one sample and knows no batch.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Literal

import pytest
import torch

from claimlab import Certificate, Claim, Rows, Seeds, Statistical, draw
from claimlab.data.digits import CLASSES, digits
from claimlab.data.overlap import are_new
from claimlab.measure.draws import Draws
from claimlab.measure.fit import accuracy, cross_entropy
from claimlab.measure.rounding import moments, standardised
from claimlab.nets import CNN
from claimlab.parts import lift, parts
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
    version=2,
    finding="holds",
    says="Batch norm requires mini-batches that are large enough to compute statistics from.",
    statement="Trained in batches of two images, a small convolutional net with batch norm errs on at least ten points "
    "more of new images than trained in batches of sixteen; with group norm it does not. Batch norm refuses to train "
    "on one value, keeps only the signs of two, and its gap between training and evaluation falls like 1/√m.",
    reason="The mean of m samples has variance σ²/m, so the noise that training puts into every feature, and "
    "the gap to evaluation, fall like 1/√m. Group norm and layer norm treat every sample by itself. On ImageNet "
    "ResNet-50 goes from 23.6 % to 34.7 % error with batch norm, from 32 images a GPU to 2, and stays at 24.1 % with "
    "group norm.",
    scope="large enough means four images here: they cost no ten points against sixteen, on average they cost nothing. "
    "Every position of a map counts as a sample, if not an independent one; the maps here have 16, 4 and 1 "
    "positions, and where the last ones are larger a batch of two costs less. float32 (exact parts float64)",
    source="Wu and He 2018 (arXiv 1803.08494), table 2; Ioffe and Szegedy 2015 (arXiv 1502.03167)",
    evidence=Statistical(block=12),
)


def trial(
    seeds: Seeds,
    *,
    norm: Literal["batch", "group"] = "batch",
    sizes: tuple[int, ...] = SIZES,
    samples: int = 384,
    test_samples: int = 512,
    channels: tuple[int, ...] = (8, 16, 32),
    rate: float = 0.03 / 16,
) -> Rows:
    """A seed draws the images, the initialisation and the order, the same for every batch size and both norms.

    A win is a test error, in evaluation mode, at least MARGIN higher with the smallest batches than with the largest.
    Premise: the net has learned from the largest, and the images of the test are new. The learning rate is `rate` for
    every image of a batch.
    """
    world = digits(seeds, n=samples, n_test=test_samples)
    x, x_test = (images.unflatten(-1, (1, 8, 8)) for images in (world.x, world.x_test))
    layer_of = {"batch": parts().batch_norm_2d, "group": partial(parts().group_norm, 1)}
    net = CNN((1, *channels), CLASSES, strides=(2,) * len(channels), norm=layer_of[norm])
    errors = []
    for size in sizes:
        parameters = net.init(seeds)
        running = net.start(parameters)
        fit = train(
            seeds, partial(net, running=running), parameters, x, world.y,
            loss=cross_entropy, optimizer=partial(parts().sgd, lr=rate * size, momentum=0.9), epochs=1, batch=size,
        )  # fmt: skip
        with torch.no_grad():
            errors.append(1 - accuracy(net(fit.parameters, x_test, running, training=False), world.y_test))
    smallest, largest = errors[0], errors[-1]
    premise = (largest < CHANCE / 2) & are_new(world.x_test, world.x)
    return Rows(win=smallest - largest >= MARGIN, premise=premise, test_error=torch.stack(errors, dim=1))


def falls_like_one_over_sqrt_m(
    seeds: Seeds, *, sizes: tuple[int, ...] = (8, 32, 128, 512), features: int = 256, together: int | None = None
) -> Rows:
    """Whether the gap between training and evaluation falls like 1/√m, for normal features.

    The gap is the root mean square of train(x) − eval(x) when evaluation has the true mean and variance. In a batch of
    variance s² the mean of (train(x) − x)² is 1 + mean x² − 2 s, so its expectation is 2 − 2 E s = 1.5/m + O(1/m²), and
    the exact slope from 8 to 512 is −.504. With `together`, only so many samples are normalised at a time, however
    large the batch.
    """
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


def only_signs_survive(*, samples: int) -> Certificate:
    """Whether all outputs for a thousand features, of standard deviations from 1e-3 to 1e3, are 1 or -1.

    Two numbers lie d above and below their mean and have the variance d², so d / √(d² + ε) comes out. Torch
    takes no ε of 0; with 1e-300 it is lost in the sum.
    """
    x = Draws(0).normal("x", samples, 1000) * torch.logspace(-3, 3, 1000, dtype=torch.float64)
    with torch.no_grad():
        y = parts().batch_norm_1d(1000, eps=1e-300, dtype=torch.float64)(x)
    off = (y.abs() - 1).abs().amax(dim=0)
    allowed = standardised(x, dim=0)
    return Certificate(bool((off <= allowed).all()), off=off.max(), rounding_allowed=allowed.max())


def refuses_one_sample(*, name: str) -> Certificate:
    """Whether the layer raises an error for a batch of one value a feature in training mode."""
    arguments = (1, 4) if name == "group_norm" else (4,)
    try:
        parts().named(name)(*arguments)(torch.ones(1, 4))
    except ValueError as error:
        return Certificate(True, error=str(error))
    return Certificate(False)


def knows_no_batch(*, name: str) -> Certificate:
    """Whether each of sixteen samples comes out the same, up to rounding, in every batch of the first m, in training.

    From m = 2, for batch norm has no smaller batch. What two outputs may differ by is twice the rounding of a sample's
    groups of numbers, two groups of four for group norm.
    """
    groups = 2 if name == "group_norm" else 1
    norm = parts().named(name)(*([groups] if groups > 1 else []), 8, dtype=torch.float64)
    x = Draws(0).normal("x", 16, 8)
    with torch.no_grad():
        everything = norm(x)
        off = [float((norm(x[:m]) - everything[:m]).abs().max()) for m in range(2, 16)]
    allowed = 2 * standardised(x.unflatten(1, (groups, -1)), dim=2).max()
    return Certificate(max(off) <= float(allowed), largest_difference=max(off), rounding_allowed=allowed)


def variance_of_the_mean(*, copies: bool = False) -> Certificate:
    """Whether the mean over a batch of m has a variance of σ²/m, over all 3ᵐ batches from three numbers.

    Every possible batch is a feature of its own, and its mean is what a running average that forgets at once keeps.
    Rounding moves the means, and so their deviation, by no more than `moments` allows, and that and σ once more.
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
    """One epoch on 384 digits of 8 × 8 pixels; three 3 × 3 convolutions of stride 2 (8, 16, 32 channels, He's init).

    SGD with momentum .9, learning rate .03 for batches of 16 and in proportion for fewer. From batches of 16 the net
    comes below half of chance, and from batches of 2 it errs on ten points more of 512 new images.
    """
    judge(trial).supports()


def test_control_group_norm(judge):
    """One group."""
    judge(trial, norm="group").refutes()


def test_gap_falls_like_one_over_sqrt_m(judge):
    """From 8 to 512 samples of 256 normal features: a slope of −.5 ± .05 on double logarithmic axes."""
    judge(falls_like_one_over_sqrt_m).supports()


def test_control_eight_at_a_time(judge):
    """Ghost batches: a larger batch does not help if its statistics come from eight samples."""
    judge(falls_like_one_over_sqrt_m, together=8).refutes()


def test_four_are_enough(judge):
    """The same nets from batches of 4 do not err on ten points more than from batches of 16."""
    judge(trial, sizes=(4, 16)).refutes()


@pytest.mark.exact
def test_one_sample_is_refused(judge):
    """torch.nn.BatchNorm1d raises an error for a batch of one in training mode."""
    judge(refuses_one_sample, name="batch_norm_1d").supports()


@pytest.mark.exact
def test_control_group_norm_takes_one_sample(judge):
    judge(refuses_one_sample, name="group_norm").refutes()


@pytest.mark.exact
def test_two_samples_become_signs(judge):
    """Of any two numbers torch.nn.BatchNorm1d makes 1 and −1: a thousand features of spreads from 1e-3 to 1e3."""
    judge(only_signs_survive, samples=2).supports()


@pytest.mark.exact
def test_control_three_samples_keep_sizes(judge):
    judge(only_signs_survive, samples=3).refutes()


@pytest.mark.exact
def test_variance_of_the_mean(judge):
    """σ²/m for m from 2 to 6, over all batches that can be drawn from three numbers."""
    judge(variance_of_the_mean).supports()


@pytest.mark.exact
def test_control_copies_are_no_samples(judge):
    """Samples that depend on one another, as positions of a map do, count for less."""
    judge(variance_of_the_mean, copies=True).refutes()


@pytest.mark.exact
def test_group_norm_knows_no_batch(judge):
    """Sixteen samples of 8 numbers in two groups come out the same in batches of every size."""
    judge(knows_no_batch, name="group_norm").supports()


@pytest.mark.exact
def test_layer_norm_knows_no_batch(judge):
    """So do they from layer norm."""
    judge(knows_no_batch, name="layer_norm").supports()


@pytest.mark.exact
def test_control_batch_norm_knows_its_batch(judge):
    judge(knows_no_batch, name="batch_norm_1d").refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Test error against the batch size, one line a seed: only batch norm's rises as batches shrink."""
    draw.numbers(ax.xaxis, SIZES, log=True)
    draw.runs(ax, SIZES, measured["claim"]["test_error"], "batch norm")
    draw.runs(ax, SIZES, measured["control_group_norm"]["test_error"], "group norm (control)")
    draw.level(ax, CHANCE, "chance")
    ax.set(xlabel="images in a batch", ylabel="test error", ylim=(0, 1))
    draw.key(ax)
