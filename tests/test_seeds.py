"""What a seed draws depends on its claim, version, epoch, index and the draw's name, and on nothing else."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from claimlab.seeds import Seeds

ROOT = Path(__file__).parents[1]


def block(*indices: int, dtype: torch.dtype = torch.float64) -> Seeds:
    return Seeds("golden/claim", 1, "pinned", indices, dtype=dtype)


DRAWS = {
    "normal": lambda seeds: seeds.normal("x", 3, 2),
    "uniform": lambda seeds: seeds.uniform("x", 3, 2, low=-1.0, high=2.0),
    "integers": lambda seeds: seeds.integers("x", 5, high=1000),
    "permutation": lambda seeds: seeds.permutation("x", 40),
}


@pytest.fixture(params=DRAWS)
def draw(request):
    return DRAWS[request.param]


def test_golden_numbers():
    """A change of stream changes every result of the project, so it must not go unnoticed."""
    seeds = block(0, 7)
    normal = [
        [-1.8848934211472668, 1.5986174618830764, -1.5672899196469245],
        [0.32924472809534744, -0.32041623370934863, -2.4663473254527477],
    ]
    uniform = [[-0.3419965122791111, 0.1987814389829996], [0.9777377026335843, -0.5923292892668377]]
    np.testing.assert_allclose(seeds.normal("x", 3), normal, rtol=1e-14)  # the last digit is the compiler's
    np.testing.assert_allclose(seeds.uniform("u", 2, low=-1, high=1), uniform, rtol=1e-14)
    assert seeds.integers("i", 4, high=10).tolist() == [[1, 3, 7, 5], [3, 2, 9, 6]]
    assert seeds.permutation("p", 6).tolist() == [[3, 5, 2, 4, 1, 0], [5, 3, 1, 0, 4, 2]]


def test_a_seed_draws_the_same_in_every_block_and_position(draw):
    alone = draw(block(7))[0]
    assert torch.equal(draw(block(*range(16)))[7], alone)
    assert torch.equal(draw(block(9, 7, 300))[1], alone)
    assert torch.equal(draw(block(*range(16)).take([3, 7]))[1], alone)
    assert torch.equal(draw(block(*range(16)).take(torch.tensor([7])))[0], alone)


def test_the_order_of_calls_does_not_matter(draw):
    first = draw(block(0, 1))
    seeds = block(0, 1)
    seeds.normal("another", 10)
    draw(seeds)
    torch.manual_seed(5)
    np.random.seed(5)
    assert torch.equal(draw(seeds), first)


def test_everything_in_the_key_changes_the_draws():
    seeds = block(0)
    others = [
        seeds.normal("y", 4),
        block(1).normal("x", 4),
        replace(seeds, claim="golden/clai").normal("x", 4),
        replace(seeds, version=2).normal("x", 4),
        replace(seeds, epoch="fresh1").normal("x", 4),
        replace(seeds, version=11, indices=(0,)).normal("x", 4),
        replace(seeds, version=1, indices=(10,)).normal("x", 4),
    ]
    numbers = torch.cat([seeds.normal("x", 4), *others]).flatten().tolist()
    assert len(set(numbers)) == len(numbers)


def test_coarse_draws_are_the_rounded_fine_ones():
    fine, coarse = block(0, 1), block(0, 1, dtype=torch.float32)
    assert coarse.normal("x", 50).dtype == torch.float32
    assert torch.equal(coarse.normal("x", 50), fine.normal("x", 50).float())
    assert torch.equal(coarse.uniform("x", 50), fine.uniform("x", 50).float())
    assert torch.equal(fine.to(dtype=torch.bfloat16).normal("x", 50), fine.normal("x", 50).bfloat16())
    assert torch.equal(coarse.integers("x", 50, high=9), fine.integers("x", 50, high=9))


def test_shapes_lead_with_the_seeds():
    seeds = block(4, 5, 6)
    assert len(seeds) == 3
    assert seeds.normal("x").shape == (3,)
    assert seeds.normal("x", 2, 5).shape == (3, 2, 5)
    assert seeds.integers("x", 2, high=3).shape == (3, 2)
    assert seeds.permutation("x", 9).shape == (3, 9)
    assert len(seeds.generators("x")) == 3


def test_draws_have_the_distributions_they_are_named_after():
    """Fixed draws, so the bounds (about five standard errors) are met or not once and for all."""
    seeds = block(*range(50))
    normal = seeds.normal("n", 1000)
    assert abs(normal.mean()) < 0.025
    assert abs(normal.std() - 1) < 0.02
    uniform = seeds.uniform("u", 1000, low=-3.0, high=1.0)
    assert uniform.min() >= -3
    assert uniform.max() < 1
    assert abs(uniform.mean() + 1) < 0.03
    integers = seeds.integers("i", 1000, high=4)
    assert integers.dtype == torch.int64
    assert torch.allclose(integers.flatten().bincount() / 50_000, torch.tensor(0.25), atol=0.01)
    orders = seeds.permutation("p", 20)
    assert torch.equal(orders.sort(dim=1).values, torch.arange(20).expand(50, 20))
    assert len({tuple(order) for order in orders.tolist()}) == 50


def test_seeds_are_independent_of_each_other():
    """Correlations of 4000 draws between 20 seeds stay below 5 standard errors."""
    rows = block(*range(20)).normal("x", 4000)
    correlations = torch.corrcoef(rows) - torch.eye(20, dtype=rows.dtype)
    assert correlations.abs().max() < 5 / 4000**0.5


def test_asking_twice_gives_the_same_numbers_twice(draw):
    seeds = block(0, 1)
    assert torch.equal(draw(seeds), draw(seeds))
    one, other = seeds.generators("g")[0], seeds.generators("g")[0]
    assert one.random() == other.random()


def test_another_process_draws_the_same():
    code = """
import torch
from claimlab.seeds import Seeds
seeds = Seeds("golden/claim", 1, "pinned", (3, 5), dtype=torch.float64)
print(seeds.normal("x", 2).tolist(), seeds.permutation("p", 9).tolist())
"""
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    seeds = block(3, 5)
    assert printed.strip() == f"{seeds.normal('x', 2).tolist()} {seeds.permutation('p', 9).tolist()}"


@pytest.mark.skipif(not torch.accelerator.is_available(), reason="this machine has no accelerator")
def test_an_accelerator_sees_the_same_worlds(draw):
    accelerator = torch.accelerator.current_accelerator()
    assert accelerator is not None
    there = Seeds("golden/claim", 1, "pinned", (0, 1), device=accelerator)
    assert draw(there).device.type == accelerator.type
    assert torch.equal(draw(there).cpu(), draw(block(0, 1, dtype=torch.float32)))


def test_two_seeds_that_draw_the_same_are_refused(monkeypatch):
    """Eleven copies of one world would count as eleven wins."""
    seeds = Seeds("tests/seeds", 1, "pinned", (0, 1, 2))
    seeds.take([0, 0]).normal("x", 3)  # the same seed twice may
    one = Seeds._generator
    monkeypatch.setattr(Seeds, "_generator", lambda self, name, index: one(self, name, 0))
    with pytest.raises(AssertionError, match="seeds 0 and 1 drew the same 'x'"):
        seeds.normal("x", 3)
