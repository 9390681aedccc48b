"""At inference batch norm uses a running average, which is not the mean and variance of the data.

Slide: Batch Normalization. It says two things that differ: that the statistics of the whole dataset replace those of
the batch, and that the framework keeps a running average, so that inference needs no code of its own. The running
average is what layers compute. Torch's starts at mean 0 and variance 1 and goes a tenth of the way to the mean and the
unbiased variance of each batch. The deck's framework is Keras, whose predict() switches to the average by itself, and
goes a hundredth of the way; in torch that takes a call of eval().
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from claimlab import Certificate, Claim, Property, draw
from claimlab.measure.draws import Draws
from claimlab.measure.rounding import gamma
from claimlab.parts import parts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

EPS, MOMENTUM = 1e-5, 0.1  # torch's own

CLAIM = Claim(
    id="normalization/evaluation-uses-the-dataset-statistics",
    covers=("F5",),
    slide="Batch Normalization",
    version=2,
    finding="scoped",
    says="At inference batch norm uses the mean and standard deviation of the whole dataset, kept as a running "
    "average, and needs no specific code.",
    statement="Torch's batch norm evaluates with a running average over the batches, never with the dataset's mean and "
    "variance: ten batches after the start its outputs are far from what these would give, and after fifty a few per "
    "cent of their spread. After eval() an output does not depend on the rest of its batch; without it, it does.",
    reason="The average gives a batch that came t steps ago the weight .1 × .9ᵗ and its start .9ᵀ after T batches, "
    "which is 35 % after ten, and it misses how batches differ in their means. As an approximation the dataset's "
    "statistics are right once the start is forgotten. That inference takes no code is true of the deck's Keras, whose "
    "predict() switches by itself; in torch it takes a call of eval().",
    scope="one layer with fixed inputs and torch's defaults, float64; while a net trains, its average also mixes "
    "statistics of older weights",
    source="Ioffe and Szegedy 2015 (arXiv 1502.03167), section 3.1; documentation of torch.nn.BatchNorm1d",
    evidence=Property(examples=40),
)


@dataclass(frozen=True)
class World:
    """T batches of m samples with C features, which lie off 0 and have other variances than 1."""

    batches: int
    samples: int
    channels: int = 1
    seed: int = 0


def dataset(world: World) -> Tensor:
    """Normal features `[T, m, C]` of means 1 to 2 and standard deviations 2 to 3."""
    draws = Draws(world.seed)
    mean, deviation = (draws.uniform(name, world.channels, low=1, high=2) for name in ("mean", "deviation"))
    return mean + (1 + deviation) * draws.normal("x", world.batches, world.samples, world.channels)


def trained(batches: Tensor, *, momentum: float | None = MOMENTUM) -> nn.Module:
    """A new layer, in training mode, that has seen the batches `[T, m, C]` once, in order."""
    norm = parts().batch_norm_1d(batches.shape[2], eps=EPS, momentum=momentum, dtype=torch.float64)
    with torch.no_grad():
        for batch in batches:
            norm(batch)
    return norm


Statistics = tuple[Tensor, Tensor]
"""A mean and a variance, `[C]` each."""


def running_average(batches: Tensor, *, correction: int = 1) -> Statistics:
    """Mean 0 and variance 1 weighted .9ᵀ, batch t weighted .1 × .9ᵀ⁻ᵗ; variances are unbiased."""
    total = len(batches)
    weights = torch.tensor([MOMENTUM * (1 - MOMENTUM) ** (total - t) for t in range(1, total + 1)], dtype=torch.float64)
    mean, var = weights @ batches.mean(dim=1), weights @ batches.var(dim=1, correction=correction)
    return mean, (1 - MOMENTUM) ** total + var


def running_average_of_biased_variances(batches: Tensor) -> Statistics:
    return running_average(batches, correction=0)


def running_average_without_its_start(batches: Tensor) -> Statistics:
    """As if the weights of the batches summed to one."""
    mean, var = running_average(batches)
    start = (1 - MOMENTUM) ** len(batches)
    return mean / (1 - start), (var - start) / (1 - start)


def whole_dataset(batches: Tensor) -> Statistics:
    x = batches.flatten(0, 1)
    return x.mean(dim=0), x.var(dim=0, correction=0)


def dataset_mean_and_average_variance(batches: Tensor) -> Statistics:
    return batches.flatten(0, 1).mean(dim=0), batches.var(dim=1).mean(dim=0)


def evaluates_with(
    world: World, *, statistics: Callable[[Tensor], Statistics] = running_average, momentum: float | None = MOMENTUM
) -> Certificate:
    """Whether the layer, after one pass over the dataset, evaluates every sample of it with these statistics."""
    batches = dataset(world)
    return agrees(trained(batches, momentum=momentum), batches, statistics(batches))


def settles_on_the_dataset(world: World, *, correction: int, steps: int = 400) -> Certificate:
    """Whether the statistics end at the dataset's if all of it is one batch, again and again.

    After 400 steps .9⁴⁰⁰ of the start is left, which is 5e-19, below the rounding of float64.
    """
    batches = dataset(world)
    everything = batches.flatten(0, 1)
    norm = trained(everything.expand(steps, -1, -1))
    return agrees(norm, batches, (everything.mean(dim=0), everything.var(dim=0, correction=correction)))


def agrees(norm: nn.Module, batches: Tensor, statistics: Statistics) -> Certificate:
    """Whether the layer in evaluation returns (x − mean) / √(var + ε) for every sample, up to rounding.

    Let u = 2^-53, n the number of samples, k the largest |x| / √(var + ε). The mean of a batch is off by at most
    n u max|x|, its variance by (n + 3) u of itself, to first order. A step of the average rounds three times, and a
    tenth is forgotten at each, so the average adds 30 u. The output rounds four times. That is
    (n + 30) k u + (n + 33) 2k u + 8 k u, less than 4 (n + 30) k u, and the same once more for our own side.
    """
    mean, var = statistics
    x = batches.flatten(0, 1)
    expected = (x - mean) / (var + EPS).sqrt()
    with torch.no_grad():
        off = (norm.eval()(x) - expected).abs().max()
    k = (x.abs() / (var + EPS).sqrt()).max()
    rounding = gamma(8 * (len(x) + 30)) * k
    return Certificate(bool(off <= rounding), off=off, rounding_allowed=rounding)


def is_a_few_per_cent_off(world: World, *, least: float = 0.01, most: float = 0.1) -> Certificate:
    """Whether outputs are off from those by the dataset's statistics by a share of their deviation between two bounds.

    The root mean square over all samples and features. The average is that of some twenty batches: of 32 samples each,
    its mean is off by √(.0526 / 32) = 4 % of a deviation on average, its deviation by 3 %, so 5 % is to be expected.
    """
    batches = dataset(world)
    x = batches.flatten(0, 1)
    mean, var = whole_dataset(batches)
    with torch.no_grad():
        share = (trained(batches).eval()(x) - (x - mean) / (var + EPS).sqrt()).square().mean().sqrt()
    return Certificate(least <= float(share) <= most, share_of_a_deviation=share)


def start_is_forgotten(*, steps: int, share: float = 1 - MOMENTUM) -> Certificate:
    """Whether each batch leaves `share` of the start: batches of zeros add nothing, so what is left is the start's.

    A step multiplies once and adds zero, so after t steps the relative rounding is at most 2 t 2^-53.
    """
    norm = parts().batch_norm_1d(1, dtype=torch.float64)
    left = []
    for _ in range(steps):
        norm(torch.zeros(2, 1, dtype=torch.float64))
        left.append(float(norm.state_dict()["running_var"]))
    off = [abs(weight / share**t - 1) / t for t, weight in enumerate(left, start=1)]
    return Certificate(max(off) <= 2 * gamma(1), weight_of_the_start=left)


def ignores_companions(world: World, *, call_eval: bool = True) -> Certificate:
    """Whether the first sample comes out the same, bit by bit, in the first batch and among the others of the second.

    The layer has seen the dataset before. Without the call of eval() it is still in training mode.
    """
    batches = dataset(world)
    norm = trained(batches)
    first, second = batches[0], batches[1].clone()
    second[0] = first[0]
    with torch.no_grad():
        outputs = [(norm.eval() if call_eval else norm)(batch)[0] for batch in (first, second)]
    return Certificate(torch.equal(*outputs), difference=(outputs[0] - outputs[1]).abs().max())


def worlds(*, batches: int = 1) -> st.SearchStrategy[World]:
    """From so many to twelve batches more of three to eight samples with one to three features."""
    count, samples, channels = st.integers(batches, batches + 12), st.integers(3, 8), st.integers(1, 3)
    return st.builds(World, count, samples, channels, seed=st.integers(0, 999))


# -- the dataset's statistics, exactly and about ------------------------------------------------------------------


def test_deck_wording(judge):
    """A dataset of at least fifty batches, seen once: the start is all but forgotten, and so are the first batches."""
    judge(evaluates_with, given=worlds(batches=50), example=World(50, 4, 2), statistics=whole_dataset).refutes()


@pytest.mark.exact
def test_effect_size(judge):
    """Fifty batches of 32, seen once: 64 features are off by 1 to 10 % of their deviation (root mean square)."""
    judge(is_a_few_per_cent_off, world=World(batches=50, samples=32, channels=64)).supports()


@pytest.mark.exact
def test_control_effect_size_after_ten_batches(judge):
    """The start still weighs 35 %."""
    judge(is_a_few_per_cent_off, world=World(batches=10, samples=32, channels=64)).refutes()


# -- the running average ------------------------------------------------------------------------------------------


def test_claim(judge):
    """Up to 13 batches of 3 to 8 samples with up to three features, up to rounding.

    After T batches torch.nn.BatchNorm1d evaluates with .9ᵀ (0, 1) + Σ .1 × .9ᵀ⁻ᵗ (mean, unbiased variance) of batch t.
    """
    judge(evaluates_with, given=worlds()).supports()


def test_cumulative_average(judge):
    """With momentum=None the mean is the dataset's, and the variance is the average of the batches' unbiased ones."""
    judge(evaluates_with, given=worlds(), statistics=dataset_mean_and_average_variance, momentum=None).supports()


def test_control_cumulative_average_is_not_the_dataset(judge):
    """The variance of the dataset has the differences between the means of the batches in it."""
    judge(
        evaluates_with, given=worlds(batches=2), example=World(3, 4, 2), statistics=whole_dataset, momentum=None
    ).refutes()


def test_control_biased_variances(judge):
    judge(
        evaluates_with, given=worlds(), example=World(3, 4, 2), statistics=running_average_of_biased_variances
    ).refutes()


def test_control_without_the_start(judge):
    judge(
        evaluates_with, given=worlds(), example=World(3, 4, 2), statistics=running_average_without_its_start
    ).refutes()


@pytest.mark.exact
def test_start_is_forgotten_by_a_tenth_each_batch(judge):
    """After each of fifty batches of zeros, nine tenths of the variance before it are left."""
    judge(start_is_forgotten, steps=50).supports()


@pytest.mark.exact
def test_control_start_is_not_forgotten_by_a_hundredth(judge):
    """Keras' default."""
    judge(start_is_forgotten, steps=50, share=0.99).refutes()


@pytest.mark.exact
def test_settles_on_the_dataset(judge):
    """All of 64 samples as one batch of n, 400 times: the dataset's mean, and n / (n − 1) times its variance."""
    judge(settles_on_the_dataset, world=World(batches=8, samples=8, channels=3), correction=1).supports()


@pytest.mark.exact
def test_control_settles_on_the_biased_variance(judge):
    judge(settles_on_the_dataset, world=World(batches=8, samples=8, channels=3), correction=0).refutes()


def test_evaluation_ignores_companions(judge):
    """After eval() a sample comes out the same, bit by bit, in two batches."""
    judge(ignores_companions, given=worlds(batches=2)).supports()


def test_control_without_eval(judge):
    """In training mode, where a layer starts, the prediction for a sample depends on the rest of its batch."""
    judge(ignores_companions, given=worlds(batches=2), example=World(3, 4, 2), call_eval=False).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """The variance that evaluation would use comes near the dataset's, but the running average never settles on it."""
    batches = dataset(World(batches=50, samples=8))
    total = float(whole_dataset(batches)[1])
    seen = range(1, len(batches) + 1)
    for momentum, label in ((MOMENTUM, "running average"), (None, "cumulative average")):
        var = [float(trained(batches[:t], momentum=momentum).state_dict()["running_var"]) / total for t in seen]
        draw.curve(ax, seen, var, label)
    weight = measured["start_is_forgotten_by_a_tenth_each_batch"]["weight_of_the_start"]
    draw.curve(ax, seen, weight, "weight of the start", style="C0:")
    draw.level(ax, 1, "whole\ndataset")
    ax.set(xlabel="batches of 8 seen", ylabel="variance / dataset's variance", ylim=(0, 1.5))
    draw.key(ax)
