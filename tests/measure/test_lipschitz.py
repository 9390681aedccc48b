"""Lipschitz constants against closed forms and a fine grid."""

import pytest
import torch

from claimlab import Seeds
from claimlab.measure.lipschitz import gradient_norms, lipschitz_on_the_plane, spectral_product
from claimlab.nets import MLP

SEEDS = Seeds("measure/lipschitz", 1, "tests", tuple(range(40)), dtype=torch.float64)


def net_of(*hidden: int):
    net = MLP((2, *hidden, 1))
    parameters = net.init(SEEDS)
    return net, [part + 0.3 * SEEDS.normal(f"more.{place}", *part.shape[1:]) for place, part in enumerate(parameters)]


def test_spectral_product_is_the_product_of_the_largest_singular_values():
    _, parameters = net_of(5, 7)
    weights = parameters[::2]
    expected = torch.linalg.svdvals(weights[0])[:, 0]
    for weight in weights[1:]:
        expected = expected * torch.linalg.svdvals(weight)[:, 0]
    torch.testing.assert_close(spectral_product(weights), expected)


def test_a_net_that_has_diverged_has_no_product_and_spoils_no_other():
    _, parameters = net_of(5)
    first, _, last, _ = parameters
    before = spectral_product([first, last])
    first[0, 0, 0] = torch.inf
    after = spectral_product([first, last])
    assert after[0].isnan()
    torch.testing.assert_close(after[1:], before[1:])


def test_the_largest_gradient_of_a_fine_grid_nearly_attains_the_constant():
    """A grid of 40 000 inputs misses small regions, never finds anything steeper, and mostly finds the steepest."""
    net, parameters = net_of(6)
    side = torch.linspace(-8, 8, 200, dtype=torch.float64)
    grid = torch.cartesian_prod(side, side).expand(len(SEEDS), -1, -1)
    found = gradient_norms(lambda x: net(parameters, x), grid).amax(dim=1)
    exact = lipschitz_on_the_plane(*parameters[:3])
    assert (found <= exact * (1 + 1e-9)).all()
    assert (found >= exact * (1 - 1e-9)).double().mean() > 0.7
    assert (exact <= spectral_product(parameters[::2]) * (1 + 1e-9)).all()


def test_two_units_by_hand():
    """relu(x) + relu(y) is steepest where both are on, √2; relu(x) - relu(x + y) where its second unit is alone, √2."""
    weight = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0], [0.0, 1.0]]])
    readout = torch.tensor([[[1.0], [1.0]], [[1.0], [-1.0]]])
    found = lipschitz_on_the_plane(weight, torch.zeros(2, 1, 2), readout)
    torch.testing.assert_close(found, torch.full((2,), 2**0.5, dtype=torch.float64))


def test_blocks_do_not_matter():
    _, parameters = net_of(6)
    alone = [lipschitz_on_the_plane(*(part[seed : seed + 1] for part in parameters[:3])) for seed in range(len(SEEDS))]
    torch.testing.assert_close(lipschitz_on_the_plane(*parameters[:3]), torch.cat(alone))


def test_what_has_no_corners_is_refused():
    weight = torch.tensor([[[1.0, 2.0], [1.0, 2.0]]])
    with pytest.raises(ValueError, match="parallel"):
        lipschitz_on_the_plane(weight, torch.zeros(1, 1, 2), torch.ones(1, 2, 1))
    with pytest.raises(ValueError, match="two inputs"):
        lipschitz_on_the_plane(torch.ones(1, 3, 2), torch.zeros(1, 1, 2), torch.ones(1, 2, 1))


def test_gradient_norms_of_a_linear_net():
    net, parameters = MLP((2, 1)), [SEEDS.normal("w", 2, 1), SEEDS.normal("b", 1, 1)]
    found = gradient_norms(lambda x: net(parameters, x), SEEDS.normal("x", 5, 2))
    torch.testing.assert_close(found, parameters[0].norm(dim=(1, 2))[:, None].expand(-1, 5))
