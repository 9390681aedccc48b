"""A plain multilayer perceptron as one node of the graph, with its backward pass written by hand.

One node instead of one for every operator, and a narrow readout multiplied the way round that suits it: the gradients
are autograd's up to rounding. Where a graph of them is asked for (`create_graph`), autograd makes it.
"""

from collections.abc import Callable
from itertools import repeat
from typing import Any

import torch
from torch import Tensor

from claimlab.parts.layers import Elementwise

NARROW = 16
"""Outputs below which a matrix product is quicker transposed: MKL takes several times as long for 10 as for 16."""


def affine(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`x @ weight + bias`: activations `[S, N, fan_in]`, weights `[S, fan_in, fan_out]`, biases `[S, 1, fan_out]`.

    A layer with one input or one output is an outer or an inner product, for which a batched matrix product is slow.
    """
    if weight.shape[1] == 1:
        return x * weight if bias is None else torch.addcmul(bias, x, weight)
    if weight.shape[2] < NARROW and not torch.is_grad_enabled():
        z = _narrow(x, weight)
        return (z if bias is None else z + bias).contiguous()
    if weight.shape[2] == 1:
        z = (x * weight.transpose(1, 2)).sum(dim=2, keepdim=True)
        return z if bias is None else z + bias
    return torch.bmm(x, weight) if bias is None else torch.baddbmm(bias, x, weight)


def dense(parameters: list[Tensor], x: Tensor, *, activation: Elementwise, bias: bool) -> Tensor:
    """The outputs `[S, N, fan_out]` of affine layers with an activation between any two, for inputs `[S, N, fan_in]`.

    `parameters` are the weights and, with `bias`, the biases of every layer, as `affine` takes them.
    """
    if torch.is_grad_enabled() and x.shape[:1] == parameters[0].shape[:1]:
        return _Dense.apply(activation, bias, x, *parameters)
    return _layers(parameters, x, activation.function, bias)[-1]


class _Dense(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, activation: Elementwise, bias: bool, x: Tensor, *parameters: Tensor) -> Tensor:
        *activations, outputs = _layers(list(parameters), x, activation.function, bias)
        ctx.save_for_backward(*parameters, x, *activations)
        ctx.activation, ctx.bias = activation, bias
        return outputs

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> tuple[Tensor | None, ...]:
        (g,) = gradient
        count = len(ctx.needs_input_grad) - 3
        parameters, inputs = ctx.saved_tensors[:count], ctx.saved_tensors[count:]
        if torch.is_grad_enabled():
            return (None, None, *_by_autograd(ctx, g, inputs[0], parameters))
        gradients: list[Tensor] = []
        weights = parameters[:: 1 + ctx.bias]
        for place in reversed(range(len(weights))):
            x, weight = inputs[place], weights[place]
            if ctx.bias:
                gradients.append(g.sum(dim=1, keepdim=True))
            product = _narrow if weight.shape[2] < NARROW else torch.bmm
            gradients.append(product(x.transpose(1, 2), g).contiguous())
            if place:
                g = ctx.activation.backward(_back(g, weight), x)
        into = _back(g, weights[0]) if ctx.needs_input_grad[2] else None
        return (None, None, into, *reversed(gradients))


def _layers(parameters: list[Tensor], x: Tensor, activate: Callable[[Tensor], Tensor], bias: bool) -> list[Tensor]:
    """What every hidden layer hands on, and the outputs."""
    weights = parameters[:: 1 + bias]
    *hidden, readout = zip(weights, parameters[1::2] if bias else repeat(None, len(weights)), strict=True)
    found = []
    for layer in hidden:
        x = activate(affine(x, *layer))
        found.append(x)
    return [*found, affine(x, *readout)]


def _by_autograd(ctx: Any, g: Tensor, x: Tensor, parameters: tuple[Tensor, ...]) -> list[Tensor | None]:
    """The gradients of the inputs and the parameters, with a graph of their own."""
    outputs = _layers(list(parameters), x, ctx.activation.function, ctx.bias)[-1]
    given = [x, *parameters]
    wanted = [tensor for tensor, needed in zip(given, ctx.needs_input_grad[2:], strict=True) if needed]
    found = iter(torch.autograd.grad(outputs, wanted, g, create_graph=True))
    return [next(found) if needed else None for needed in ctx.needs_input_grad[2:]]


def _narrow(left: Tensor, right: Tensor) -> Tensor:
    """`left @ right`, `[S, m, n] @ [S, n, few]`, as the transpose of the product of the transposes."""
    return torch.bmm(right.transpose(1, 2), left.transpose(1, 2)).transpose(1, 2)


def _back(g: Tensor, weight: Tensor) -> Tensor:
    """The gradient of a layer's inputs, `[S, N, fan_in]`, from that of its outputs, `[S, N, fan_out]`."""
    if weight.shape[2] == 1:
        return g * weight.transpose(1, 2)
    return torch.bmm(g, weight.transpose(1, 2))
