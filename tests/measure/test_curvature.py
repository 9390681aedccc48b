"""Hessians against closed forms and finite differences, and what rescaling does to them and to steps."""

import math
from functools import partial

import pytest
import torch
from torch import nn

from claimlab.measure.curvature import (
    at_loss,
    filter_normalised,
    filter_sizes,
    flat,
    hessian,
    in_units_of,
    largest_eigenvalue,
    moved,
    own_sizes,
    rescaled,
    trace,
)
from claimlab.measure.fit import logistic, mean_squared_error
from claimlab.nets import MLP
from claimlab.seeds import Seeds

SEEDS = Seeds("test/curvature", 1, "tests", (0, 1, 2), dtype=torch.float64)
X, LABELS = SEEDS.normal("x", 12, 2), SEEDS.integers("labels", 12, high=2)


def loss_of(net, x=X, labels=LABELS):
    return lambda parameters: logistic(net(parameters, x), labels)


def nets(*widths, **options):
    net = MLP(widths, **options)
    return net, [parameter + 0.1 for parameter in net.init(SEEDS)]  # no bias is 0


def by_differences(loss, parameters, step=1e-5):
    """The Hessian by central differences of the gradient."""
    shapes, sizes = [p.shape for p in parameters], [p[0].numel() for p in parameters]

    def gradient(numbers):
        at = [n.reshape(shape).requires_grad_() for n, shape in zip(numbers.split(sizes, 1), shapes, strict=True)]
        return flat(list(torch.autograd.grad(loss(at).sum(), at)))

    start, columns = flat(parameters), []
    for place in range(sum(sizes)):
        aside = torch.zeros_like(start)
        aside[:, place] = step
        columns.append((gradient(start + aside) - gradient(start - aside)) / (2 * step))
    return torch.stack(columns, dim=2)


def test_hessian_of_a_linear_net_is_the_inputs_second_moment():
    net, parameters = nets(2, 1)
    found = hessian(lambda at: mean_squared_error(net(at, X), LABELS.double()), parameters)
    inputs = torch.cat([X, torch.ones(3, 12, 1, dtype=torch.float64)], dim=2)
    torch.testing.assert_close(found, 2 * inputs.mT @ inputs / 12)


@pytest.mark.parametrize(
    "options", [{}, {"norm": partial(nn.BatchNorm1d, dtype=torch.float64)}, {"activation": nn.Tanh}], ids=str
)
def test_hessian_is_that_by_differences(options):
    """With batch norm, too, where forward over reverse is wrong."""
    net, parameters = nets(2, 4, 3, 1, **options)
    loss = loss_of(net)
    torch.testing.assert_close(hessian(loss, parameters), by_differences(loss, parameters), atol=1e-6, rtol=1e-5)


def test_a_parameter_that_does_not_matter_has_no_curvature():
    net, parameters = nets(2, 1)
    unused = torch.ones(3, 1, 2, dtype=torch.float64)
    found = hessian(lambda at: loss_of(net)(at[:2]), [*parameters, unused])
    assert found.shape == (3, 5, 5)
    assert (found[:, 3:] == 0).all()


def test_trace_and_largest_eigenvalue():
    matrices = torch.tensor([[[2.0, 1.0], [1.0, 2.0]], [[-1.0, 0.0], [0.0, -2.0]], [[torch.nan, 0.0], [0.0, 1.0]]])
    assert trace(matrices)[:2].tolist() == [4.0, -3.0]
    torch.testing.assert_close(largest_eigenvalue(matrices), torch.tensor([3.0, -1.0, torch.nan]), equal_nan=True)


def test_rescaling_leaves_the_outputs_and_the_curvature_in_own_units():
    net, parameters = nets(2, 4, 3, 1)
    factors = [torch.tensor([2.0, 0.5, 8.0, 1.0]).double(), torch.tensor([4.0, 0.25, 2.0]).double()]
    others = rescaled(parameters, factors)
    assert not torch.allclose(others[2], parameters[2])
    torch.testing.assert_close(net(others, X), net(parameters, X))
    before, after = hessian(loss_of(net), parameters), hessian(loss_of(net), others)
    assert not torch.allclose(trace(after), trace(before), rtol=0.1)
    torch.testing.assert_close(in_units_of(own_sizes(others), after), in_units_of(own_sizes(parameters), before))


def test_filters_are_what_leads_into_a_unit():
    weights = torch.tensor([[[3.0, 1.0], [4.0, 0.0]]])
    directions = torch.tensor([[[1.0, 2.0], [0.0, 0.0]]])
    assert filter_sizes([weights])[0].tolist() == [[[5.0, 1.0], [5.0, 1.0]]]
    assert filter_normalised([directions], [weights])[0].tolist() == [[[5.0, 1.0], [0.0, 0.0]]]
    assert moved([weights], [directions], 2.0)[0].tolist() == [[[5.0, 5.0], [4.0, 0.0]]]


def test_nets_at_a_level_have_that_loss_and_the_same_decisions():
    x, labels = torch.tensor([-2.0, -1.0, 1.0, 3.0]).double().expand(3, 4)[..., None], torch.tensor([0, 0, 1, 1])
    net, parameters = MLP((1, 1)), [torch.ones(3, 1, 1).double(), torch.full((3, 1, 1), 0.1).double()]
    labels = labels.expand(3, 4)
    outputs = net(parameters, x)
    level = math.log(2) / 10
    there = at_loss(lambda factor: logistic(factor[:, None, None] * outputs, labels), parameters, level)
    torch.testing.assert_close(logistic(net(there, x), labels), torch.full((3,), level).double())
    assert ((net(there, x) > 0) == (outputs > 0)).all()
