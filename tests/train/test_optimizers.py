"""Our optimizers against torch's classes, and Shampoo, for which torch has none, against its definition."""

from functools import partial

import pytest
import torch
from torch import Tensor

from claimlab.measure.fit import mean_squared_error
from claimlab.nets import MLP
from claimlab.parts import lift_optimizer
from claimlab.seeds import Seeds
from claimlab.train import SGD, Adadelta, Adagrad, Adam, AdamW, RMSprop, Shampoo, train

SEEDS = Seeds("tests/train/optimizers", 1, "pinned", tuple(range(4)), dtype=torch.float64)
STEPS = 20


def path(make, start: Tensor, gradients: Tensor) -> Tensor:
    """Where the optimizer takes a parameter by these gradients, after every step."""
    parameter = start.clone().requires_grad_()
    optimizer, places = make([parameter]), []
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
        places.append(parameter.detach().clone())
    return torch.stack(places)


@pytest.mark.parametrize(
    ("ours", "torchs"),
    [
        (partial(SGD, lr=0.1, momentum=0.9), partial(torch.optim.SGD, lr=0.1, momentum=0.9)),
        *((ours, getattr(torch.optim, ours.__name__)) for ours in (Adam, AdamW, Adagrad, RMSprop, Adadelta)),
    ],
    ids=["SGD", "Adam", "AdamW", "Adagrad", "RMSprop", "Adadelta"],
)
@pytest.mark.parametrize(
    "options",
    [{}, {"weight_decay": 0.3}, {"weight_decay": 0.3, "maximize": True}, {"lr": 0.2}],
    ids=["defaults", "decay", "ascent", "rate"],
)
def test_ours_is_torchs(ours, torchs, options):
    """To rounding, which twenty steps of size one do not amplify."""
    start, gradients = SEEDS.normal("w", 3, 2)[0], SEEDS.normal("g", STEPS, 3, 2)[0]
    torch.testing.assert_close(
        path(partial(ours, **options), start, gradients), path(partial(torchs, **options), start, gradients),
        rtol=1e-12, atol=1e-12,
    )  # fmt: skip


def inverse_fourth_root(matrix: Tensor) -> Tensor:
    """M^(-1/4), as the inverse of the square root of the square root, each by Denman and Beavers' iteration."""
    for _ in range(2):
        root, inverse = matrix, torch.eye(len(matrix), dtype=matrix.dtype)
        for _ in range(40):
            root, inverse = (root + inverse.inverse()) / 2, (inverse + root.inverse()) / 2
        matrix = root
    return matrix.inverse()


def test_shampoo_follows_its_definition():
    """The roots by an iteration; L and R are eps or more in each direction, so that nothing is ill-conditioned."""
    start, gradients = SEEDS.normal("w", 3, 2)[0], SEEDS.normal("g", STEPS, 3, 2)[0]
    left, right, w, places = 0.1 * torch.eye(3).double(), 0.1 * torch.eye(2).double(), start, []
    for g in gradients:
        left, right = left + g @ g.T, right + g.T @ g
        w = w - 0.5 * inverse_fourth_root(left) @ g @ inverse_fourth_root(right)
        places.append(w)
    torch.testing.assert_close(
        path(partial(Shampoo, lr=0.5, eps=0.1), start, gradients), torch.stack(places), rtol=1e-10, atol=1e-10
    )


def test_a_block_of_matrices_moves_as_each_by_itself():
    start, gradients = SEEDS.normal("w", 3, 2), SEEDS.normal("g", STEPS, 3, 2)
    make = partial(Shampoo, lr=0.5)
    together = path(partial(lift_optimizer, make), start, gradients.transpose(0, 1))
    for seed in range(len(SEEDS)):
        alone = path(make, start[seed], gradients[seed])
        torch.testing.assert_close(together[:, seed], alone, rtol=1e-10, atol=1e-10)


def test_what_shampoo_remembers_stays_with_its_seed():
    """One seed leaves after each of the first three epochs; the fourth ends where it ends without the others."""
    x, y, net = SEEDS.normal("x", 20, 3), SEEDS.normal("y", 20), MLP((3, 4, 1))
    left = []

    def goal(outputs: Tensor, targets: Tensor) -> Tensor:
        left.append(None)
        return torch.arange(len(outputs)) == (0 if len(left) < 4 else -1)

    fit_with = partial(train, net=net, loss=mean_squared_error, optimizer=partial(Shampoo, lr=0.1), epochs=8)
    fit = fit_with(SEEDS, parameters=net.init(SEEDS), x=x, y=y, goal=goal)
    assert fit.epochs.tolist() == [1, 2, 3, 8]
    last = SEEDS.take([3])
    alone = fit_with(last, parameters=net.init(last), x=x[3:], y=y[3:])
    for ours, theirs in zip(fit.parameters, alone.parameters, strict=True):
        torch.testing.assert_close(ours[3:], theirs, rtol=1e-10, atol=1e-10)
