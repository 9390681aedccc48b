"""Batch norm normalises the activations of each mini-batch.

Slide: Batch Normalization. For each feature, with the mean and the biased variance s² of the batch (over its samples
and, for images, over all positions of the map), the layer returns gain (x − mean) / √(s² + ε) + shift. So the batch
leaves with mean shift and variance gain² s² / (s² + ε): all but gain² where s² is far above ε, all but 0 where it is
far below. This is training mode; what evaluation does is another claim.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from claimlab import Certificate, Claim, Property, draw
from claimlab.measure.draws import Draws
from claimlab.measure.rounding import moments, standardised
from claimlab.parts import parts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

EPS = 1e-5  # torch's own

CLAIM = Claim(
    id="normalization/batch-norm-normalises",
    covers=("F1",),
    slide="Batch Normalization",
    version=1,
    finding="holds",
    says="Batch norm normalises the activations within each mini-batch.",
    statement="In training mode batch norm gives each feature of every batch of two or more values the mean shift and "
    "the standard deviation |gain| s / √(s² + ε), where s² is the batch's biased variance. In evaluation mode it does "
    "not, nor are the samples of half a batch normalised by themselves.",
    reason="It is what the formula of the paper says, and torch computes it. The variance is one (times gain squared) "
    "only for features that vary by much more than √ε over the batch, .003 by default.",
    scope="torch's layers in training mode, float64; dense features and maps of up to 4 × 4 positions",
    source="Ioffe and Szegedy 2015 (arXiv 1502.03167), algorithm 1",
    evidence=Property(examples=60),
)


@dataclass(frozen=True)
class World:
    """The shape of a batch, `(m, C)` or `(m, C, H, W)`, how far it lies from 0, and the seed of the draws.

    Channels differ in their spread, which is 10 to a uniform power from -5 to 2.
    """

    shape: tuple[int, ...]
    offset: int = 0
    seed: int = 0


def batch_of(world: World, *, name: int = 0) -> Tensor:
    """A batch of activations; another `name` is another batch."""
    draws = Draws(world.seed)
    per_channel = (1, world.shape[1], *[1] * (len(world.shape) - 2))
    spread = 10 ** draws.uniform(f"spread.{name}", *per_channel, low=-5, high=2)
    return world.offset + spread * draws.normal(f"x.{name}", *world.shape)


def layer_for(world: World) -> nn.Module:
    """A batch norm with random gains and shifts."""
    name = "batch_norm_1d" if len(world.shape) == 2 else "batch_norm_2d"
    norm = parts().named(name)(world.shape[1], eps=EPS, dtype=torch.float64)
    with torch.no_grad():
        for name, parameter in norm.named_parameters():
            parameter.copy_(Draws(world.seed).normal(name, *parameter.shape))
    return norm


Use = Callable[[nn.Module, World], Tensor]
"""What comes out for the batch `batch_of(world)`."""


def training(norm: nn.Module, world: World) -> Tensor:
    return norm(batch_of(world))


def evaluation(norm: nn.Module, world: World) -> Tensor:
    """Ten training steps on the batch, then evaluation: the running statistics still remember where they started."""
    for _ in range(10):
        norm(batch_of(world))
    return norm.eval()(batch_of(world))


def half_of_a_larger_batch(norm: nn.Module, world: World) -> Tensor:
    """The statistics are those of all samples, not of the half that is looked at."""
    return norm(torch.cat([batch_of(world), batch_of(world, name=1)]))[: world.shape[0]]


def normalises(world: World, *, use: Use = training, eps: float = EPS) -> Certificate:
    """Whether every feature comes out with mean shift and standard deviation |gain| s / √(s² + ε).

    Up to rounding: that of the outputs, which moves neither their mean nor their deviation by more, that of taking
    these, and that of |gain| s / d on our side, less than the outputs'.
    """
    norm, x = layer_for(world), batch_of(world)
    gain, shift = (parameter.detach() for parameter in norm.parameters())
    with torch.no_grad():
        x, y = (t.transpose(0, 1).flatten(1) for t in (x, use(norm, world)))  # [C, n]
    s, d = x.std(dim=1, correction=0), (x.var(dim=1, correction=0) + eps).sqrt()
    rounding = 2 * standardised(x, dim=1, eps=EPS, gain=gain[:, None], shift=shift[:, None])[:, 0] + moments(y, dim=1)
    mean_off = (y.mean(dim=1) - shift).abs()
    spread_off = (y.std(dim=1, correction=0) - gain.abs() * s / d).abs()
    return Certificate(
        bool((mean_off <= rounding).all() and (spread_off <= rounding).all()),
        mean_off=mean_off.max(), spread_off=spread_off.max(), rounding_allowed=rounding.max(),
    )  # fmt: skip


def worlds() -> st.SearchStrategy[World]:
    """Two to six samples of one to four features, dense or on maps of up to 4 x 4 positions."""
    samples, channels, side = st.integers(2, 6), st.integers(1, 4), st.integers(1, 4)
    shapes = st.tuples(samples, channels) | st.tuples(samples, channels, side, side)
    return st.builds(World, shapes, offset=st.integers(-100, 100), seed=st.integers(0, 999))


def test_claim(judge):
    """Sixty batches for torch.nn.BatchNorm1d and 2d, ε = 1e-5, with random gains and shifts; spreads of 1e-5 to 100.

    Up to rounding, as the bound allows for it.
    """
    judge(normalises, given=worlds()).supports()


def test_control_evaluation_mode(judge):
    judge(normalises, given=worlds(), example=World((3, 2)), use=evaluation).refutes()


def test_control_half_of_a_larger_batch(judge):
    judge(normalises, given=worlds(), example=World((3, 2)), use=half_of_a_larger_batch).refutes()


def test_control_variance_exactly_one(judge):
    """Without ε in the formula the standard deviation would be |gain|, whatever s is."""
    judge(normalises, given=worlds(), example=World((3, 2)), eps=0.0).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Batch norm brings every spread far above √ε to 1, and leaves one far below √ε as small as the formula says."""
    before = torch.logspace(-5, 2, 29, dtype=torch.float64)
    x = before * torch.tensor([[-1.0], [1.0]], dtype=torch.float64)  # [2, features], each with the deviation `before`
    norm = parts().batch_norm_1d(len(before), eps=EPS, dtype=torch.float64)
    with torch.no_grad():
        after = norm(x).std(dim=0, correction=0)
    ax.set(xscale="log", ylim=(0, 1.2), xlabel="standard deviation over the batch, before", ylabel="and after")
    draw.curve(ax, before, lambda s: s / (s**2 + EPS) ** 0.5, "s / √(s² + ε)")
    draw.dots(ax, before, after, "torch, training mode", style="C0o")
    draw.reference(ax, before, before, "not normalised")
    draw.upright(ax, EPS**0.5, "√ε")
    draw.key(ax)
