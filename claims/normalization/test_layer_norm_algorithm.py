"""Layer norm is batch norm turned by a quarter: the same formula along the other side of the batch.

Slide: Layer Normalizations. It calls the algorithm similar to batch norm's. Normalising, scale and shift are the same;
what differs is over which numbers, and that layer norm has no batch to replace at inference: it stores no running
statistics and does the same in training and in evaluation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from claimlab import Certificate, Claim, Property, draw
from claimlab.measure.draws import Draws
from claimlab.measure.rounding import standardised
from claimlab.parts import parts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="normalization/layer-norm-is-batch-norm-transposed",
    covers=("F10",),
    slide="Layer Normalizations",
    version=1,
    finding="holds",
    says="The algorithm of layer norm is similar to batch norm's.",
    statement=(
        "Layer norm of a batch is batch norm, in training mode, of the transposed batch, up to rounding; gain and "
        "shift have one number a feature in both. Layer norm stores no statistics and returns the same in evaluation "
        "as in training, which batch norm does not."
    ),
    reason="Mean and biased variance are taken over the features of a sample instead of over the samples of a feature; "
    "the rest of the formula is the same. No statistic is shared between samples, so there is nothing to store.",
    scope="dense features, two or more of them, ε = 10⁻⁵ in both; float64",
    source="Ba, Kiros and Hinton 2016 (arXiv 1607.06450), section 3",
    evidence=Property(examples=60),
)


EPS = 1e-5
SAMPLES, FEATURES = 0, 1  # the dimensions of a batch


@dataclass(frozen=True)
class World:
    """A batch of N samples with F features, how far it lies from 0, and the seed of its draws."""

    samples: int
    features: int
    offset: int = 0
    seed: int = 0


def batch(world: World) -> Tensor:
    """`[N, F]`, the samples and the features of different sizes."""
    draws = Draws(world.seed)
    samples, features = draws.normal("samples", world.samples, 1).exp(), draws.normal("features", world.features).exp()
    return world.offset + samples * features * draws.normal("x", world.samples, world.features)


def layer(name: str, world: World) -> nn.Module:
    """A layer of the features with random gain and shift, `[F]` each, the same for both norms."""
    norm = parts().named(name)(world.features, eps=EPS, dtype=torch.float64)
    with torch.no_grad():
        for parameter, value in zip(
            norm.parameters(), Draws(world.seed).normal("affine", 2, world.features), strict=True
        ):
            parameter.copy_(value)
    return norm


def normalised(x: Tensor, *, over: int) -> Tensor:
    """Batch norm in training mode without gain and shift, with the statistics over a dimension of `[N, F]`."""
    x = x if over == SAMPLES else x.T
    z = parts().batch_norm_1d(x.shape[1], eps=EPS, affine=False, dtype=torch.float64)(x)
    return z if over == SAMPLES else z.T


def same_algorithm(world: World, name: str = "layer_norm", *, over: int = FEATURES) -> Certificate:
    """Whether the layer is gain z + shift, with z standardised by batch norm over this dimension, up to rounding.

    The two may err in opposite directions.
    """
    norm, x = layer(name, world), batch(world)
    gain, shift = (parameter.detach() for parameter in norm.parameters())
    with torch.no_grad():
        off = (norm(x) - (gain * normalised(x, over=over) + shift)).abs()
    allowed = 2 * standardised(x, dim=over, eps=EPS, gain=gain, shift=shift)
    return Certificate(bool((off <= allowed).all()), off=off.max(), rounding_allowed=allowed.max())


def same_parameters(world: World, name: str = "layer_norm") -> Certificate:
    """Whether the layer, once used, has gain and shift of one number a feature, and no buffers."""
    norm = layer(name, world)
    norm(batch(world))
    shapes = [list(parameter.shape) for parameter in norm.parameters()]
    buffers = [name for name, _ in norm.named_buffers()]
    return Certificate(shapes == [[world.features]] * 2 and not buffers, shapes=shapes, buffers=buffers)


def same_in_evaluation(world: World, name: str = "layer_norm") -> Certificate:
    """Whether the layer returns the same, bit by bit, in training and then in evaluation mode."""
    norm, x = layer(name, world), batch(world)
    with torch.no_grad():
        training, evaluation = norm.train()(x), norm.eval()(x)
    return Certificate(torch.equal(training, evaluation), difference=(training - evaluation).abs().max())


def worlds() -> st.SearchStrategy[World]:
    """Batches of 2 to 8 samples with 2 to 8 features, so that either statistic is defined."""
    sizes = st.integers(2, 8)
    return st.builds(World, sizes, sizes, offset=st.integers(-20, 20), seed=st.integers(0, 999))


def test_claim(judge):
    """Sixty batches of 2 to 8 samples with 2 to 8 features, up to 20 from 0, float64: equal up to rounding."""
    judge(same_algorithm, given=worlds()).supports()


def test_same_for_batch_norm_over_the_samples(judge):
    """Batch norm by the same predicate, with the statistics it takes itself."""
    judge(same_algorithm, given=worlds(), name="batch_norm_1d", over=SAMPLES).supports()


def test_control_batch_norm_over_the_features(judge):
    judge(same_algorithm, given=worlds(), example=World(4, 3), name="batch_norm_1d").refutes()


def test_control_layer_norm_over_the_samples(judge):
    judge(same_algorithm, given=worlds(), example=World(4, 3), over=SAMPLES).refutes()


def test_parameters_without_buffers(judge):
    """Gain and shift of one number a feature, as in batch norm, and none of its three buffers."""
    judge(same_parameters, given=worlds()).supports()


def test_control_batch_norm_has_buffers(judge):
    judge(same_parameters, given=worlds(), example=World(4, 3), name="batch_norm_1d").refutes()


def test_evaluates_as_it_trains(judge):
    """In evaluation mode layer norm returns what it returned in training, bit by bit."""
    judge(same_in_evaluation, given=worlds()).supports()


def test_control_batch_norm_evaluates_otherwise(judge):
    judge(same_in_evaluation, given=worlds(), example=World(4, 3), name="batch_norm_1d").refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Layer norm of a batch is batch norm of its transpose, number by number; batch norm of the batch itself is not."""
    world = World(samples=8, features=8, offset=2)
    x = batch(world)
    with torch.no_grad():
        layer_norm = parts().layer_norm(world.features, eps=EPS, dtype=torch.float64)(x).flatten()
    draw.reference(ax, (-2.5, 2.5), (-2.5, 2.5))
    draw.dots(ax, layer_norm, normalised(x, over=FEATURES).flatten(), "of the transposed batch")
    draw.dots(ax, layer_norm, normalised(x, over=SAMPLES).flatten(), "of the batch (control)")
    ax.set(xlabel="layer norm, 8 samples of 8 features", ylabel="batch norm")
    draw.key(ax)
