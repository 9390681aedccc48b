"""One seed's net, taken out of its block as an ordinary module of torch."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from claimlab.nets.cnn import CNN
from claimlab.nets.mlp import MLP
from claimlab.parts.layers import Buffers
from claimlab.parts.lifting import one_seed


def member(net: MLP | CNN, parameters: list[Tensor], index: int, running: list[Buffers] | None = None) -> nn.Sequential:
    """The `index`-th net of the block: the same function, on inputs without the seed dimension, with own parameters.

    An MLP takes `[N, d]`, a CNN images `[N, C, H, W]` (signals with a height of 1). `running` is copied into the norms
    of a CNN; without it they start anew, as those of an MLP do.
    """
    own = iter([parameter.detach()[index].clone() for parameter in parameters])
    layers = _dense(net, own) if isinstance(net, MLP) else _convolutional(net, own, index, running or [])
    return nn.Sequential(*layers)


def _dense(net: MLP, own: Iterator[Tensor]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for width in net.widths[1:-1]:
        weight = next(own)
        if net.norm is None:
            layers.append(_linear(weight, next(own) if net.bias else None))
        else:
            layers += [_linear(weight, None), one_seed(net.norm(width), own, weight)]
        layers.append(one_seed(net.activation(), own, weight))
    layers = [layer for layer in layers if not isinstance(layer, nn.Identity)]
    return [*layers, _linear(next(own), next(own) if net.bias else None)]


def _convolutional(net: CNN, own: Iterator[Tensor], index: int, running: list[Buffers]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for block, outputs in enumerate(net.channels[1:]):
        weight = next(own)
        side = net.strides[block] if block < len(net.strides) else 1
        convolution = nn.Conv2d(
            weight.shape[1], outputs, (1, net.kernel) if net.signals else net.kernel,
            stride=(1, side) if net.signals else side,
            padding=(0, net.kernel // 2) if net.signals else net.kernel // 2, bias=net.norm is None,
        )  # fmt: skip
        convolution.weight = nn.Parameter(weight)
        layers.append(convolution)
        if net.norm is None:
            convolution.bias = nn.Parameter(next(own))
        else:
            layers.append(one_seed(net.norm(outputs), own, weight, running[block] if running else None, index))
        layers.append(one_seed(net.activation(), own, weight))
    return [*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), _linear(next(own), next(own))]


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """A layer of weights `[fan_in, fan_out]`, which torch keeps transposed, and bias `[1, fan_out]`."""
    layer = torch.nn.utils.skip_init(nn.Linear, *weight.shape, bias=bias is not None, dtype=weight.dtype)
    layer.weight = nn.Parameter(weight.T.contiguous())
    if bias is not None:
        layer.bias = nn.Parameter(bias[0])
    return layer
