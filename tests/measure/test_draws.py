"""What a property's world draws depends on its seed and the draw's name, and on nothing else."""

import pytest
import torch

from claimlab.measure.draws import Draws

DRAWS = {
    "normal": lambda draws, name="x": draws.normal(name, 300),
    "uniform": lambda draws, name="x": draws.uniform(name, 300, low=-1, high=2),
}


@pytest.fixture(params=DRAWS)
def draw(request):
    return DRAWS[request.param]


def test_golden_numbers():
    """A change of stream changes every world of every property, so it must not go unnoticed."""
    assert Draws(0).normal("x", 2).tolist() == [-1.115368554366158, 0.7990637516046618]
    assert Draws(7).uniform("u", 2, low=-1, high=1).tolist() == [-0.3885181414435923, 0.9125000301408486]


def test_asking_twice_gives_the_same(draw):
    assert torch.equal(draw(Draws(3)), draw(Draws(3)))


def test_the_order_of_calls_does_not_matter(draw):
    draws = Draws(3)
    draws.normal("another", 10)
    assert torch.equal(draw(draws), draw(Draws(3)))


def test_other_seeds_and_other_names_draw_others(draw):
    one = draw(Draws(3))
    assert not torch.isclose(one, draw(Draws(4))).any()
    assert not torch.isclose(one, draw(Draws(3), "y")).any()


@pytest.mark.parametrize("shape", [(), (4,), (4, 3), (2, 3, 4, 5)])
def test_shape_and_precision(shape):
    for x in (Draws(0).normal("x", *shape), Draws(0).uniform("x", *shape)):
        assert (x.shape, x.dtype, x.device.type) == (shape, torch.float64, "cpu")


def test_distributions():
    normal, uniform = Draws(0).normal("x", 10_000), Draws(0).uniform("x", 10_000, low=-1, high=2)
    assert abs(normal.mean()) < 0.05  # five standard errors
    assert abs(normal.std() - 1) < 0.05
    assert (uniform.min() >= -1) & (uniform.max() < 2)
    assert abs(uniform.mean() - 0.5) < 0.05
