"""Seed-batched normalisation of activations and weights against torch.nn, member by member."""

import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from claimlab.nets import (
    Running,
    batch_norm,
    group_norm,
    instance_norm,
    layer_norm,
    pack,
    scaled_standardise,
    standardise,
    unpack,
    weight_norm,
)
from claimlab.seeds import Seeds

worlds = settings(max_examples=20, derandomize=True, database=None)
close = partial(torch.testing.assert_close, rtol=1e-9, atol=1e-10)
small = st.integers(1, 4)


def seeds_of(count: int) -> Seeds:
    return Seeds("tests/norm", 1, "pinned", tuple(range(count)), dtype=torch.float64)


def affine(seeds: Seeds, features: int) -> list[Tensor]:
    return [seeds.normal(part, features).requires_grad_() for part in ("gain", "shift")]


def gradient(tensor: Tensor) -> Tensor:
    assert tensor.grad is not None
    return tensor.grad


def check(outputs, x, parameters, modules) -> None:
    """Values and gradients `[S, ...]` of `x` and of gain and shift are those of one module a member."""
    target = torch.linspace(0, 1, outputs[0].numel(), dtype=outputs.dtype).view(outputs[0].shape)
    (outputs - target).square().sum().backward()
    for member, module in enumerate(modules):
        module.weight.data, module.bias.data = (parameter.detach()[member].clone() for parameter in parameters)
        own = x.detach()[member].clone().requires_grad_()
        alone = module(own)
        (alone - target).square().sum().backward()
        close(outputs[member], alone)
        for batched, single in zip((x, *parameters), (own, module.weight, module.bias), strict=True):
            close(gradient(batched)[member], gradient(single))


@given(small, st.integers(2, 6), small, st.booleans())
@worlds
def test_batch_norm_is_that_of_its_twin(members, samples, features, image):
    seeds = seeds_of(members)
    x = seeds.normal("x", samples, features, *((2, 3) if image else ())).requires_grad_()
    parameters = affine(seeds, features)
    running = Running(seeds.normal("mean", features), seeds.uniform("var", features, low=1, high=2))
    modules = [(nn.BatchNorm2d if image else nn.BatchNorm1d)(features, momentum=0.3).double() for _ in range(members)]
    for member, module in enumerate(modules):
        module.running_mean, module.running_var = running.mean[member].clone(), running.var[member].clone()

    def normalise(*, training: bool):
        inputs = pack(x) if image else x
        y = batch_norm(inputs, *parameters, running, training=training, momentum=0.3)
        return unpack(y, members) if image else y

    check(normalise(training=True), x, parameters, modules)
    before = running.mean.clone()
    evaluated = normalise(training=False)
    assert torch.equal(running.mean, before)
    for member, module in enumerate(modules):
        close(running.mean[member], module.running_mean)
        close(running.var[member], module.running_var)
        close(evaluated[member], module.eval()(x[member]))


def test_batch_norm_without_buffers_normalises_by_the_batch():
    x = seeds_of(2).normal("x", 50, 3) * 7 + 3
    y = batch_norm(x, torch.full((2, 3), 2.0).double(), torch.ones(2, 3).double(), None, training=True, eps=0.0)
    close(y.mean(1), torch.ones(2, 3).double())
    close(y.var(1, correction=0), torch.full((2, 3), 4.0).double())


def test_batch_norm_refuses_what_it_cannot_normalise():
    gain = torch.ones(2, 3)
    with pytest.raises(ValueError, match="more than one value"):
        batch_norm(torch.ones(2, 1, 3), gain, gain, None, training=True)
    with pytest.raises(ValueError, match="running statistics"):
        batch_norm(torch.ones(2, 4, 3), gain, gain, None, training=False)
    with pytest.raises(ValueError, match="expected dense"):
        batch_norm(torch.ones(2, 3), gain, gain, None, training=True)


def test_running_statistics_of_some_members_are_copies():
    running = Running.start(torch.ones(3, 2, requires_grad=True))
    part = running.take([2])
    part.mean.fill_(5)
    assert part.var.shape == (1, 2)
    assert not running.mean.any()
    assert not running.mean.requires_grad


@given(small, small, st.integers(2, 5), st.booleans())
@worlds
def test_layer_norm_is_that_of_its_twin(members, samples, features, sequence):
    seeds = seeds_of(members)
    x = seeds.normal("x", samples, *((3,) if sequence else ()), features).requires_grad_()
    parameters = affine(seeds, features)
    check(layer_norm(x, *parameters), x, parameters, [nn.LayerNorm(features).double() for _ in range(members)])


@given(small, small, st.integers(1, 3), st.integers(1, 3))
@worlds
def test_group_norm_is_that_of_its_twin(members, samples, groups, width):
    seeds, channels = seeds_of(members), groups * width
    x = seeds.normal("x", samples, channels, 2, 3).requires_grad_()
    parameters = affine(seeds, channels)
    outputs = unpack(group_norm(pack(x), groups, *parameters), members)
    check(outputs, x, parameters, [nn.GroupNorm(groups, channels).double() for _ in range(members)])


@given(small, small, small)
@worlds
def test_instance_norm_is_that_of_its_twin(members, samples, channels):
    seeds = seeds_of(members)
    x = seeds.normal("x", samples, channels, 2, 3).requires_grad_()
    parameters = affine(seeds, channels)
    outputs = unpack(instance_norm(pack(x), *parameters), members)
    check(outputs, x, parameters, [nn.InstanceNorm2d(channels, affine=True).double() for _ in range(members)])


def test_one_group_is_layer_norm_over_a_whole_image():
    x = seeds_of(2).normal("x", 5, 3, 4, 4)
    one, zero = torch.ones(2, 3).double(), torch.zeros(2, 3).double()
    close(unpack(group_norm(pack(x), 1, one, zero), 2), nn.functional.layer_norm(x, (3, 4, 4)))


def test_groups_divide_the_channels():
    with pytest.raises(ValueError, match="2 groups do not divide 3 channels"):
        group_norm(torch.ones(1, 6, 2, 2), 2, torch.ones(2, 3), torch.ones(2, 3))


@given(small, st.integers(1, 5), small)
@worlds
def test_weight_norm_is_that_of_its_twin(members, fan_in, fan_out):
    seeds = seeds_of(members)
    direction = seeds.normal("v", fan_in, fan_out).requires_grad_()
    length = seeds.normal("g", 1, fan_out).requires_grad_()
    x = seeds.normal("x", 4, fan_in)
    outputs = x @ weight_norm(direction, length)
    outputs.square().sum().backward()
    for member in range(members):
        linear = nn.Linear(fan_in, fan_out, bias=False).double()
        module = parametrizations.weight_norm(linear)
        lengths, directions = module.parametrizations.weight.original0, module.parametrizations.weight.original1
        directions.data, lengths.data = direction.detach()[member].T.clone(), length.detach()[member].T.clone()
        alone = module(x[member])
        alone.square().sum().backward()
        close(outputs[member], alone)
        close(gradient(direction)[member].T, directions.grad)
        close(gradient(length)[member].T, lengths.grad)


def test_weight_norm_of_a_convolution_normalises_every_filter():
    seeds = seeds_of(2)
    direction, length = seeds.normal("v", 3, 2, 3, 3), seeds.normal("g", 3, 1, 1, 1)
    weight = weight_norm(direction, length)
    for member in range(2):
        close(weight[member], torch._weight_norm(direction[member], length[member], 0))


@given(small, st.sampled_from([(6, 3), (3, 6), (3, 2, 1, 3), (2, 2, 3, 3)]))
@worlds
def test_standardised_weights_are_batch_normed_filters(members, shape):
    """The twin: batch norm of the filters, fan-in as the batch and units as the features."""
    seeds = seeds_of(members)
    weight = (seeds.normal("w", *shape) * 3 + 1).requires_grad_()
    rows = weight.transpose(1, 2) if len(shape) == 2 else weight  # [S, units, ...]
    ours = standardise(weight)
    for member in range(members):
        twin = nn.functional.batch_norm(rows[member].flatten(1)[None], None, None, training=True)[0]
        own = ours[member].T if len(shape) == 2 else ours[member].flatten(1)
        close(own, twin)
        close(
            torch.autograd.grad(own.pow(3).sum(), weight, retain_graph=True)[0],
            torch.autograd.grad(twin.pow(3).sum(), weight, retain_graph=True)[0],
        )


def test_scaled_standardisation_keeps_the_variance_of_a_relu_layer():
    weight = scaled_standardise(seeds_of(3).normal("w", 40, 5), eps=0.0)
    close(weight.mean(1), torch.zeros(3, 5).double())
    # 1 / (fan-in * variance) is the ReLU's variance, 1/2 - 1/(2 pi), for weights of mean 0
    close(weight.square().sum(1), torch.full((3, 5), 1 / (0.5 - 0.5 / math.pi), dtype=torch.float64))
    close(scaled_standardise(weight, gain=1.0, eps=0.0).square().sum(1), torch.ones(3, 5).double())
