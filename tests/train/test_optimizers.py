"""Our optimizers against torch's classes, and Shampoo, for which torch has none, against its definition."""

from collections.abc import Callable
from dataclasses import fields
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from claimlab.measure.fit import mean_squared_error
from claimlab.nets import MLP
from claimlab.parts import Parts, lift_optimizer, parts
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


# -- how parameters lie in memory ------------------------------------------------------------------------------------

NAMES = [field.name for field in fields(Parts)]
PARTS = NAMES[NAMES.index("sgd") :]
RATES = {"sgd": {"lr": 0.1, "momentum": 0.9}, "adadelta": {"lr": 1.0}}
LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "seeds last": lambda values: values.transpose(0, -1).contiguous().transpose(0, -1),
    "every other": lambda values: torch.stack([values, 0 * values], dim=-1)[..., 0],
    "part of a larger one": lambda values: torch.cat([values, 0 * values], dim=-1)[..., : values.shape[-1]],
}


def trained(make, layout: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """The parameters of a tanh net in that layout, after each of twenty steps, `[STEPS, S, ...]` each."""
    net, x, y = MLP((3, 4, 1), nn.Tanh), SEEDS.normal("x", 20, 3), SEEDS.normal("y", 20)
    parameters = [layout(start).detach().requires_grad_() for start in net.init(SEEDS, parts().torch_init)]
    strides = [parameter.stride() for parameter in parameters]
    optimizer, places = make(parameters), []
    for _ in range(STEPS):
        optimizer.zero_grad()
        mean_squared_error(net(parameters, x), y).sum().backward()
        optimizer.step()
        places.append([parameter.detach().clone() for parameter in parameters])
    assert [parameter.stride() for parameter in parameters] == strides
    return [torch.stack(place) for place in zip(*places, strict=True)]


def check_layout(make, layout: str) -> None:
    """To rounding: twenty steps of a smooth net amplify 1e-16 by far less than a million."""
    for ours, plain in zip(trained(make, LAYOUTS[layout]), trained(make, torch.clone), strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-9, atol=1e-9)
        assert (plain.diff(dim=0).abs() > 1e-6).any(dim=0).all()  # every number moves


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", PARTS)
def test_a_parameter_that_is_not_contiguous_trains_like_one_that_is(name, layout):
    """Every optimizer of the parts. Adam once froze such parameters on another device (pytorch/pytorch#118115)."""
    check_layout(partial(parts().named(name), **RATES.get(name, {"lr": 0.05})), layout)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_optimizer_that_skips_what_is_not_contiguous_is_noticed(layout):
    def skips(parameters: list[Tensor]) -> Adam:
        moving = Adam(parameters, lr=0.05)
        moving.parameters = [parameter for parameter in parameters if parameter.is_contiguous()]
        return moving

    with pytest.raises(AssertionError, match="not close"):
        check_layout(skips, layout)


def test_the_training_loop_keeps_the_layout():
    """So that a claim that trains parameters which are not contiguous trains them as they are."""
    seen = []

    def watched(parameters: list[Tensor]) -> SGD:
        seen.extend(parameters)
        return SGD(parameters, lr=0.1)

    net, layout = MLP((3, 4, 1)), LAYOUTS["seeds last"]
    start = [layout(parameter) for parameter in net.init(SEEDS)]
    x, y = SEEDS.normal("x", 20, 3), SEEDS.normal("y", 20)
    fit = train(SEEDS, net, start, x, y, loss=mean_squared_error, optimizer=watched, epochs=3)
    assert [own.stride() for own in seen] == [own.stride() for own in start]
    plain = train(SEEDS, net, net.init(SEEDS), x, y, loss=mean_squared_error, optimizer=partial(SGD, lr=0.1), epochs=3)
    for ours, theirs in zip(fit.parameters, plain.parameters, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
