"""The hand-written backward pass of a plain net has the gradients of autograd, and so have those."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from claimlab import Seeds
from claimlab.nets import MLP
from claimlab.nets.dense import NARROW, affine, dense
from claimlab.parts.layers import Elementwise, of_torch

SEEDS = Seeds("nets", 1, "tests", (0, 1, 2), dtype=torch.float64)
ACTIVATIONS: dict[type[nn.Module], Callable[[Tensor], Tensor]] = {
    nn.ReLU: torch.relu,
    nn.Tanh: torch.tanh,
    nn.Sigmoid: torch.sigmoid,
    nn.Identity: lambda z: z,
}
WIDTHS = [(3, 5, 4), (3, NARROW + 1, 1), (1, 6, NARROW + 2, 2), (2, 3), (4, 1, 3)]


def by_autograd(parameters: list[Tensor], x: Tensor, *, activation: type[nn.Module], bias: bool) -> Tensor:
    """The same net in the operators of torch."""
    layers = [parameters[place : place + 1 + bias] for place in range(0, len(parameters), 1 + bias)]
    for number, (weight, *shift) in enumerate(layers, start=1):
        x = sum(shift, torch.einsum("snd,sdh->snh", x, weight))
        x = ACTIVATIONS[activation](x) if number < len(layers) else x
    return x


def made(widths: tuple[int, ...], *, bias: bool) -> tuple[list[Tensor], Tensor]:
    """Parameters and inputs, all of which want gradients."""
    start = MLP(widths, bias=bias).init(SEEDS)
    moved = [parameter + 0.1 * SEEDS.normal(f"{place}", *parameter.shape[1:]) for place, parameter in enumerate(start)]
    return [parameter.requires_grad_() for parameter in moved], SEEDS.normal("x", 7, widths[0]).requires_grad_()


def of(activation: type[nn.Module]) -> Elementwise:
    layer = of_torch(activation())
    assert isinstance(layer, Elementwise)
    return layer


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("widths", WIDTHS)
def test_outputs_and_gradients_are_those_of_autograd(widths, bias, activation):
    parameters, x = made(widths, bias=bias)
    ours = dense(parameters, x, activation=of(activation), bias=bias)
    theirs = by_autograd(parameters, x, activation=activation, bias=bias)
    torch.testing.assert_close(ours, theirs)
    g = SEEDS.normal("g", 7, widths[-1])
    found = torch.autograd.grad(ours, [x, *parameters], g)
    expected = torch.autograd.grad(theirs, [x, *parameters], g)
    torch.testing.assert_close(found, expected)
    assert all(gradient.is_contiguous() for gradient in found[1:])


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("widths", WIDTHS)
def test_gradients_of_gradients_are_those_of_autograd(widths, activation):
    parameters, x = made(widths, bias=True)
    second = []
    for outputs in (
        dense(parameters, x, activation=of(activation), bias=True),
        by_autograd(parameters, x, activation=activation, bias=True),
    ):
        first = torch.autograd.grad(outputs.square().sum(), [x, *parameters], create_graph=True)
        second.append(torch.autograd.grad(torch.stack([each.square().sum() for each in first]).sum(), [x, *parameters]))
    torch.testing.assert_close(*second)


def test_only_what_wants_a_gradient_gets_one():
    parameters, x = made((3, 5, 4), bias=True)
    parameters[2].requires_grad_(False)
    for create_graph in (False, True):
        outputs = dense(parameters, x.detach(), activation=of(nn.ReLU), bias=True)
        wanted = [parameter for place, parameter in enumerate(parameters) if place != 2]
        found = torch.autograd.grad(outputs.square().sum(), wanted, create_graph=create_graph)
        assert [gradient.shape for gradient in found] == [parameter.shape for parameter in wanted]


@pytest.mark.parametrize("outputs", [1, 2, NARROW - 1, NARROW])
@pytest.mark.parametrize("inputs", [1, 5])
def test_an_affine_layer_is_the_same_with_and_without_gradients(inputs, outputs):
    x, weight, bias = SEEDS.normal("x", 7, inputs), SEEDS.normal("w", inputs, outputs), SEEDS.normal("b", 1, outputs)
    for own in ([weight], [weight, bias]):
        expected = sum(own[1:], torch.einsum("snd,sdh->snh", x, weight))
        torch.testing.assert_close(affine(x, *own), expected)
        with torch.no_grad():
            torch.testing.assert_close(affine(x, *own), expected)
            assert affine(x, *own).is_contiguous()
