"""Recurrent layers for S seeds at once: the plain tanh RNN, LSTM and GRU, with the equations of `torch.nn`.

Parameters are a list `[w_in, w_hidden, b_in, b_hidden]`: `[S, d, G * h]`, `[S, h, G * h]` and twice `[S, 1, G * h]`,
the G gates side by side in torch's order. The input projection of all steps is one product; the loop over time then
does one product a step for all gates of all seeds.

Sequences are `[S, N, T, d]`, outputs `[S, N, T, h]`. Each layer also returns its last state. To differentiate with
respect to the state at some step, run the layer up to it, and from it with that state as the initial one.
"""

import math

import torch
from torch import Tensor

from claimlab.seeds import Seeds

GATES = {"rnn": 1, "lstm": 4, "gru": 3}


def recurrent_parameters(seeds: Seeds, kind: str, inputs: int, hidden: int, *, name: str = "init") -> list[Tensor]:
    """Parameters of an "rnn", "lstm" or "gru", uniform within 1 / sqrt(hidden) as `torch.nn` draws them.

    Raises KeyError for another kind.
    """
    wide, bound = GATES[kind] * hidden, 1 / math.sqrt(hidden)
    shapes = {"w_in": (inputs, wide), "w_hidden": (hidden, wide), "b_in": (1, wide), "b_hidden": (1, wide)}
    return [seeds.uniform(f"{name}.{part}", *shape, low=-bound, high=bound) for part, shape in shapes.items()]


def rnn(parameters: list[Tensor], x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """h' = tanh(x w_in + b_in + h w_hidden + b_hidden): the outputs `[S, N, T, h]` and the last one `[S, N, h]`.

    `state` is the initial h, zero by default.
    """
    w_in, w_hidden, b_in, b_hidden = parameters
    hidden = _zeros(x, w_hidden) if state is None else state
    outputs = []
    for step in _project(x, w_in, b_in + b_hidden).unbind(1):
        hidden = torch.baddbmm(step, hidden, w_hidden).tanh_()
        outputs.append(hidden)
    return torch.stack(outputs, dim=2), hidden


def lstm(
    parameters: list[Tensor], x: Tensor, state: tuple[Tensor, Tensor] | None = None
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Long short-term memory with a forget gate (Hochreiter & Schmidhuber 1997; Gers et al. 2000).

    The gates i, f, g, o are in this order; c' = sigmoid(f) c + sigmoid(i) tanh(g), h' = sigmoid(o) tanh(c'). Returns
    the outputs `[S, N, T, h]` and the last (h, c), `[S, N, h]` each. `state` is the initial (h, c), zero by default.
    """
    w_in, w_hidden, b_in, b_hidden = parameters
    hidden, cell = (_zeros(x, w_hidden), _zeros(x, w_hidden)) if state is None else state
    outputs = []
    for step in _project(x, w_in, b_in + b_hidden).unbind(1):
        i, f, g, o = torch.baddbmm(step, hidden, w_hidden).chunk(4, dim=-1)
        cell = torch.addcmul(torch.sigmoid(f) * cell, torch.sigmoid(i), torch.tanh(g))
        hidden = torch.sigmoid(o) * torch.tanh(cell)
        outputs.append(hidden)
    return torch.stack(outputs, dim=2), (hidden, cell)


def gru(parameters: list[Tensor], x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The gated recurrent unit (Cho et al. 2014), with the reset gate after the product as in `torch.nn.GRU`.

    The gates r, z, n are in this order. With a = x w_in + b_in and b = h w_hidden + b_hidden, r = sigmoid(a_r + b_r),
    z = sigmoid(a_z + b_z), n = tanh(a_n + r b_n) and h' = (1 - z) n + z h. Returns the outputs `[S, N, T, h]` and the
    last one `[S, N, h]`. `state` is the initial h, zero by default.
    """
    w_in, w_hidden, b_in, b_hidden = parameters
    width = w_hidden.shape[1]
    hidden = _zeros(x, w_hidden) if state is None else state
    gates, candidates = _project(x, w_in, b_in).split((2 * width, width), dim=-1)
    outputs = []
    for gate, candidate in zip(gates.unbind(1), candidates.unbind(1), strict=True):
        from_gates, from_candidate = torch.baddbmm(b_hidden, hidden, w_hidden).split((2 * width, width), dim=-1)
        reset, update = (gate + from_gates).sigmoid_().chunk(2, dim=-1)
        candidate = torch.addcmul(candidate, reset, from_candidate).tanh_()
        hidden = torch.lerp(candidate, hidden, update)
        outputs.append(hidden)
    return torch.stack(outputs, dim=2), hidden


def _project(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The affine map of every input at every step, time before samples: `[S, N, T, d]` to `[S, T, N, fan_out]`."""
    _, samples, steps, _ = x.shape
    return torch.baddbmm(bias, x.transpose(1, 2).flatten(1, 2), weight).unflatten(1, (steps, samples))


def _zeros(x: Tensor, w_hidden: Tensor) -> Tensor:
    return x.new_zeros(*x.shape[:2], w_hidden.shape[1])
