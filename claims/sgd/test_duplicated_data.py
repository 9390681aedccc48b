"""Training on every sample twice costs full-batch gradient descent twice the work, and SGD nothing.

Slide: BTW: why minibatch SGD?. The world is small enough to enumerate: three samples, the deck's own net with two
weights, and rational arithmetic. What SGD does is not sampled but computed: the law of its iterate, exactly. That law
is left as it was if a batch is drawn with replacement. The epochs in use, a shuffled pass over the stored samples, draw
without, and on copies they are another method, if not by much: a control.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from itertools import pairwise, permutations, product
from statistics import mean
from typing import TYPE_CHECKING

import numpy as np

from claimlab import Certificate, Claim, Exact, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="sgd/copies-cost-full-batches-and-not-sgd",
    covers=("G3",),
    slide="BTW: why minibatch SGD?",
    version=2,
    finding="scoped",
    says="Doubling the training set with copies doubles the time of full-batch gradient descent, not that of SGD.",
    statement="With every sample stored twice, full-batch gradient descent on a mean loss makes the same iterates and "
    "computes twice as many per-sample gradients a step. The law of the SGD iterate, with batches drawn with "
    "replacement, is the same, and so is the cost of a step.",
    reason="A mean over copies is the mean over the originals, and drawing with replacement from copies has the law of "
    "drawing with replacement from the originals. The deck does not say how batches are drawn; without replacement, as "
    "in shuffled epochs, copies change the law.",
    scope="three samples and three steps; mean loss; draws with replacement; cost counted in per-sample gradients a "
    "step. An epoch of SGD, a fixed number of steps per stored sample, does double",
    source="an identity of means and of laws, enumerated",
    evidence=Exact(),
)

Sample = tuple[Fraction, Fraction]
Weights = tuple[Fraction, Fraction]
Law = dict[Weights, Fraction]

SAMPLES: tuple[Sample, ...] = tuple((Fraction(x), Fraction(y)) for x, y in ((1, 2), (2, 3), (-1, 1)))
START: Weights = (Fraction(1), Fraction(1, 2))


@cache  # the enumeration comes back to the same weights and samples
def gradient(weights: Weights, sample: Sample) -> Weights:
    """The gradient of one sample's squared error (w₂ relu(w₁ x) − y)²."""
    (w1, w2), (x, y) = weights, sample
    hidden = max(w1 * x, Fraction(0))
    slope = 2 * (w2 * hidden - y)
    return slope * w2 * x if hidden else Fraction(0), slope * hidden


def loss(weights: Weights, samples: Sequence[Sample] = SAMPLES) -> Fraction:
    """The mean squared error on the samples."""
    w1, w2 = weights
    return mean((w2 * max(w1 * x, 0) - y) ** 2 for x, y in samples)


def step(weights: Weights, batch: Sequence[Sample], *, rate: Fraction, summed: bool = False) -> tuple[Weights, int]:
    """The next weights, and how many per-sample gradients they cost."""
    gradients = [gradient(weights, sample) for sample in batch]
    scale = rate if summed else rate / len(gradients)
    slope1, slope2 = (sum(parts) for parts in zip(*gradients, strict=True))
    return (weights[0] - scale * slope1, weights[1] - scale * slope2), len(gradients)


def full_batches(samples: Sequence[Sample], *, steps: int, rate: Fraction, summed: bool) -> tuple[list[Weights], int]:
    """The iterates of gradient descent, and the per-sample gradients of a step."""
    iterates, cost = [START], 0
    for _ in range(steps):
        following, cost = step(iterates[-1], samples, rate=rate, summed=summed)
        iterates.append(following)
    return iterates, cost


def minibatches(
    samples: Sequence[Sample], *, steps: int, rate: Fraction, size: int, replacement: bool
) -> tuple[list[Law], int]:
    """The laws of the SGD iterates, all ordered draws enumerated, and the per-sample gradients of a step.

    Batches are drawn afresh at every step; `replacement` is about the draws within one batch.
    """
    draws = list(product(samples, repeat=size) if replacement else permutations(samples, size))
    laws, cost = [{START: Fraction(1)}], 0
    for _ in range(steps):
        law: defaultdict[Weights, Fraction] = defaultdict(Fraction)
        for weights, chance in laws[-1].items():
            for batch in draws:
                following, cost = step(weights, batch, rate=rate)
                law[following] += chance / len(draws)
        laws.append(dict(law))
    return laws, cost


def copies_cost_only_full_batches(
    *,
    steps: int = 3,
    rate: Fraction = Fraction(1, 16),
    size: int = 2,
    replacement: bool = True,
    summed: bool = False,
) -> Certificate:
    """Whether copies leave both methods' iterates as they were, and double the work of full batches alone.

    Both methods must be at work besides: their training losses fall with every step.
    """
    copies = SAMPLES + SAMPLES
    (once, cost), (twice, cost_twice) = (
        full_batches(samples, steps=steps, rate=rate, summed=summed) for samples in (SAMPLES, copies)
    )
    (laws, price), (laws_twice, price_twice) = (
        minibatches(samples, steps=steps, rate=rate, size=size, replacement=replacement)
        for samples in (SAMPLES, copies)
    )
    descent, noisy_descent = [loss(weights) for weights in once], [expected(law) for law in laws]
    falls = all(after < before for losses in (descent, noisy_descent) for before, after in pairwise(losses))
    return Certificate(
        falls and once == twice and cost_twice == 2 * cost and laws == laws_twice and price_twice == price,
        falls=falls,
        same_iterates=once == twice,
        same_laws=laws == laws_twice,
        gradients_per_full_batch=[cost, cost_twice],
        gradients_per_minibatch=[price, price_twice],
        support_of_the_last_law=len(laws[-1]),
        full_batch_loss=[float(each) for each in descent],
        full_batch_loss_on_copies=[float(loss(weights)) for weights in twice],
        expected_minibatch_loss=[float(each) for each in noisy_descent],
        expected_minibatch_loss_on_copies=[float(expected(law)) for law in laws_twice],
    )


def expected(law: Law) -> Fraction:
    """The expected training loss of weights drawn from a law."""
    return sum((chance * loss(weights) for weights, chance in law.items()), Fraction(0))


def gradient_is_the_losss(*, factor: int = 1) -> Certificate:
    """Whether `factor` times the gradient of every sample is its loss's, at the start and across the kink from it.

    On either side of w₁ = 0 the loss is a polynomial of degree two in each weight, whose symmetric difference is its
    derivative, exactly.
    """
    h = Fraction(1, 2)
    right = []
    for (w1, w2), sample in product((START, (-START[0], START[1])), SAMPLES):
        slope1 = (loss((w1 + h, w2), [sample]) - loss((w1 - h, w2), [sample])) / (2 * h)
        slope2 = (loss((w1, w2 + h), [sample]) - loss((w1, w2 - h), [sample])) / (2 * h)
        right.append(tuple(factor * part for part in gradient((w1, w2), sample)) == (slope1, slope2))
    return Certificate(all(right), gradients=len(right), right=sum(right))


def test_claim(judge):
    """The net w₂ relu(w₁ x), three samples, three steps at rate 1/16; batches of 2, all ordered draws enumerated."""
    judge(copies_cost_only_full_batches).supports()


def test_gradient(judge):
    """What both methods follow is the gradient of the loss that is shown: three samples, two weight pairs."""
    judge(gradient_is_the_losss).supports()


def test_control_ascent(judge):
    """Gradients with the wrong sign."""
    judge(gradient_is_the_losss, factor=-1).refutes()


def test_control_sampling_without_replacement(judge):
    """Of three samples no batch holds one twice; of six, one in five holds both copies of a sample."""
    judge(copies_cost_only_full_batches, replacement=False).refutes()


def test_control_summed_loss(judge):
    """A sum over copies is twice the sum, so gradient descent takes steps twice as long."""
    judge(copies_cost_only_full_batches, summed=True).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Training loss against work: copies stretch the curve of full batches and leave that of SGD."""
    loss = measured["claim"]
    (once, twice), (price, price_twice) = loss["gradients_per_full_batch"], loss["gradients_per_minibatch"]
    same = loss["expected_minibatch_loss_on_copies"]
    taken = np.arange(len(same))
    draw.curve(ax, once * taken, loss["full_batch_loss"], "full batches", style="C1o-")
    draw.curve(ax, twice * taken, loss["full_batch_loss_on_copies"], "full batches, every sample twice", style="C1s--")
    draw.curve(ax, price * taken, loss["expected_minibatch_loss"], "SGD (expected)", style="C0o-")
    ax.plot(price_twice * taken, same, "C0s", ms=9, fillstyle="none", label="SGD (expected), every sample twice")
    draw.numbers(ax.xaxis, range(0, 19, 2))
    ax.set(xlabel="per-sample gradients computed", ylabel="training loss", ylim=(0, None))
    ax.legend(loc="upper right")
