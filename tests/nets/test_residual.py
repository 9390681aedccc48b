import pytest
import torch
from torch import nn

from claimlab import Seeds
from claimlab.nets import MLP, ResidualMLP

SEEDS = Seeds("nets", 1, "tests", (0, 1, 2), dtype=torch.float64)
WIDTHS = (3, 4, 4, 4, 2)


@pytest.mark.parametrize("scale", [None, 0.3])
def test_hidden_layers_add_to_their_input(scale):
    net = ResidualMLP(WIDTHS, scale=scale)
    parameters = [parameter + 0.1 for parameter in net.init(SEEDS)]  # no bias is zero
    x = SEEDS.normal("x", 5, 3)
    for seed in range(len(SEEDS)):
        (w1, b1), (w2, b2), (w3, b3), (w4, b4) = (
            (weight[seed], bias[seed]) for weight, bias in zip(parameters[::2], parameters[1::2], strict=True)
        )
        z1 = h = x[seed] @ w1 + b1
        z2 = h @ w2 + b2
        h = h + (scale or 1 / 2) * z2.clamp(min=0)
        z3 = h @ w3 + b3
        h = h + (scale or 1 / 2) * z3.clamp(min=0)
        z4 = h @ w4 + b4
        assert torch.allclose(net(parameters, x)[seed], z4)
        for found, by_hand in zip(net.pre_activations(parameters, x), (z1, z2, z3, z4), strict=True):
            assert torch.allclose(found[seed], by_hand)


def test_the_initial_weights_are_those_of_the_plain_net():
    plain, skips = MLP(WIDTHS).init(SEEDS), ResidualMLP(WIDTHS).init(SEEDS)
    assert all(torch.equal(one, other) for one, other in zip(plain, skips, strict=True))


def test_without_biases_and_with_an_activation_that_learns():
    net = ResidualMLP(WIDTHS, activation=nn.PReLU, bias=False)
    assert net(net.init(SEEDS), SEEDS.normal("x", 5, 3)).shape == (3, 5, 2)


def test_a_norm_is_refused():
    with pytest.raises(ValueError, match="has no norm"):
        ResidualMLP(WIDTHS, norm=nn.BatchNorm1d)
