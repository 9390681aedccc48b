"""Weight norm adds one number a neuron, and no function that the layer could not compute before.

Slide: Weight Normalization. A unit with weights w in D dimensions becomes one with g and v: D + 1 numbers in place of
D, the bias not counted. Every w is g v / ||v|| for g = ||w|| and v = w; for w = 0 that v would not do, but g = 0 and
any other v will. And g v / ||v|| is a vector in D dimensions whatever g and v are, so the layer stays affine. What
changes is the path that training takes (see the claim on length and direction).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from claimlab import Certificate, Claim, Property, draw
from claimlab.measure.count import elements
from claimlab.measure.draws import Draws
from claimlab.measure.rounding import linear
from claimlab.parts import parts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="normalization/weight-norm-adds-one-number-a-neuron",
    covers=("F14",),
    slide="Weight Normalization",
    version=1,
    finding="holds",
    says="Weight norm has one new parameter to learn for every neuron.",
    statement=(
        "Weight norm adds one trainable number for every unit or output channel. A dense layer computes the same "
        "functions as before: every weight matrix is reached by some lengths and directions, and all lengths and "
        "directions give an affine layer."
    ),
    reason="The length of v is of no effect: the one number more is a number too many, and the functions are the same.",
    scope=("one length for every unit, as is usual; dense layers for the functions; functions compared up to rounding"),
    source="Salimans and Kingma 2016 (arXiv 1602.07868), section 2",
    evidence=Property(examples=20),
)

LENGTHS, DIRECTIONS = "parametrizations.weight.original0", "parametrizations.weight.original1"


@dataclass(frozen=True)
class World:
    """The sizes of a layer, dense or convolutional, whether its first row of weights is zero, and the seed."""

    inputs: int = 2
    units: int = 2
    convolution: bool = False
    zero_row: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Drawn:
    """Inputs x `[N, D]`, plain weights w `[H, D]`, biases `[H]`, lengths g `[H, 1]` and directions v `[H, D]`."""

    x: Tensor
    w: Tensor
    bias: Tensor
    g: Tensor
    v: Tensor


def drawn(world: World) -> Drawn:
    draws, units, inputs = Draws(world.seed), world.units, world.inputs
    w, v = draws.normal("w", units, inputs), draws.normal("v", units, inputs)
    if world.zero_row:
        w[0] = 0
    return Drawn(draws.normal("x", 6, inputs), w, draws.normal("bias", units), draws.normal("g", units, 1), v)


# -- the count --------------------------------------------------------------------------------------------------------


def base(world: World) -> nn.Module:
    if world.convolution:
        return nn.Conv2d(world.inputs, world.units, kernel_size=3, dtype=torch.float64)
    return nn.Linear(world.inputs, world.units, dtype=torch.float64)


def batch_norm_after(layer: nn.Module) -> nn.Module:
    (units,) = layer.get_parameter("bias").shape
    dimensions = "1d" if isinstance(layer, nn.Linear) else "2d"
    return nn.Sequential(layer, parts().named(f"batch_norm_{dimensions}")(units, dtype=torch.float64))


def one_a_unit(layer: nn.Module) -> nn.Module:
    return parts().weight_norm(layer)


def one_for_all(layer: nn.Module) -> nn.Module:
    """torch's weight norm with a single length for the whole weight tensor."""
    return parts().weight_norm(layer, dim=None)


def adds_one_a_neuron(world: World, normalised: Callable[[nn.Module], nn.Module] = one_a_unit) -> Certificate:
    """Whether the layer has one trainable number more for every unit, and a gradient by each of them."""
    layer = base(world)
    before = elements(layer.parameters())
    layer = normalised(layer)
    added = elements(layer.parameters()) - before
    x = Draws(world.seed).normal("x", 4, world.inputs, 3, 3)
    layer(x if world.convolution else x[..., 0, 0]).square().sum().backward()
    gradients = [p.grad for name, p in layer.named_parameters() if p.numel() == world.units and name != "bias"]
    in_use = any(gradient is not None and bool((gradient != 0).all()) for gradient in gradients)
    return Certificate(added == world.units and in_use, added=added, before=before)


# -- the functions ----------------------------------------------------------------------------------------------------


def dense(weight: Tensor, bias: Tensor) -> nn.Module:
    layer = nn.Linear(weight.shape[1], len(weight), dtype=torch.float64)
    layer.load_state_dict({"weight": weight, "bias": bias})
    return layer


def weight_norm(g: Tensor, v: Tensor, bias: Tensor) -> nn.Module:
    layer = parts().weight_norm(nn.Linear(v.shape[1], len(v), dtype=torch.float64))
    layer.load_state_dict({LENGTHS: g, DIRECTIONS: v, "bias": bias})
    return layer


def of_plain(w: Tensor) -> tuple[Tensor, Tensor]:
    """Lengths and directions for plain weights: a row of zeros has the length 0 and a direction all the same."""
    g = torch.linalg.vector_norm(w, dim=1, keepdim=True)
    return g, torch.where(g == 0, 1.0, w)


def of_plain_by_division(w: Tensor) -> tuple[Tensor, Tensor]:
    """The same without the exception for a row of zeros."""
    return torch.linalg.vector_norm(w, dim=1, keepdim=True), w


def of_plain_without_length(w: Tensor) -> tuple[Tensor, Tensor]:
    """Directions alone, every length 1: a layer of unit vectors."""
    g, v = of_plain(w)
    return torch.ones_like(g), v


def rounding(x: Tensor, w: Tensor, bias: Tensor) -> Tensor:
    """A bound on the difference of two outputs `[N, H]` that are equal in exact arithmetic.

    A weight g v / ||v|| is rounded D + 4 times; one that is read off as f(e_j) - f(0) has been summed with the bias
    besides, D + 2 times, and is off in proportion to |w| + 2 |bias|.
    """
    inputs = x.shape[1]
    return 2 * linear(x, w.abs() + 2 * bias.abs()[:, None], bias, before=2 * inputs + 6)


def reaches_the_plain_layer(world: World, found: Callable[[Tensor], tuple[Tensor, Tensor]] = of_plain) -> Certificate:
    """Whether weight norm with the lengths and directions found computes what the plain layer computes."""
    d = drawn(world)
    off = (weight_norm(*found(d.w), d.bias)(d.x) - dense(d.w, d.bias)(d.x)).abs()
    return Certificate(bool((off <= rounding(d.x, d.w, d.bias)).all()), off=off.max())


def with_layer_norm(g: Tensor, v: Tensor, bias: Tensor) -> nn.Module:
    return nn.Sequential(weight_norm(g, v, bias), parts().layer_norm(len(v), dtype=torch.float64))


def is_affine(world: World, layer: Callable[[Tensor, Tensor, Tensor], nn.Module] = weight_norm) -> Certificate:
    """Whether a layer computes w x + bias for the weights and biases read off at 0 and at the unit vectors."""
    d = drawn(world)
    f = layer(d.g, d.v, d.bias)
    bias = f(torch.zeros(1, world.inputs, dtype=torch.float64))[0]
    w = f(torch.eye(world.inputs, dtype=torch.float64)).T - bias[:, None]
    off = (f(d.x) - (d.x @ w.T + bias)).abs()
    return Certificate(bool((off <= rounding(d.x, w, bias)).all()), off=off.max())


def worlds(*, zero_row: bool | None = None) -> st.SearchStrategy[World]:
    rows = st.booleans() if zero_row is None else st.just(zero_row)
    return st.builds(World, st.integers(1, 5), st.integers(2, 5), st.booleans(), rows, st.integers(0, 999))


def test_claim(judge):
    """Twenty dense or convolutional layers of up to 5 inputs and 2 to 5 units, a gradient for each number added."""
    judge(adds_one_a_neuron, given=worlds()).supports()


def test_control_one_length_for_the_layer(judge):
    """One number for all units together."""
    judge(adds_one_a_neuron, given=worlds(), example=World(), normalised=one_for_all).refutes()


def test_control_batch_norm_adds_two(judge):
    judge(adds_one_a_neuron, given=worlds(), example=World(), normalised=batch_norm_after).refutes()


def test_reaches_every_plain_layer(judge):
    """Every weight matrix, rows of zeros included, is reached by some g and v, up to rounding in float64."""
    judge(reaches_the_plain_layer, given=worlds()).supports()


def test_control_without_lengths(judge):
    judge(reaches_the_plain_layer, given=worlds(), example=World(), found=of_plain_without_length).refutes()


def test_control_direction_of_a_zero_row(judge):
    """0 / 0: for weights of zero, v = w is the one choice that does not do."""
    judge(
        reaches_the_plain_layer, given=worlds(zero_row=True), example=World(zero_row=True), found=of_plain_by_division
    ).refutes()


def test_reaches_nothing_but_plain_layers(judge):
    """Every g, and every v but 0, give an affine layer, with the weights g v / ‖v‖."""
    judge(is_affine, given=worlds()).supports()


def test_control_layer_norm_is_not_affine(judge):
    judge(is_affine, given=worlds(), example=World(), layer=with_layer_norm).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Weight norm adds one number a unit, whatever the layer's inputs; batch norm adds two."""
    fan_in = [1, 4, 16, 64, 256]
    layers = [nn.Linear(inputs, 64) for inputs in fan_in]
    plain = [elements(layer.parameters()) for layer in layers]
    draw.numbers(ax.xaxis, fan_in, log=True)
    draw.curve(ax, fan_in, plain, "weights and biases", style="0.5")
    for normalised, label in ((one_a_unit, "added by weight norm"), (batch_norm_after, "by batch norm (control)")):
        layers = [normalised(nn.Linear(inputs, 64, dtype=torch.float64)) for inputs in fan_in]
        added = [elements(layer.parameters()) - count for layer, count in zip(layers, plain, strict=True)]
        draw.curve(ax, fan_in, added, label)
    ax.set(yscale="log", ylim=(30, None), xlabel="inputs of the layer", ylabel="trainable numbers, 64 units")
    draw.key(ax)
