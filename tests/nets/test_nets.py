"""The seed-batched MLP against torch.nn, member by member."""

import itertools
import math
from itertools import pairwise

import pytest
import torch
from scipy.stats import kstest
from sklearn.neural_network import MLPRegressor
from torch import nn

from claimlab.measure.count import elements, mlp_parameters
from claimlab.nets import MLP
from claimlab.parts import parts
from claimlab.seeds import Seeds

SEEDS = Seeds("tests/nets", 1, "pinned", tuple(range(5)), dtype=torch.float64)
ACTIVATIONS = [nn.ReLU, nn.Tanh, nn.Sigmoid, nn.Identity]
NORMS = [nn.BatchNorm1d, nn.LayerNorm, None]
SCHEMES = ["he_init", "lecun_init", "glorot_init", "torch_init"]
WIDTHS = (3, 7, 4, 2)


def twin(net: MLP, parameters: list[torch.Tensor], member: int) -> nn.Sequential:
    """What everybody would write for one seed: `torch.nn.Sequential` with that member's parameters."""
    layers: list[nn.Module] = []
    rest = iter(parameters)
    for layer, (fan_in, fan_out) in enumerate(pairwise(net.widths), start=2):
        normed = net.norm is not None and layer < len(net.widths)
        linear = nn.Linear(fan_in, fan_out, bias=net.bias and not normed, dtype=parameters[0].dtype)
        linear.weight.data = next(rest)[member].T.clone()
        layers.append(linear)
        if normed:
            assert net.norm is not None
            norm = net.norm(fan_out).to(parameters[0])
            norm.weight.data, norm.bias.data = next(rest)[member].clone(), next(rest)[member].clone()
            layers.append(norm)
        elif net.bias:
            linear.bias.data = next(rest)[member, 0].clone()
        layers.append(net.activation())
    return nn.Sequential(*layers[:-1])


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_values_and_gradients_are_those_of_a_sequential_twin(activation, bias, norm):
    net = MLP(WIDTHS, activation, bias=bias, norm=norm)
    start = net.init(SEEDS, parts().torch_init)
    off = [parameter + 0.1 * SEEDS.normal(f"off.{i}", *parameter.shape[1:]) for i, parameter in enumerate(start)]
    parameters = [parameter.requires_grad_() for parameter in off]
    x = SEEDS.normal("x", 11, 3)
    outputs = net(parameters, x)
    outputs.square().sum().backward()
    for member in range(len(SEEDS)):
        module = twin(net, [parameter.detach() for parameter in parameters], member)
        alone = module(x[member])
        alone.square().sum().backward()
        torch.testing.assert_close(outputs[member], alone, rtol=1e-12, atol=1e-12)
        for parameter, own in zip(parameters, module.parameters(), strict=True):
            assert parameter.grad is not None
            batched = parameter.grad[member].T if own.ndim == 2 else parameter.grad[member].reshape(own.shape)
            torch.testing.assert_close(batched, own.grad, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(("norm", "each"), [(nn.BatchNorm1d, 3), (None, 2)])
def test_pre_activations_are_those_of_the_twin(norm, each):
    net = MLP(WIDTHS, norm=norm)
    parameters, x = net.init(SEEDS, parts().torch_init), SEEDS.normal("x", 11, 3)
    inputs = net.pre_activations(parameters, x)
    assert [tuple(layer.shape) for layer in inputs] == [(5, 11, 7), (5, 11, 4), (5, 11, 2)]
    module = twin(net, parameters, 2)
    torch.testing.assert_close(inputs[0][2], module[: each - 1](x[2]))
    torch.testing.assert_close(inputs[1][2], module[: 2 * each - 1](x[2]))
    torch.testing.assert_close(inputs[-1], net(parameters, x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("bias", [True, False])
def test_batch_norm_takes_the_place_of_hidden_biases_and_leaves_the_weights(bias):
    plain, normed = (MLP(WIDTHS, bias=bias, norm=norm) for norm in (None, nn.BatchNorm1d))
    layers = normed.layers(normed.init(SEEDS, parts().torch_init))
    for ours, theirs in zip(layers, plain.layers(plain.init(SEEDS, parts().torch_init)), strict=True):
        assert torch.equal(ours[0], theirs[0])
    for (_, gain, shift), width in zip(layers[:-1], WIDTHS[1:-1], strict=True):
        assert gain.eq(1).all()
        assert shift.eq(0).all()
        assert gain.shape == shift.shape == (5, width)
    assert len(layers[-1]) == 1 + bias


@pytest.mark.parametrize("bias", [True, False])
def test_shapes_and_counts(bias):
    net = MLP(WIDTHS, bias=bias)
    parameters = net.init(SEEDS)
    shapes = [tuple(parameter.shape) for parameter in parameters]
    weights = [(5, 3, 7), (5, 7, 4), (5, 4, 2)]
    biases = [(5, 1, 7), (5, 1, 4), (5, 1, 2)]
    assert shapes == (list(itertools.chain(*zip(weights, biases, strict=True))) if bias else weights)
    count = sum(parameter.numel() for parameter in twin(net, parameters, 0).parameters())
    assert mlp_parameters(WIDTHS, bias=bias) == count
    assert elements(parameters) == 5 * count


def wide(scheme: str, *, fan_in: int = 64, fan_out: int = 200) -> tuple[torch.Tensor, torch.Tensor]:
    """The first layer's weights and biases of 50 seeds."""
    seeds = Seeds("tests/init", 1, "pinned", tuple(range(50)), dtype=torch.float64)
    weight, bias, *_ = MLP((fan_in, fan_out, 1)).init(seeds, parts().named(scheme))
    return weight, bias


@pytest.mark.parametrize(("scheme", "gain"), [("he_init", 2), ("lecun_init", 1)])
def test_normal_schemes_have_the_variance_of_their_papers(scheme, gain):
    weight, bias = wide(scheme)
    std = math.sqrt(gain / 64)
    # 640 000 draws: the standard error of a standard deviation is std / sqrt(2 n).
    assert abs(weight.std() - std) < 5 * std / math.sqrt(2 * weight.numel())
    assert abs(weight.mean()) < 5 * std / math.sqrt(weight.numel())
    assert kstest((weight.flatten() / std).numpy(), "norm").pvalue > 1e-6
    assert not bias.any()


def test_the_torch_scheme_is_the_default_of_linear():
    weight, bias = wide("torch_init")
    torch.manual_seed(0)
    linear = nn.Linear(64, 10_000, dtype=torch.float64)
    for ours, theirs in ((weight, linear.weight), (bias, linear.bias)):
        assert ours.abs().max() <= 1 / math.sqrt(64)
        assert ours.abs().max() > 0.999 / math.sqrt(64)
        assert kstest(ours.flatten().numpy(), theirs.detach().flatten().numpy()).pvalue > 1e-6


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_the_glorot_scheme_is_that_of_sklearns_mlps(activation):
    weight, bias = wide("glorot_init")
    fitted = MLPRegressor(  # one step of no length leaves the weights as they were drawn
        hidden_layer_sizes=(200,), activation=activation, solver="sgd", learning_rate_init=1e-12, max_iter=1,
        random_state=0,
    )  # fmt: skip
    with pytest.warns(match="Maximum iterations"):
        fitted.fit(torch.zeros(2, 64).numpy(), [0.0, 0.0])
    bound = math.sqrt(6 / (64 + 200))
    for ours, theirs in ((weight, fitted.coefs_[0]), (bias, fitted.intercepts_[0])):
        assert abs(theirs).max() <= bound
        assert ours.abs().max() <= bound
        assert ours.abs().max() > 0.999 * bound
        assert kstest(ours.flatten().numpy(), theirs.flatten()).pvalue > 1e-6


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_members_parameters_do_not_depend_on_its_block(scheme):
    net, draw = MLP(WIDTHS), parts().named(scheme)
    for whole, part in zip(net.init(SEEDS, draw), net.init(SEEDS.take([3]), draw), strict=True):
        assert torch.equal(whole[3], part[0])


def test_layers_and_named_nets_draw_apart():
    seeds = SEEDS.take([0])
    net = MLP((4, 4, 4))
    first, _, second, _ = net.init(seeds)
    other = net.init(seeds, name="teacher")[0]
    assert not torch.equal(first, second)
    assert not torch.equal(first, other)
