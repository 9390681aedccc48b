"""On a double well with one deep end, of which everything is known."""

import numpy as np
import pytest
import torch
from torch import Tensor

from claimlab.measure.surface import Surface

TILT = 0.1


def loss(weights: Tensor) -> Tensor:
    x, y = weights[..., 0, :].unbind(dim=-1)
    return (x**2 - 1) ** 2 / 4 + TILT * x + y**2 / 2


def gradient(weights: Tensor) -> Tensor:
    x, y = weights.unbind(dim=-1)
    return torch.stack([x**3 - x + TILT, y], dim=-1)


def hessian(weights: Tensor) -> Tensor:
    x, y = weights[..., 0, :].unbind(dim=-1)
    return torch.diag_embed(torch.stack([3 * x**2 - 1, torch.ones_like(y)], dim=-1))


WELLS = Surface(loss, gradient, hessian)
"""(x² − 1)² / 4 + 0.1 x + y² / 2: a deep minimum near (−1, 0), a shallow one near (1, 0), a saddle between them."""

DEEP, SADDLE, SHALLOW = sorted(np.roots([1, 0, -1, TILT]).real)


def at(*points: tuple[float, float]) -> Tensor:
    return torch.tensor(points, dtype=torch.float64)[:, None, :]


def test_newtons_method_ends_where_the_gradient_vanishes():
    weights = at((-1.1, 0.3), (1.1, -2), (0.2, 1))
    for _ in range(8):
        weights = WELLS.newtons_step(weights)
    torch.testing.assert_close(weights, at((DEEP, 0), (SHALLOW, 0), (SADDLE, 0)), rtol=0, atol=1e-12)


def test_a_strict_minimum_is_found_and_a_saddle_is_none():
    near = at((DEEP, 1e-4), (SADDLE, 1e-4), (SHALLOW, 1e-4))
    assert WELLS.at_strict_minimum(near, above=-1).tolist() == [True, False, True]
    assert WELLS.at_strict_minimum(near, above=0).tolist() == [False, False, True]


@pytest.mark.parametrize("demand", [{"within": 1e-5}, {"curvature": 2.0}, {"steepness": 1e-5}, {"steps": 0}])
def test_each_demand_is_one(demand):
    assert not WELLS.at_strict_minimum(at((SHALLOW, 1e-4)), above=0, **demand).any()


def test_nothing_is_found_where_the_hessian_is_singular():
    """At an inflection in x, nor where the weights are no numbers."""
    inflection = at((3**-0.5, 0), (float("nan"), 0))
    assert not WELLS.at_strict_minimum(inflection, above=-1, steepness=9).any()
