"""Training with poison: what it promises, and what it says where that cannot be had."""

from functools import partial

import torch

from claimlab.data.moons import poisoned_moons
from claimlab.measure.fit import accuracy
from claimlab.nets import MLP
from claimlab.seeds import Seeds
from claimlab.train import Adam
from claimlab.train.poison import louder, margin, train_with_poison

SEEDS = Seeds("tests/poison", 1, "pinned", tuple(range(3)))
WORLD = poisoned_moons(SEEDS, poison=20, n_test=200, flipped=True)


def fitted(width: int, epochs: int = 800):
    net = MLP((2, width, width, 1))
    fit = train_with_poison(
        SEEDS, net, net.init(SEEDS), WORLD.x, WORLD.y, clean=30, optimizer=partial(Adam, lr=0.02), epochs=epochs
    )
    return fit, net(fit.parameters, WORLD.x)


def test_who_is_done_has_what_was_asked_for():
    fit, outputs = fitted(48)
    assert fit.met.all()
    assert (margin(outputs[:, :30], WORLD.y[:, :30]) >= 0.3).all()
    assert (accuracy(outputs[:, 30:], WORLD.y[:, 30:]) >= 0.699).all()


def test_three_units_cannot():
    fit, _ = fitted(3, epochs=100)
    assert not fit.met.any()


def test_margin_is_that_of_the_worst_point():
    logits = torch.tensor([[[2.0], [-3.0], [0.5]], [[2.0], [-3.0], [0.5]]])
    labels = torch.tensor([[1, 0, 1], [1, 1, 1]])
    assert margin(logits, labels).tolist() == [0.5, -3.0]


def test_louder_multiplies_the_outputs():
    net = MLP((2, 8, 1))
    parameters = net.init(SEEDS)
    parameters[-1] += 1.0
    times = torch.tensor([1.0, 2.0, 10.0])
    loud = net(louder(parameters, times), WORLD.x)
    torch.testing.assert_close(loud, net(parameters, WORLD.x) * times[:, None, None])
