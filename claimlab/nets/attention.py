"""A transformer encoder layer for S seeds at once (Vaswani et al. 2017), without dropout and without a mask."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from claimlab.parts import Layer
from claimlab.parts.initialisers import zeros
from claimlab.seeds import Seeds


def encoder_parameters(seeds: Seeds, width: int, hidden: int, *, norm: Layer, name: str = "init") -> list[Tensor]:
    """Parameters of `encoder_layer`, drawn as `torch.nn.TransformerEncoderLayer` draws them.

    `[w_qkv, b_qkv, w_out, b_out, w1, b1, w2, b2, *norm1, *norm2]`: weights `[S, fan_in, fan_out]` with queries, keys
    and values side by side, biases `[S, 1, fan_out]`, and the parameters of two norms, gain and shift `[S, width]` for
    `lift(nn.LayerNorm, width)`.
    """

    def uniform(part: str, rows: int, columns: int, bound: float) -> Tensor:
        return seeds.uniform(f"{name}.{part}", rows, columns, low=-bound, high=bound)

    zero = zeros(seeds, 1, width)
    narrow, wide = 1 / math.sqrt(width), 1 / math.sqrt(hidden)
    return [
        uniform("w_qkv", width, 3 * width, math.sqrt(6 / (width + 3 * width))),
        zero.repeat(1, 1, 3),
        uniform("w_out", width, width, narrow),
        zero,
        uniform("w1", width, hidden, narrow),
        uniform("b1", 1, hidden, narrow),
        uniform("w2", hidden, width, wide),
        uniform("b2", 1, width, wide),
        *norm.init(seeds, f"{name}.norm1"),
        *norm.init(seeds, f"{name}.norm2"),
    ]


def encoder_layer(
    parameters: list[Tensor],
    x: Tensor,
    *,
    heads: int,
    norm: Callable[[list[Tensor], Tensor], Tensor],
    norm_first: bool = False,
) -> Tensor:
    """Self-attention and a ReLU net of one hidden layer, each added to its input, on sequences `[S, N, T, width]`.

    Each sum is normalised (post-norm, the original), or with `norm_first` each input (pre-norm, Xiong et al. 2020).
    `norm` is a function of its parameters and of activations `[S, N, T, width]`, such as `lift(nn.LayerNorm, width)`.
    Raises ValueError if `heads` does not divide the width.
    """
    w_qkv, b_qkv, w_out, b_out, w1, b1, w2, b2, *norms = parameters
    first, second = norms[: len(norms) // 2], norms[len(norms) // 2 :]
    if x.shape[-1] % heads:
        raise ValueError(f"{heads} heads do not divide the width {x.shape[-1]}")

    def attend(x: Tensor) -> Tensor:
        return _linear(_attention(_linear(x, w_qkv, b_qkv), heads), w_out, b_out)

    def feed_forward(x: Tensor) -> Tensor:
        return _linear(_linear(x, w1, b1).relu_(), w2, b2)

    if norm_first:
        x = x + attend(norm(first, x))
        return x + feed_forward(norm(second, x))
    x = norm(first, x + attend(x))
    return norm(second, x + feed_forward(x))


def _attention(qkv: Tensor, heads: int) -> Tensor:
    """Attention within every sequence: queries, keys and values `[S, N, T, 3 * width]` to `[S, N, T, width]`."""
    seeds, samples = qkv.shape[:2]
    split = qkv.flatten(0, 1).unflatten(-1, (3, heads, -1))  # [S * N, T, 3, heads, width / heads]
    query, key, value = split.permute(2, 0, 3, 1, 4)
    mixed = functional.scaled_dot_product_attention(query, key, value)
    return mixed.transpose(1, 2).flatten(2).unflatten(0, (seeds, samples))


def _linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x w + b for `[S, N, T, fan_in]`."""
    return torch.baddbmm(bias, x.flatten(1, 2), weight).unflatten(1, x.shape[1:3])
