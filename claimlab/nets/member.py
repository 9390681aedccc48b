"""One seed's net, taken out of its block as an ordinary module of torch."""

import torch
from torch import Tensor, nn

from claimlab.nets.cnn import CNN
from claimlab.nets.mlp import MLP
from claimlab.nets.norm import Running

_ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}


def member(net: MLP | CNN, parameters: list[Tensor], index: int, running: list[Running] | None = None) -> nn.Sequential:
    """The `index`-th net of the block: the same function, on inputs without the seed dimension, with own parameters.

    An MLP takes `[N, d]`, a CNN images `[N, C, H, W]` (signals with a height of 1). `running` is copied into the batch
    norms of a CNN; without it they start anew, as those of an MLP do.
    """
    own = iter([parameter.detach()[index].clone() for parameter in parameters])
    module = nn.Sequential(*(_dense(net, own) if isinstance(net, MLP) else _convolutional(net, own)))
    norms = [layer for layer in module if isinstance(layer, nn.BatchNorm2d)]
    for norm, buffers in zip(norms, running or (), strict=False):
        norm.running_mean, norm.running_var = buffers.mean[index].clone(), buffers.var[index].clone()
    return module


def _dense(net: MLP, own) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for width in net.widths[1:-1]:
        if net.norm == "batch":
            layers.append(_linear(next(own), None))
            layers.append(_norm(nn.BatchNorm1d(width), next(own), next(own)))
        else:
            layers.append(_linear(next(own), next(own) if net.bias else None))
        if net.activation != "identity":
            layers.append(_ACTIVATIONS[net.activation]())
    return [*layers, _linear(next(own), next(own) if net.bias else None)]


def _convolutional(net: CNN, own) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for block, outputs in enumerate(net.channels[1:]):
        weight = next(own)
        side = net.strides[block] if block < len(net.strides) else 1
        convolution = nn.Conv2d(
            weight.shape[1], outputs, weight.shape[2:], stride=(1, side) if net.signals else side,
            padding=(0, net.kernel // 2) if net.signals else net.kernel // 2, bias=net.norm == "none",
        )  # fmt: skip
        convolution.weight = nn.Parameter(weight)
        layers.append(convolution)
        if net.norm == "none":
            convolution.bias = nn.Parameter(next(own))
        else:
            norm = nn.BatchNorm2d(outputs) if net.norm == "batch" else nn.GroupNorm(net.groups, outputs)
            layers.append(_norm(norm, next(own), next(own)))
        layers.append(nn.ReLU())
    return [*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), _linear(next(own), next(own))]


def _norm(norm: nn.Module, gain: Tensor, shift: Tensor) -> nn.Module:
    norm.weight, norm.bias = nn.Parameter(gain), nn.Parameter(shift)
    return norm.to(gain)


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """A layer of weights `[fan_in, fan_out]`, which torch keeps transposed, and bias `[1, fan_out]`."""
    layer = torch.nn.utils.skip_init(nn.Linear, *weight.shape, bias=bias is not None, dtype=weight.dtype)
    layer.weight = nn.Parameter(weight.T.contiguous())
    if bias is not None:
        layer.bias = nn.Parameter(bias[0])
    return layer
