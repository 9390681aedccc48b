"""Every sample has a loss surface of its own; their gradients average to the gradient of the whole loss.

Slide: Stochastic MLP Loss, an animation that says it without words: the surface of the slide before, sample by sample.
The net is w₂ relu(w₁ x), inputs are positive. A sample's surface is zero on the curve w₁ w₂ = y / x, w₁ > 0, and the
whole loss is least on w₁ w₂ = a, with the least-squares slope a. Unless the targets have no noise these curves differ,
so at the minimum of the whole loss samples have gradients that cancel and are not zero: SGD has no rest there.

The identity of the means is what SGD lives on, and two things break it that are often done. One is to average over
batches of unequal sizes, as code did that accumulated gradients (huggingface/transformers#34191). The other is batch
norm: it makes the loss of a sample depend on the others, so that the loss of all is no mean over batches any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from statistics import mean
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from claimlab import Certificate, Claim, Property, Rows, Seeds, draw
from claimlab.measure.fit import cross_entropy, mean_squared_error
from claimlab.nets import MLP
from claimlab.parts import lift, parts
from claimlab.train import train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="optimization/samples-have-surfaces-of-their-own",
    covers=("D3",),
    slide="Stochastic MLP Loss",
    version=1,
    finding="holds",
    says="SGD goes down another surface with every sample; the whole loss is the mean of them all.",
    statement="Every sample has a loss surface of its own, with other minima than the whole loss has, and the mean of "
    "the samples' gradients is exactly the gradient of the whole. So samples go on pulling both ways where the whole "
    "loss is least; without noise in the targets they agree there. Batches of unequal sizes, or batch norm, break the "
    "identity.",
    reason="The loss is a mean over samples, and so is its gradient. That samples differ is their noise.",
    scope="losses that are a mean over samples. The surfaces: one hidden unit, no biases, positive inputs; samples "
    "like the slide's, float32",
    source="an identity of means, derived in the module; unequal batches: huggingface/transformers#34191",
    evidence=Property(examples=50),
)

Sample = tuple[Fraction, Fraction]
Weights = tuple[Fraction, Fraction]

# -- the surfaces, in rational arithmetic ----------------------------------------------------------------------------


@dataclass(frozen=True)
class World:
    """Samples (x, y), x > 0, that no slope fits, and weights w₁, not 0, and w₂."""

    samples: tuple[Sample, ...]
    weights: Weights


def loss(weights: Weights, samples: Sequence[Sample]) -> Fraction:
    """The mean squared error of w₂ relu(w₁ x)."""
    w1, w2 = weights
    return mean((w2 * max(w1 * x, Fraction(0)) - y) ** 2 for x, y in samples)


def gradient(weights: Weights, sample: Sample) -> Weights:
    """The gradient of one sample's squared error, by the chain rule."""
    (w1, w2), (x, y) = weights, sample
    hidden = max(w1 * x, Fraction(0))
    error = 2 * (w2 * hidden - y)
    return error * w2 * x if hidden else Fraction(0), error * hidden


def mean_gradient(weights: Weights, samples: Sequence[Sample]) -> Weights:
    """The mean of the samples' gradients."""
    first, second = zip(*(gradient(weights, sample) for sample in samples), strict=True)
    return mean(first), mean(second)


def gradients_average(world: World, *, unequal: bool = False) -> Certificate:
    """Whether the mean of the samples' gradients is the gradient of the whole loss, which differences give exactly.

    On either side of w₁ = 0 the loss is a polynomial of degree two in each weight. If `unequal`, the mean is one of
    two means: that of the first sample alone and that of all others.
    """
    (w1, w2), samples = world.weights, world.samples
    h = abs(w1) / 2
    whole = (
        (loss((w1 + h, w2), samples) - loss((w1 - h, w2), samples)) / (2 * h),
        (loss((w1, w2 + h), samples) - loss((w1, w2 - h), samples)) / (2 * h),
    )
    batches = [samples[:1], samples[1:]] if unequal else [[sample] for sample in samples]
    first, second = zip(*(mean_gradient(world.weights, batch) for batch in batches), strict=True)
    averaged = mean(first), mean(second)
    return Certificate(averaged == whole, averaged=averaged, whole=whole)


def no_point_suits_all(world: World, *, noise: bool = True) -> Certificate:
    """Whether each sample's loss is 0 on w₁ w₂ = y / x, and all samples' nowhere: gradients at the minimum only cancel.

    Without noise the targets are put on the least-squares line.
    """
    samples = world.samples
    slope = sum((x * y for x, y in samples), Fraction(0)) / sum((x * x for x, _ in samples), Fraction(0))
    if not noise:
        samples = tuple((x, slope * x) for x, _ in samples)
    w1 = abs(world.weights[0])
    own = all(loss((w1, y / x / w1), [(x, y)]) == 0 for x, y in samples)
    least = (w1, slope / w1)
    cancel = mean_gradient(least, samples) == (0, 0)
    pulling = sum(gradient(least, sample) != (0, 0) for sample in samples)
    return Certificate(
        own and cancel and pulling > 0 and loss(least, samples) > 0, own=own, cancel=cancel, pulling=pulling
    )


ONE = Fraction(1)
THREE = World(samples=((ONE, ONE), (2 * ONE, ONE), (ONE, 3 * ONE)), weights=(ONE, 2 * ONE))


def worlds() -> st.SearchStrategy[World]:
    """Three to six samples."""

    def quarters(low: int, high: int) -> st.SearchStrategy[Fraction]:
        return st.integers(4 * low, 4 * high).map(lambda count: Fraction(count, 4))

    samples = st.lists(st.tuples(quarters(0, 5).filter(bool), quarters(-5, 5)), min_size=3, max_size=6).map(tuple)
    no_line = samples.filter(lambda drawn: len({y / x for x, y in drawn}) > 1)
    return st.builds(World, no_line, st.tuples(quarters(-5, 5).filter(bool), quarters(-5, 5)))


def test_claim(judge):
    """The deck's net, three to six samples, any weights with w₁ other than 0."""
    judge(gradients_average, given=worlds()).supports()


def test_control_batches_of_unequal_sizes(judge):
    """A mean of means counts a sample of a small batch for more."""
    judge(gradients_average, given=worlds(), example=THREE, unequal=True).refutes()


def test_no_point_suits_all(judge):
    """Three to six samples that do not lie on a line through the origin."""
    judge(no_point_suits_all, given=worlds()).supports()


def test_control_no_noise_in_the_targets(judge):
    """All curves are the same one, and on it no sample has a gradient."""
    judge(no_point_suits_all, given=worlds(), example=THREE, noise=False).refutes()


# -- samples like the slide's ----------------------------------------------------------------------------------------


def pulls_both_ways(
    seeds: Seeds, *, noise: float = 0.5, samples: int = 30, rate: float = 0.02, steps: int = 150
) -> Rows:
    """Full-batch descent to the minimum of the whole loss. The premise is that it gets there, to 1 % of the slope.

    A win: for a tenth of the samples the best w₁ w₂ is at least a tenth larger, and for a tenth at least a tenth less.
    """
    x = (1 + seeds.normal("x", samples)).abs()
    y = 2 * x + noise * seeds.normal("noise", samples)
    activate = lift(parts().relu)

    def net(weights: list[Tensor], x: Tensor) -> Tensor:
        return weights[1] * activate([], weights[0] * x)

    start = [torch.ones(len(seeds), 1, 1, dtype=seeds.dtype, device=seeds.device) for _ in range(2)]
    fit = train(
        seeds, net, start, x[..., None], y, loss=mean_squared_error, optimizer=partial(parts().sgd, lr=rate),
        epochs=steps,
    )  # fmt: skip
    slope = (fit.parameters[0] * fit.parameters[1])[:, 0]
    least = (x * y).sum(dim=1, keepdim=True) / x.square().sum(dim=1, keepdim=True)
    up, down = (beyond.to(seeds.dtype).mean(dim=1) for beyond in (y > 1.1 * slope * x, y < 0.9 * slope * x))
    return Rows(
        win=(up >= 0.1) & (down >= 0.1), premise=((slope / least - 1).abs() <= 0.01)[:, 0],
        share_up=up, share_down=down, slope=slope[:, 0], x=x, y=y,
    )  # fmt: skip


@pytest.mark.statistical
def test_samples_pull_both_ways(judge):
    """Thirty samples like the slide's, 150 full-batch steps at rate 0.02 from (1, 1)."""
    judge(pulls_both_ways).supports()


@pytest.mark.statistical
def test_control_samples_without_noise(judge):
    judge(pulls_both_ways, noise=0.0).refutes()


# -- a net of some layers --------------------------------------------------------------------------------------------


def pairs_average(seeds: Seeds, *, norm: str = "layer_norm", samples: int = 8, width: int = 6) -> Rows:
    """Whether the mean of the gradients of four pairs is that of all eight samples, in a net with a norm.

    Rounding in float64 stays far below the margin, a billionth of the gradient's length. The premise is that the
    pairs have gradients of their own: they lie a tenth of that length from it.
    """
    net = MLP((5, width, width, 3), norm=parts().named(norm))
    weights = [each.requires_grad_() for each in net.init(seeds)]
    x, y = seeds.normal("x", samples, 5), seeds.integers("y", samples, high=3)

    def gradient_on(these: slice) -> Tensor:
        found = torch.autograd.grad(cross_entropy(net(weights, x[:, these]), y[:, these]).sum(), weights)
        return torch.cat([each.flatten(1) for each in found], dim=1)

    whole = gradient_on(slice(None))
    pairs = torch.stack([gradient_on(slice(first, first + 2)) for first in range(0, samples, 2)], dim=1)
    length = whole.norm(dim=1)
    apart = (pairs.mean(dim=1) - whole).norm(dim=1) / length
    spread = (pairs - whole[:, None]).norm(dim=2).mean(dim=1) / length
    return Rows(win=apart <= 1e-9, premise=spread >= 0.1, apart=apart, spread=spread)


@pytest.mark.statistical(dtype="float64")
def test_a_net_with_layer_norm(judge):
    """5-6-6-3 units, cross-entropy, eight samples in four pairs: equal to a billionth."""
    judge(pairs_average).supports()


@pytest.mark.statistical(dtype="float64")
def test_control_batch_norm(judge):
    """A sample's loss depends on its pair, and the mean over pairs is another loss."""
    judge(pairs_average, norm="batch_norm_1d").refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Each sample's loss is zero at a slope of its own; their mean, which SGD descends on average, is zero nowhere."""
    runs = measured["samples_pull_both_ways"]
    x, y = runs["x"][0], runs["y"][0]
    slopes = np.linspace(0, 4, 81)
    losses = np.square(np.outer(x, slopes) - y[:, None])
    draw.runs(ax, slopes, losses, "one sample each", style="0.6-")
    draw.curve(ax, slopes, losses.mean(axis=0), "their mean", style="C0-")
    draw.dots(ax, y / x, np.zeros_like(y), "where a sample's loss is zero", style="C1o")
    draw.upright(ax, runs["slope"][0], "descent on the mean", height=0.9)
    ax.set(xlim=(0, 4), ylim=(-0.1, 5), xlabel="w₁ w₂ (w₁ > 0)", ylabel="squared error")
    draw.key(ax)
