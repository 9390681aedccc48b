"""Before training a tenth of the images gives nearly the full gradient; without that redundancy a net still fits.

Slide: BTW: why minibatch SGD?. The deck says that samples repeat each other's gradient information, and that otherwise
nothing could be learned. How far the gradient g_B of a random batch lies from the full gradient g is known exactly
(`test_error_of_a_batch`). Whether that is near or far depends on the data, the labels and the weights:

- 1500 handwritten digits with their labels, an untrained net: near. Once the net has learned most of the digits, the
  same batch is far off.
- Random labels: that depends on the initial weights. From torch's, small, the batch is far off. From larger ones the
  outputs are wrong about all images alike, and to unlearn that is a direction that they share, whatever their labels.
- Generalising needs the redundancy. Fitting does not: samples whose gradients have nothing in common are fitted one
  by one.

Near means an angle of at most 45 degrees. That is the angle when the noise g_B - g is orthogonal to g and as long;
McCandlish et al. call the batch size at which it is as long on average the noise scale. Samples whose gradients are
orthogonal and equally long have the cosine √(B / N), 0.32 for a tenth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import partial
from itertools import combinations, product
from typing import TYPE_CHECKING, Literal

import pytest
import torch
from torch import Tensor

from claimlab import Certificate, Claim, Rows, Seeds, Statistical, draw
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
    id="sgd/a-tenth-gives-nearly-the-full-gradient",
    covers=("G2",),
    slide="BTW: why minibatch SGD?",
    version=3,
    finding="scoped",
    says="Samples carry redundant gradient information; without it a net could not generalise, nor learn at all.",
    statement=(
        "For an untrained net and 1500 labelled digit images, the gradient of 150 of them is within 45 degrees of the "
        "gradient of all. With random labels that depends on the initial weights. Where a tenth is not that near, SGD "
        "fits 300 random labels none the less, and is at chance on new images."
    ),
    reason=(
        "The redundancy is there as long as the labels have a pattern that the net has not learned yet, or its start a "
        "mistake that all samples share. Generalising lives on the first; fitting does without, because nets memorise."
    ),
    scope="one small net on digits, before training: after five epochs a tenth is no longer near; float32",
    source="McCandlish et al. 2018 (arXiv 1812.06162), noise scale; Chatterjee 2020 (arXiv 2002.10657), coherence",
    evidence=Statistical(block=11),
)

NEAR = 1 / math.sqrt(2)

# Chance is 0.1; the answers of a memoriser scatter around it, because similar images share a label by luck.
AT_CHANCE = 2 / CLASSES

Vector = tuple[Fraction, ...]


# -- digits ----------------------------------------------------------------------------------------------------------


def gradient(net: MLP, parameters: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
    """The gradient of mean cross-entropy on images `[S, N, 64]` with labels `[S, N]`, all parameters: `[S, p]`."""
    weights = [parameter.detach().requires_grad_() for parameter in parameters]
    parts = torch.autograd.grad(cross_entropy(net(weights, x), y).sum(), weights)
    return torch.cat([part.flatten(1) for part in parts], dim=1)


def cosine_of_a_tenth(net: MLP, parameters: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
    """The cosine between the gradients of the first tenth of the images (in random order) and of all: `[S]`."""
    part = x.shape[1] // 10
    return torch.cosine_similarity(
        gradient(net, parameters, x[:, :part], y[:, :part]), gradient(net, parameters, x, y), dim=1
    )


def a_tenth_is_near(
    seeds: Seeds,
    *,
    labels: Literal["true", "random"] = "true",
    images: int = 1500,
    width: int = 64,
    large: bool = False,
    rate: float = 0.2,
    epochs: int = 0,
) -> Rows:
    """A seed draws the images and the initialisation; `labels` may be random, and `epochs` of SGD may come before.

    If they are to be `large`, the initial weights are twice He's, else torch's.
    """
    world = digits(seeds, n=images, n_test=0)
    y = world.y if labels == "true" else seeds.integers("labels", images, high=CLASSES)
    net = MLP((64, width, CLASSES))
    start = [2 * part for part in net.init(seeds, parts().he_init)] if large else net.init(seeds, parts().torch_init)
    fit = train(
        seeds, net, start, world.x, y, loss=cross_entropy, optimizer=partial(parts().sgd, lr=rate),
        epochs=epochs, batch=100,
    )  # fmt: skip
    cosine = cosine_of_a_tenth(net, fit.parameters, world.x, y)
    return Rows(win=cosine >= NEAR, cosine=cosine, train_accuracy=accuracy(net(fit.parameters, world.x), y))


def fits_without_redundancy(
    seeds: Seeds, *, width: int = 128, images: int = 300, rate: float = 0.05, epochs: int = 40
) -> Rows:
    """A seed draws the images, their random labels, the initialisation and the batch order.

    The premise is that there is no redundancy, as a tenth is far from the whole, that the net has learned some of the
    labels, and that new images are new.
    """
    world = digits(seeds, n=images, n_test=1000)
    y = seeds.integers("labels", images, high=CLASSES)
    net = MLP((64, width, CLASSES))
    start = net.init(seeds, parts().torch_init)
    cosine = cosine_of_a_tenth(net, start, world.x, y)
    fit = train(
        seeds, net, start, world.x, y, loss=cross_entropy, optimizer=partial(parts().sgd, lr=rate, momentum=0.9),
        epochs=epochs, batch=30, goal=interpolates,
    )  # fmt: skip
    train_accuracy = accuracy(net(fit.parameters, world.x), y)
    test_accuracy = accuracy(net(fit.parameters, world.x_test), world.y_test)
    return Rows(
        win=(train_accuracy == 1) & (test_accuracy <= AT_CHANCE),
        premise=(cosine < NEAR) & (train_accuracy > AT_CHANCE) & are_new(world.x_test, world.x),
        cosine=cosine,
        train_accuracy=train_accuracy,
        test_accuracy=test_accuracy,
        epochs=fit.epochs,
    )


def test_claim(judge):
    """64-64-10 units, torch's initialisation, cross-entropy: the cosine is at least 0.707 for 150 of 1500 images."""
    judge(a_tenth_is_near).supports()


def test_large_initial_weights(judge):
    """From weights twice as large as He's, with the true labels."""
    judge(a_tenth_is_near, large=True).supports()


def test_random_labels_from_large_initial_weights(judge):
    """From weights twice He's a tenth is near although the labels are noise: the start's own mistakes are shared."""
    judge(a_tenth_is_near, large=True, labels="random").supports()


def test_control_random_labels(judge):
    """From torch's: the labels of the other images tell little about those of the tenth."""
    judge(a_tenth_is_near, labels="random").refutes()


def test_control_after_five_epochs(judge):
    """What most samples agree on has been learned; what is left differs from sample to sample."""
    judge(a_tenth_is_near, epochs=5).refutes()


def test_random_labels_are_fitted_without_redundancy(judge):
    """128 hidden units, rate 0.05, momentum 0.9, batches of 30: all 300 labels fit within 40 epochs.

    On 1000 new images at most 20 % are right, twice chance.
    """
    judge(fits_without_redundancy).supports()


def test_control_eight_units_cannot_fit(judge):
    judge(fits_without_redundancy, width=8).refutes()


# -- gradients of a linear net, in rational arithmetic ---------------------------------------------------------------


def dot(a: Sequence[Fraction], b: Sequence[Fraction]) -> Fraction:
    return sum((left * right for left, right in zip(a, b, strict=True)), Fraction(0))


def mean_of(vectors: Sequence[Vector]) -> Vector:
    return tuple(sum(column, Fraction(0)) / len(vectors) for column in zip(*vectors, strict=True))


def sample_gradient(weights: Vector, x: Vector, y: Fraction) -> Vector:
    """The gradient of half the squared error of the linear net <weights, x> on one sample."""
    return tuple((dot(weights, x) - y) * entry for entry in x)


WEIGHTS: Vector = (Fraction(1), Fraction(1, 2))
SAMPLES = ((1, 2, 3), (2, -1, 1), (-1, 1, 4), (3, 1, -2))  # two features and a label each
GRADIENTS = [sample_gradient(WEIGHTS, (Fraction(a), Fraction(b)), Fraction(y)) for a, b, y in SAMPLES]


def error_is_as_derived(gradients: Sequence[Vector] = GRADIENTS, *, replacement: bool = False) -> Certificate:
    """Whether the mean of |g_B − g|² over all batches of each size B is tr(Σ)/B × (N−B)/(N−1).

    With d_i = g_i − g, which add up to zero, |g_B − g|² is the sum of <d_i, d_j> over i, j in B, divided by B². A
    sample is in the batch with chance B/N, a pair with chance B (B−1) / (N (N−1)). All pairs i ≠ j together give
    −sum |d_i|², so the mean is sum |d_i|² / B² (B/N) (1 − (B−1)/(N−1)), and sum |d_i|² is N tr(Σ).
    """
    n, full = len(gradients), mean_of(gradients)

    def distance(vectors: Sequence[Vector]) -> Fraction:
        apart = [a - b for a, b in zip(mean_of(vectors), full, strict=True)]
        return dot(apart, apart)

    trace = sum((distance([one]) for one in gradients), Fraction(0)) / n
    sizes = range(1, n + 1)
    measured = []
    for size in sizes:
        batches = list(product(gradients, repeat=size) if replacement else combinations(gradients, size))
        measured.append(sum((distance(batch) for batch in batches), Fraction(0)) / len(batches))
    derived = [trace / size * Fraction(n - size, n - 1) for size in sizes]
    return Certificate(measured == derived, mean_squared_error=[float(e) for e in measured], trace=float(trace))


def every_batch_is_the_full_gradient(gradients: Sequence[Vector]) -> Certificate:
    """Whether all batches of all sizes have the gradient of the whole set."""
    full = mean_of(gradients)
    batches = [batch for size in range(1, len(gradients) + 1) for batch in combinations(gradients, size)]
    exact = sum(mean_of(batch) == full for batch in batches)
    return Certificate(exact == len(batches), batches=len(batches), equal=exact)


def one_pass_fits_orthogonal_samples(*, shared: int = 0) -> Certificate:
    """Whether one pass of SGD fits three samples of which none says anything about another, however they are labelled.

    The inputs are three rows of the 4 x 4 Hadamard matrix. At zero weights the gradient of a sample is −y x: these are
    orthogonal and equally long, so the squared cosine of any batch with the full gradient is B/N. A step of rate
    1 / |x|² fits its sample and leaves all others as they were; so it leaves the fourth row, which is not trained on.
    `shared` is added to the first entry of every row, and the gradients then have a direction in common.
    """
    rows = [[(-1) ** (i & j).bit_count() + shared * (j == 0) for j in range(4)] for i in range(4)]
    *inputs, unseen = [tuple(Fraction(entry) for entry in row) for row in rows]
    labellings = list(product((Fraction(1), Fraction(-1)), repeat=3))
    orthogonal = fitted = untouched = 0
    for labels in labellings:
        samples = list(zip(inputs, labels, strict=True))
        weights: Vector = (Fraction(0),) * 4
        gradients = [sample_gradient(weights, x, y) for x, y in samples]
        orthogonal += all(dot(a, b) == 0 for a, b in combinations(gradients, 2))
        for x, y in samples:
            step = sample_gradient(weights, x, y)
            weights = tuple(w - part / dot(x, x) for w, part in zip(weights, step, strict=True))
        fitted += all(dot(weights, x) == y for x, y in samples)
        untouched += dot(weights, unseen) == 0
    return Certificate(
        orthogonal == fitted == untouched == len(labellings),
        labellings=len(labellings), orthogonal=orthogonal, fitted=fitted, untouched=untouched,
    )  # fmt: skip


@pytest.mark.exact
def test_error_of_a_batch(judge):
    """The mean squared distance of a batch's gradient from the full one is tr(Σ)/B × (N−B)/(N−1): four samples."""
    judge(error_is_as_derived).supports()


@pytest.mark.exact
def test_control_drawn_with_replacement(judge):
    """Then the factor (N−B)/(N−1) is missing: a batch of all sizes misses the full gradient."""
    judge(error_is_as_derived, replacement=True).refutes()


@pytest.mark.exact
def test_copies_of_one_sample(judge):
    """Perfect redundancy: one sample is as good as all."""
    judge(every_batch_is_the_full_gradient, gradients=GRADIENTS[:1] * 4).supports()


@pytest.mark.exact
def test_control_distinct_samples(judge):
    judge(every_batch_is_the_full_gradient, gradients=GRADIENTS).refutes()


@pytest.mark.exact
def test_orthogonal_samples_are_fitted(judge):
    """Three inputs in four dimensions are fitted exactly in one pass, under all eight labellings by ±1."""
    judge(one_pass_fits_orthogonal_samples).supports()


@pytest.mark.exact
def test_control_samples_with_a_shared_direction(judge):
    """A step for one sample then moves the answers for all others, and one pass does not fit them."""
    judge(one_pass_fits_orthogonal_samples, shared=2).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """The cosine between the gradient of a tenth and that of all, one dot a seed: high while there is much to learn."""
    worlds = {
        "true labels,\nbefore training": "claim",
        "random labels,\nlarge weights": "random_labels_from_large_initial_weights",
        "random labels,\nbefore training\n(control)": "control_random_labels",
        "true labels,\nafter 5 epochs\n(control)": "control_after_five_epochs",
    }
    draw.columns(ax, {name: measured[test]["cosine"] for name, test in worlds.items()})
    draw.level(ax, NEAR, "45 degrees")
    draw.level(ax, math.sqrt(0.1), "orthogonal\nsamples")
    ax.set(ylabel="cosine of a tenth with all", ylim=(0, 1.03))
