"""Batched L-BFGS against scipy's, on nets and on a badly conditioned quadratic."""

from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from claimlab import Seeds
from claimlab.data.moons import two_moons
from claimlab.measure.fit import accuracy, interpolates, logistic
from claimlab.nets import MLP
from claimlab.train.lbfgs import lbfgs

SEEDS = Seeds("train/lbfgs", 1, "tests", tuple(range(6)), dtype=torch.float64)


def quadratic(curvatures, outputs, targets):
    """Of outputs `[S, N, 1]`, one for each curvature; targets are where it is least."""
    return (curvatures * (outputs[..., 0] - targets) ** 2).sum(dim=1) / 2


def identity_net(parameters, x):
    return x @ parameters[0]


def test_a_quadratic_is_solved_as_soon_as_by_scipy():
    """Conditioned like 1 to 1000, in ten dimensions: the same point, in at most half as many evaluations again."""
    curvatures = torch.logspace(0, 3, 10, dtype=torch.float64)
    x, y = torch.eye(10, dtype=torch.float64).expand(6, -1, -1), SEEDS.normal("least", 10)
    start = [SEEDS.normal("start", 10, 1)]
    loss = partial(quadratic, curvatures)

    def near(outputs, targets):
        return loss(outputs, targets) < 1e-12

    fit = lbfgs(identity_net, start, x, y, loss=loss, epochs=200, goal=near)
    assert fit.met.all()
    torch.testing.assert_close(fit.parameters[0][..., 0], y, rtol=0, atol=1e-5)
    for seed in range(6):
        least, c = y[seed].numpy(), curvatures.numpy()
        values = []

        def value(w, least=least, c=c, values=values):
            values.append(float(c @ (w - least) ** 2 / 2))
            return values[-1], c * (w - least)

        first = start[0][seed, :, 0].numpy()
        minimize(value, first, jac=True, method="L-BFGS-B", options={"ftol": 0, "gtol": 1e-9, "maxcor": 10})
        took = next(place for place, found in enumerate(values, start=1) if found < 1e-12)
        assert fit.epochs[seed] <= 1.5 * took + 5


def test_a_convex_fit_ends_where_scipy_ends():
    """Logistic regression on two moons has one minimum."""
    world = two_moons(SEEDS, n=30, n_test=2)
    net = MLP((2, 1))
    fit = lbfgs(net, net.init(SEEDS), world.x, world.y, loss=logistic, epochs=200)
    for seed in range(6):
        x, y = world.x[seed].numpy(), world.y[seed].numpy()

        def value(w, x=x, y=y):
            z = x @ w[:2] + w[2]
            return np.mean(np.logaddexp(0, z) - y * z)

        ours = np.concatenate([part[seed].numpy().ravel() for part in fit.parameters])
        assert value(ours) <= minimize(value, np.zeros(3)).fun + 1e-9


def test_each_seed_goes_its_own_way():
    """A seed ends where it does on its own, whoever else is in the block; those that arrive early rest there."""
    world, net = two_moons(SEEDS, n=30, n_test=2), MLP((2, 16, 1))
    start = net.init(SEEDS)
    fit = lbfgs(net, start, world.x, world.y, loss=logistic, epochs=100, goal=interpolates)
    assert fit.met.all()
    assert len(fit.epochs.unique()) > 1
    assert (accuracy(net(fit.parameters, world.x), world.y) == 1).all()
    for seed in range(6):
        alone = [part[seed : seed + 1] for part in start]
        one = lbfgs(
            net, alone, world.x[seed : seed + 1], world.y[seed : seed + 1],
            loss=logistic, epochs=100, goal=interpolates,
        )  # fmt: skip
        assert one.epochs.item() == fit.epochs[seed]
        for ours, whole in zip(one.parameters, fit.parameters, strict=True):
            torch.testing.assert_close(ours[0], whole[seed], rtol=1e-6, atol=1e-8)


def test_no_step_is_uphill():
    """With one pass more the loss is no larger, and with one pass nothing has moved."""
    world, net = two_moons(SEEDS, n=30, n_test=2), MLP((2, 16, 1))
    start = net.init(SEEDS)
    losses = [
        logistic(net(lbfgs(net, start, world.x, world.y, loss=logistic, epochs=n).parameters, world.x), world.y)
        for n in range(1, 15)
    ]
    torch.testing.assert_close(losses[0], logistic(net(start, world.x), world.y))
    assert all((after <= before + 1e-12).all() for before, after in pairwise(losses))
    assert (losses[-1] < losses[0] / 2).all()


def test_at_a_minimum_it_stops():
    at = [torch.zeros(6, 10, 1, dtype=torch.float64)]
    x, y = torch.eye(10, dtype=torch.float64).expand(6, -1, -1), torch.zeros(6, 10, dtype=torch.float64)
    fit = lbfgs(identity_net, at, x, y, loss=partial(quadratic, torch.ones(10, dtype=torch.float64)), epochs=50)
    assert not fit.parameters[0].any()
    assert not fit.met.any()


@pytest.mark.parametrize("history", [1, 3, 10])
def test_any_history_serves(history):
    curvatures = torch.logspace(0, 2, 10, dtype=torch.float64)
    x, y = torch.eye(10, dtype=torch.float64).expand(6, -1, -1), SEEDS.normal("least", 10)
    fit = lbfgs(
        identity_net, [SEEDS.normal("start", 10, 1)], x, y,
        loss=partial(quadratic, curvatures), epochs=400, history=history,
    )  # fmt: skip
    torch.testing.assert_close(fit.parameters[0][..., 0], y, rtol=0, atol=1e-5)


def test_a_step_that_is_too_short_is_doubled():
    """On .01 w² / 2 from 1 the slope must fall by a tenth: lengths 1, 2, 4 and 8 are too short, and 16 leads to .84."""
    x, y = torch.ones(1, 1, 1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    loss = partial(quadratic, torch.tensor([0.01], dtype=torch.float64))
    found = [
        lbfgs(identity_net, [torch.ones(1, 1, 1, dtype=torch.float64)], x, y, loss=loss, epochs=epochs).parameters[0]
        for epochs in (5, 6)
    ]
    assert [float(w) for w in found] == pytest.approx([1.0, 0.84])
