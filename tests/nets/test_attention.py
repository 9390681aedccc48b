"""The seed-batched transformer encoder layer against torch.nn, member by member."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from claimlab.nets import encoder_layer, encoder_parameters
from claimlab.parts import lift
from claimlab.seeds import Seeds

worlds = settings(max_examples=15, derandomize=True, database=None)


def seeds_of(count: int) -> Seeds:
    return Seeds("tests/attention", 1, "pinned", tuple(range(count)), dtype=torch.float64)


def of_torch(part: Tensor) -> Tensor:
    """A member's parameter as torch.nn has it: weights `[fan_out, fan_in]`, vectors `[features]`."""
    return part.T if part.ndim == 2 and len(part) > 1 else part.flatten()


def parameters_of(module: nn.TransformerEncoderLayer) -> list[Tensor]:
    attention = module.self_attn
    return [
        attention.in_proj_weight,
        attention.in_proj_bias,
        attention.out_proj.weight,
        attention.out_proj.bias,
        module.linear1.weight,
        module.linear1.bias,
        module.linear2.weight,
        module.linear2.bias,
        module.norm1.weight,
        module.norm1.bias,
        module.norm2.weight,
        module.norm2.bias,
    ]


def gradient(tensor: Tensor) -> Tensor:
    assert tensor.grad is not None
    return tensor.grad


@given(st.tuples(*[st.integers(1, 4)] * 3), st.integers(1, 3), st.integers(2, 3), st.integers(2, 5), st.booleans())
@worlds
def test_values_and_gradients_are_those_of_the_twin(shape, heads, depth, hidden, norm_first):
    members, samples, steps = shape
    seeds, width = seeds_of(members), heads * depth
    norm = lift(nn.LayerNorm, width)
    drawn = encoder_parameters(seeds, width, hidden, norm=norm)
    parameters = [
        (part + 0.1 * seeds.normal(f"moved{place}", *part.shape[1:])).requires_grad_()
        for place, part in enumerate(drawn)
    ]
    x = seeds.normal("x", samples, steps, width).requires_grad_()
    outputs = encoder_layer(parameters, x, heads=heads, norm=norm, norm_first=norm_first)
    outputs.pow(3).sum().backward()
    for member in range(members):
        module = nn.TransformerEncoderLayer(
            width, heads, hidden, dropout=0.0, batch_first=True, norm_first=norm_first
        ).double()
        for own, part in zip(parameters_of(module), parameters, strict=True):
            own.data = of_torch(part.detach()[member]).clone()
        inputs = x.detach()[member].clone().requires_grad_()
        alone = module(inputs)
        alone.pow(3).sum().backward()
        torch.testing.assert_close(outputs[member], alone, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(gradient(x)[member], gradient(inputs), rtol=1e-8, atol=1e-9)
        for own, part in zip(parameters_of(module), parameters, strict=True):
            torch.testing.assert_close(of_torch(gradient(part)[member]), gradient(own), rtol=1e-8, atol=1e-9)


def test_parameters_are_drawn_as_torch_draws_them():
    seeds, module = seeds_of(30), nn.TransformerEncoderLayer(12, 3, 20, dtype=torch.float64)
    bounds = {0: math.sqrt(6 / 48), 2: 1 / math.sqrt(12), 4: 1 / math.sqrt(12), 5: 1 / math.sqrt(12)}
    bounds |= {6: 1 / math.sqrt(20), 7: 1 / math.sqrt(20)}
    drawn = encoder_parameters(seeds, 12, 20, norm=lift(nn.LayerNorm, 12))
    for place, (part, theirs) in enumerate(zip(drawn, parameters_of(module), strict=True)):
        assert of_torch(part[0]).shape == theirs.shape
        if place not in bounds:  # zeros and ones
            torch.testing.assert_close(of_torch(part[0]), theirs.detach())
            continue
        assert theirs.abs().max() <= bounds[place]
        assert 0.98 * bounds[place] < part.abs().max() <= bounds[place]


def test_the_heads_divide_the_width():
    seeds, norm = seeds_of(1), lift(nn.LayerNorm, 4)
    parameters = encoder_parameters(seeds, 4, 8, norm=norm)
    with pytest.raises(ValueError, match="3 heads do not divide the width 4"):
        encoder_layer(parameters, seeds.normal("x", 1, 2, 4), heads=3, norm=norm)


@pytest.mark.parametrize("norm_first", [False, True])
def test_another_norm_stands_in_layer_norms_place(norm_first):
    """Twice a layer, with the gain and the shift of its place; the identity leaves the sums as they are."""
    seeds = seeds_of(2)
    norm, x = lift(nn.LayerNorm, 4), seeds.normal("x", 3, 5, 4)
    parameters = encoder_parameters(seeds, 4, 6, norm=norm)
    seen = []

    def identity(own: list[Tensor], sums: Tensor) -> Tensor:
        seen.append(own)
        return sums

    with_norm = encoder_layer(parameters, x, heads=2, norm_first=norm_first, norm=norm)
    without = encoder_layer(parameters, x, heads=2, norm_first=norm_first, norm=identity)
    assert [id(part) for pair in seen for part in pair] == [id(part) for part in parameters[-4:]]
    assert not torch.allclose(with_norm, without)
