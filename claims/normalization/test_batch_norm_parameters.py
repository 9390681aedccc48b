"""Batch norm adds two trainable numbers for every channel, whatever the size of the activation map.

Slide: Batch Normalization. Its example has 64 channels and 128 new parameters. The number is right; the words beside
it, twice the size of the activation, fit it only if the size of an activation means its number of channels. Layers of
torch.nn are counted and run, and the bias of the convolution, which batch norm makes useless, is looked at as well.
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
from claimlab.measure.count import elements
from claimlab.measure.draws import Draws
from claimlab.measure.rounding import gamma
from claimlab.parts import parts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="normalization/batch-norm-adds-two-numbers-a-channel",
    covers=("F7",),
    slide="Batch Normalization",
    version=1,
    finding="scoped",
    says="Batch norm introduces twice as many parameters as the activation has numbers: 128 after a convolution with "
    "64 channels.",
    statement="After a convolution with C channels batch norm adds 2 C trainable numbers, all in use, whatever the "
    "height and width: 128 for 64 channels, and with the running statistics 256 are stored. In training the "
    "convolution's bias is then useless: its gradient is zero up to rounding.",
    reason="Scale and shift are shared by all positions of a map, so the count is twice the channels. Twice the "
    "numbers of the activation, 2 C H W, is the count of layer norm over C, H and W.",
    scope="torch.nn.BatchNorm2d with scale and shift switched on, as they are by default; float64. Keras documents the "
    "same four vectors a layer, two of them trainable",
    source="Ioffe and Szegedy 2015 (arXiv 1502.03167), section 3.2",
    evidence=Property(examples=50),
)


@dataclass(frozen=True)
class World:
    """The shape of a convolution's output, and the seed of its inputs, weights and upstream gradient.

    Three maps a batch are the least: of two numbers a channel batch norm makes -1 and 1, whatever they were.
    """

    channels: int
    height: int
    width: int
    batch: int = 3
    seed: int = 0


Layer = Callable[[World], nn.Module]


def batch_norm(world: World) -> nn.Module:
    return parts().batch_norm_2d(world.channels, dtype=torch.float64)


def batch_norm_in_evaluation(world: World) -> nn.Module:
    return batch_norm(world).eval()


def layer_norm(world: World) -> nn.Module:
    return parts().layer_norm([world.channels, world.height, world.width], dtype=torch.float64)


def no_norm(world: World) -> nn.Module:
    return nn.Identity()


@dataclass(frozen=True)
class Pass:
    """A convolution followed by a layer, forward and backward once: what lay between the two (z), the upstream gradient
    (g, both `[batch, C, H, W]`), and the gradients of the convolution's weights and bias and of the layer's parameters.
    """

    z: Tensor
    g: Tensor
    weights: Tensor
    bias: Tensor
    layer: list[Tensor]


def run(world: World, norm: nn.Module) -> Pass:
    draws = Draws(world.seed)
    convolution = nn.Conv2d(3, world.channels, kernel_size=3, padding=1, dtype=torch.float64)
    with torch.no_grad():
        for name, parameter in convolution.named_parameters():
            parameter.copy_(draws.normal(name, *parameter.shape))
    z = convolution(draws.normal("x", world.batch, 3, world.height, world.width))
    g = draws.normal("g", *z.shape)
    weights, bias, *layer = torch.autograd.grad(norm(z), [*convolution.parameters(), *norm.parameters()], g)
    return Pass(z.detach(), g, weights, bias, layer)


def adds_two_numbers_a_channel(world: World, *, layer: Layer = batch_norm) -> Certificate:
    """Whether the layer has 2 C trainable numbers, and each has a gradient."""
    norm = layer(world)
    trainable = elements(norm.parameters())
    in_use = sum(int(gradient.count_nonzero()) for gradient in run(world, norm).layer)
    return Certificate(trainable == in_use == 2 * world.channels, trainable=trainable, in_use=in_use)


def stores_twice_as_many(*, channels: int, trainable: int, stored: int) -> Certificate:
    """Whether batch norm has so many trainable numbers, stores so many real ones, and one integer."""
    norm = batch_norm(World(channels, 28, 28))
    counts = {
        "trainable": elements(norm.parameters()),
        "stored": elements(tensor for tensor in norm.state_dict().values() if tensor.is_floating_point()),
        "integers": elements(tensor for tensor in norm.state_dict().values() if not tensor.is_floating_point()),
    }
    return Certificate(list(counts.values()) == [trainable, stored, 1], **counts)


def bias_before_it_is_useless(world: World, *, layer: Layer = batch_norm) -> Certificate:
    """Whether the gradient of the convolution's bias is zero up to rounding, and that of its weights is not.

    For a channel let z be the m = batch H W outputs of the convolution, d² their variance plus ε, x the normalised
    (z − mean z) / d, and g the upstream gradients. Batch norm (scale 1) passes (g − mean g − x mean(g x)) / d on to z,
    and the gradient of the bias is the sum of that: zero, since g − mean g and x sum to zero. In float64, with
    e = 2^-52 and r² = mean g², so that mean|g| and |mean(g x)| are at most r,
      mean g is off by at most m e r and enters m times:                   m² e r
      mean z is off by at most m e mean|z|, which x mean(g x) passes on:   m² e r mean|z| / d
      m terms, of size 3 r on average, are summed:                         3 m² e r
    and all is divided by d. Twice the sum of these covers the roundings inside the terms.
    """
    done = run(world, layer(world))
    m = done.z.numel() // world.channels
    d = (done.z.var(dim=(0, 2, 3), correction=0) + 1e-5).sqrt()
    r = done.g.square().mean(dim=(0, 2, 3)).sqrt()
    rounding = gamma(16 * m**2) * r * (1 + done.z.abs().mean(dim=(0, 2, 3)) / d) / d
    weights = done.weights.abs().amax(dim=(1, 2, 3))
    return Certificate(
        bool((done.bias.abs() <= rounding).all() and (weights > 1e4 * rounding).all()),
        bias_gradient=done.bias.abs().max(), rounding_allowed=rounding.max(), weight_gradient=weights.min(),
    )  # fmt: skip


def worlds() -> st.SearchStrategy[World]:
    """Up to 8 channels of up to 6 x 6 positions."""
    sides, seeds = st.integers(1, 6), st.integers(0, 999)
    return st.builds(World, st.integers(1, 8), sides, sides, batch=st.integers(3, 5), seed=seeds)


def test_claim(judge):
    """Fifty convolutions of up to 8 channels and 6 × 6 positions: 2 C numbers, none with a gradient of zero."""
    judge(adds_two_numbers_a_channel, given=worlds()).supports()


@pytest.mark.exact
def test_sixty_four_channels(judge):
    """The slide's example: 128 trainable numbers, 256 stored ones, and one integer, the counter of the steps."""
    judge(stores_twice_as_many, channels=64, trainable=128, stored=256).supports()


def test_control_two_numbers_a_position(judge):
    """Layer norm over channels and positions has twice the numbers of the activation."""
    judge(adds_two_numbers_a_channel, given=worlds(), example=World(2, 3, 3), layer=layer_norm).refutes()


def test_bias_of_the_convolution(judge):
    """Fifty convolutions more: the bias' gradient is within rounding of zero, the weights' 10⁴ times as large."""
    judge(bias_before_it_is_useless, given=worlds()).supports()


def test_control_bias_without_batch_norm(judge):
    judge(bias_before_it_is_useless, given=worlds(), example=World(2, 3, 3), layer=no_norm).refutes()


def test_control_bias_in_evaluation_mode(judge):
    """With stored statistics nothing is subtracted from the bias."""
    judge(bias_before_it_is_useless, given=worlds(), example=World(2, 3, 3), layer=batch_norm_in_evaluation).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """After 64 channels batch norm has 128 trainable numbers on every map; layer norm's grow with the map's area."""
    sides = [1, 2, 4, 7, 14, 28, 56]
    draw.numbers(ax.xaxis, sides, log=True)
    for layer, label in ((batch_norm, "batch norm"), (layer_norm, "layer norm over C, H, W (control)")):
        draw.curve(ax, sides, [elements(layer(World(64, side, side)).parameters()) for side in sides], label)
    ax.set(yscale="log", xlabel="height and width of the map", ylabel="trainable numbers, 64 channels")
    draw.key(ax)
