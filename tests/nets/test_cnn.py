"""The convolutional classifier, and members taken out of a block as modules of torch."""

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from claimlab.nets import CNN, MLP, Running, member
from claimlab.parts import parts
from claimlab.seeds import Seeds

worlds = settings(max_examples=15, derandomize=True, database=None)
close = partial(torch.testing.assert_close, rtol=1e-10, atol=1e-10)


def seeds_of(count: int) -> Seeds:
    return Seeds("tests/cnn", 1, "pinned", tuple(range(count)), dtype=torch.float64)


@st.composite
def nets(draw) -> CNN:
    blocks = draw(st.integers(1, 3))
    return CNN(
        (draw(st.integers(1, 2)), *[4] * blocks),
        classes=3,
        kernel=draw(st.sampled_from([1, 3])),
        strides=tuple(draw(st.lists(st.integers(1, 2), max_size=blocks))),
        norm=draw(st.sampled_from([nn.BatchNorm2d, *(partial(nn.GroupNorm, groups) for groups in (1, 2, 4)), None])),
        activation=draw(st.sampled_from([nn.ReLU, nn.Tanh, nn.SiLU])),
        signals=draw(st.booleans()),
    )


@worlds
@given(net=nets(), members=st.integers(1, 3))
def test_values_gradients_and_buffers_are_those_of_torch_member_by_member(net, members):
    seeds = seeds_of(members)
    shape = (net.channels[0], 9) if net.signals else (net.channels[0], 6, 5)
    x = seeds.normal("x", 5, *shape)
    parameters = [
        (p + 0.1 * seeds.normal(f"off.{i}", *p.shape[1:])).requires_grad_() for i, p in enumerate(net.init(seeds))
    ]
    running = net.start(parameters)
    twins = [member(net, parameters, index, running) for index in range(members)]
    logits = net(parameters, x, running)
    gradients = torch.autograd.grad(logits.square().sum(), parameters)
    evaluated = net(parameters, x, running, training=False)
    for index, twin in enumerate(twins):
        own = x[index].unsqueeze(2) if net.signals else x[index]
        theirs = twin(own)
        close(logits[index], theirs)
        wanted = torch.autograd.grad(theirs.square().sum(), list(twin.parameters()))
        for got, want in zip(gradients, wanted, strict=True):
            # dense weights are transposed in torch, and a dense bias has one dimension more here
            close(got[index], want.T if want.ndim == 2 else want.reshape(got[index].shape))
        close(evaluated[index], twin.eval()(own))


@worlds
@given(
    widths=st.lists(st.integers(1, 5), min_size=2, max_size=4),
    activation=st.sampled_from([nn.ReLU, nn.Tanh, nn.Sigmoid, nn.Identity, nn.PReLU]),
    bias=st.booleans(),
    norm=st.sampled_from([nn.BatchNorm1d, nn.LayerNorm, None]),
)
def test_a_member_of_an_mlp_is_the_same_function(widths, activation, bias, norm):
    seeds = seeds_of(2)
    net = MLP(tuple(widths), activation=activation, bias=bias, norm=norm)
    parameters = net.init(seeds, parts().torch_init)
    x = seeds.normal("x", 4, widths[0])
    for index in range(2):
        close(net(parameters, x)[index], member(net, parameters, index)(x[index]))


def test_a_member_does_not_share_memory_with_its_block():
    seeds = seeds_of(2)
    net = CNN((1, 2), classes=2, norm=nn.BatchNorm2d)
    parameters = net.init(seeds)
    running = net.start(parameters)
    twin = member(net, parameters, 0, running)
    before = [p.clone() for p in parameters]
    twin(seeds.normal("x", 3, 1, 4, 4)[0])
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.add_(1)
    assert all(torch.equal(old, new) for old, new in zip(before, parameters, strict=True))
    assert isinstance(running[0], Running)
    assert running[0].mean.eq(0).all()


def test_evaluation_with_batch_norm_needs_running_statistics():
    seeds = seeds_of(1)
    net = CNN((1, 2), classes=2, norm=nn.BatchNorm2d)
    with pytest.raises(ValueError, match="running statistics"):
        net(net.init(seeds), seeds.normal("x", 3, 1, 4, 4), training=False)
