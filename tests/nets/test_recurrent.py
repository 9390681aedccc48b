"""The seed-batched RNN, LSTM and GRU against torch.nn, member by member."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest
from torch import Tensor, nn

from claimlab.nets import gru, lstm, recurrent_parameters, rnn
from claimlab.seeds import Seeds

worlds = settings(max_examples=15, derandomize=True, database=None)
close = partial(torch.testing.assert_close, rtol=1e-10, atol=1e-11)
LAYERS: dict[str, tuple[Callable[..., Any], Callable[..., nn.Module]]] = {
    "rnn": (rnn, nn.RNN),
    "lstm": (lstm, nn.LSTM),
    "gru": (gru, nn.GRU),
}
PARTS = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")


def seeds_of(count: int) -> Seeds:
    return Seeds("tests/recurrent", 1, "pinned", tuple(range(count)), dtype=torch.float64)


def as_tuple(state: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return state if isinstance(state, tuple) else (state,)


def gradient(tensor: Tensor) -> Tensor:
    assert tensor.grad is not None
    return tensor.grad


def loss(outputs: Tensor, state: Tensor | tuple[Tensor, ...]) -> Tensor:
    return outputs.square().sum() + sum(part.pow(3).sum() for part in as_tuple(state))


def of_torch(part: Tensor) -> Tensor:
    """A member's parameter as torch.nn has it: weights `[fan_out, fan_in]`, biases `[fan_out]`."""
    return part[0] if len(part) == 1 else part.T


@pytest.mark.parametrize("kind", LAYERS)
@given(
    shape=st.tuples(*[st.integers(1, 4)] * 4),
    hidden=st.integers(2, 5),
    given_state=st.booleans(),
)
@worlds
def test_values_and_gradients_are_those_of_the_twin(kind, shape, hidden, given_state):
    members, samples, steps, inputs = shape
    inputs += 1  # so that a weight is told from a bias by its rows
    seeds, (layer, module_class) = seeds_of(members), LAYERS[kind]
    parameters = [part.requires_grad_() for part in recurrent_parameters(seeds, kind, inputs, hidden)]
    x = seeds.normal("x", samples, steps, inputs).requires_grad_()
    first = tuple(seeds.normal(f"h{place}", samples, hidden).requires_grad_() for place in range(1 + (kind == "lstm")))
    state = (first if kind == "lstm" else first[0]) if given_state else None
    outputs, last = layer(parameters, x, state)
    loss(outputs, last).backward()
    for member in range(members):
        module = module_class(inputs, hidden, batch_first=True).double()
        for name, part in zip(PARTS, parameters, strict=True):
            getattr(module, name).data = of_torch(part.detach()[member]).clone()
        own = x.detach()[member].clone().requires_grad_()
        starts = tuple(part.detach()[member][None].clone().requires_grad_() for part in first)
        alone, end = module(own, (starts if kind == "lstm" else starts[0]) if given_state else None)
        loss(alone, end).backward()
        close(outputs[member], alone)
        for batched, single in zip(as_tuple(last), as_tuple(end), strict=True):
            close(batched[member], single[0])
        close(gradient(x)[member], gradient(own))
        for name, part in zip(PARTS, parameters, strict=True):
            close(of_torch(gradient(part)[member]), getattr(module, name).grad)
        if given_state:
            for batched, single in zip(first, starts, strict=True):
                close(gradient(batched)[member], gradient(single)[0])


@pytest.mark.parametrize("kind", LAYERS)
def test_a_sequence_may_be_cut_at_a_state(kind):
    seeds, (layer, _) = seeds_of(2), LAYERS[kind]
    parameters, x = recurrent_parameters(seeds, kind, 3, 4), seeds.normal("x", 5, 7, 3)
    whole, _ = layer(parameters, x)
    head, state = layer(parameters, x[:, :, :3])
    tail, _ = layer(parameters, x[:, :, 3:], state)
    close(whole, torch.cat([head, tail], dim=2))


@pytest.mark.parametrize("kind", LAYERS)
def test_parameters_are_drawn_as_torch_draws_them(kind):
    seeds, module = seeds_of(30), LAYERS[kind][1](9, 16).double()
    parameters = recurrent_parameters(seeds, kind, 9, 16)
    for name, part in zip(PARTS, parameters, strict=True):
        assert of_torch(part[0]).shape == getattr(module, name).shape
        assert kstest(part.flatten().numpy(), "uniform", (-0.25, 0.5)).pvalue > 1e-6
        assert getattr(module, name).abs().max() <= 0.25
    assert torch.equal(recurrent_parameters(seeds.take([4]), kind, 9, 16)[0][0], parameters[0][4])
