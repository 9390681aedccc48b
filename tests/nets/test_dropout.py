"""Dropout in a block: masks that come from the seeds, and none in evaluation."""

from functools import partial

import pytest
import torch
from torch import nn

from claimlab.measure.fit import cross_entropy
from claimlab.nets import MLP, DropoutMLP
from claimlab.parts import RandomLayer, parts, swapped
from claimlab.seeds import Seeds
from claimlab.train import NoisyNet, train

SEEDS = Seeds("tests/dropout", 1, "pinned", (3, 5, 8))
NET = DropoutMLP((4, 64, 64, 3), p=0.25)
X = SEEDS.normal("x", 32, 4)


def ones(seeds: Seeds) -> torch.Tensor:
    return torch.ones(len(seeds), 50, 40)


def test_every_seed_and_every_call_has_a_mask_of_its_own():
    layer = RandomLayer(nn.Dropout(0.25))
    first, second = (layer.drawn(SEEDS, name, ones(SEEDS)) for name in ("first", "second"))
    for masks in (first, torch.stack([first[0], second[0]])):
        assert not torch.equal(masks[0], masks[1])
    assert set(first.unique().tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
    assert 0.2 < (first == 0).double().mean() < 0.3


def test_masks_are_the_same_again_in_another_block_and_torchs_generator_is_put_back():
    layer = RandomLayer(nn.Dropout(0.25))
    before = torch.random.get_rng_state()
    together = layer.drawn(SEEDS, "mask", ones(SEEDS))
    assert torch.equal(before, torch.random.get_rng_state())
    torch.rand(7)
    alone = layer.drawn(SEEDS.take([2]), "mask", ones(SEEDS)[2:])
    assert torch.equal(together[2:], alone)


def test_in_evaluation_nothing_drops_and_the_net_is_the_plain_one():
    plain = MLP(NET.widths)
    parameters = NET.init(SEEDS)
    for ours, theirs in zip(parameters, plain.init(SEEDS), strict=True):
        assert torch.equal(ours, theirs)
    torch.testing.assert_close(NET(parameters, X), plain(parameters, X))
    assert not torch.allclose(NET.at_step(SEEDS, 1)(parameters, X), plain(parameters, X))


def test_the_steps_of_training_and_the_layers_have_masks_of_their_own():
    seen = []

    class Watched(nn.Module):
        def __init__(self, p: float) -> None:
            super().__init__()
            self.p = p

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(torch.rand_like(x) < self.p)
            return x * ~seen[-1]

    with swapped(dropout=Watched):
        net = DropoutMLP((4, 8, 8, 3))
    parameters = net.init(SEEDS)
    net.at_step(SEEDS, 1)(parameters, X)
    net.at_step(SEEDS, 2)(parameters, X)
    assert len({tuple(mask.flatten().tolist()) for mask in seen}) == len(seen) == 2 * 2 * len(SEEDS)


def test_a_seed_trains_alike_whoever_leaves_the_block():
    y = SEEDS.integers("y", 32, high=3)
    optimizer = partial(parts().sgd, lr=0.5)
    together = train(SEEDS, NET, NET.init(SEEDS), X, y, loss=cross_entropy, optimizer=optimizer, epochs=6, batch=8)
    calls = 0

    def first_seed_leaves(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return torch.tensor([calls == 1] + [False] * (len(labels) - 1))

    left = train(
        SEEDS, NET, NET.init(SEEDS), X, y, loss=cross_entropy, optimizer=optimizer, epochs=6, batch=8,
        goal=first_seed_leaves,
    )  # fmt: skip
    assert left.epochs.tolist() == [1, 6, 6]
    for whole, rest in zip(together.parameters, left.parameters, strict=True):
        torch.testing.assert_close(whole[1:], rest[1:])


def test_a_goal_is_looked_at_in_evaluation():
    y, parameters, seen = SEEDS.integers("y", 32, high=3), NET.init(SEEDS), []

    def goal(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        seen.append(logits)
        return torch.ones(len(labels), dtype=torch.bool)

    train(SEEDS, NET, parameters, X, y, loss=cross_entropy, optimizer=partial(parts().sgd, lr=0.0), epochs=1, goal=goal)
    torch.testing.assert_close(seen[0], MLP(NET.widths)(parameters, X))


def test_only_a_net_with_noise_is_one():
    assert isinstance(NET, NoisyNet)
    assert not isinstance(MLP((4, 3)), NoisyNet)


def test_it_has_no_norm():
    with pytest.raises(ValueError, match="no norm"):
        DropoutMLP((4, 8, 3), norm=nn.BatchNorm1d)
