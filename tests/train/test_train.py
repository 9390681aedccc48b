"""Training a block at once against what everybody writes: a loop over seeds around nn.Module and torch.optim."""

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from claimlab.measure.fit import accuracy, cross_entropy, interpolates, logistic, mean_squared_error
from claimlab.nets import MLP, conv, pack
from claimlab.parts import parts
from claimlab.parts.initialisers import he
from claimlab.seeds import Seeds
from claimlab.train import SGD, Adam, train

SEEDS = Seeds("tests/train", 1, "pinned", tuple(range(6)), dtype=torch.float64)
NET = MLP((2, 8, 3), nn.Tanh)
EPOCHS = 12
STOCK = {
    "sgd": partial(torch.optim.SGD, lr=0.3),
    "momentum": partial(torch.optim.SGD, lr=0.1, momentum=0.9),
    "adam": partial(torch.optim.Adam, lr=0.05),
}
OPTIMIZERS = STOCK | {
    "our sgd": partial(SGD, lr=0.3),
    "our momentum": partial(SGD, lr=0.1, momentum=0.9),
    "our adam": partial(Adam, lr=0.05),
}


def data(seeds: Seeds, n: int = 21) -> tuple[Tensor, Tensor]:
    return seeds.normal("x", n, 2), seeds.integers("y", n, high=3)


def alone(seeds: Seeds, member: int, x: Tensor, y: Tensor, optimizer, *, batch: int | None, epochs: int = EPOCHS):
    """One seed, trained as everybody does. Returns the parameters of every epoch, as our nets shape them."""
    first, first_bias, last, last_bias = (parameter[member] for parameter in NET.init(seeds, parts().torch_init))
    module = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    with torch.no_grad():
        for own, value in zip(module.parameters(), (first.T, first_bias[0], last.T, last_bias[0]), strict=True):
            own.copy_(value)
    optim = optimizer(module.parameters())
    history = []
    for epoch in range(1, epochs + 1):
        order = torch.arange(len(x)) if batch is None else seeds.permutation(f"order.{epoch}", len(x))[member]
        size = batch or len(x)
        for start in range(0, len(x) - size + 1, size):
            chosen = order[start : start + size]
            optim.zero_grad()
            nn.functional.cross_entropy(module(x[chosen]), y[chosen]).backward()
            optim.step()
        history.append(
            [own.detach().clone().mT if own.ndim == 2 else own.detach().clone() for own in module.parameters()]
        )
    return history


def assert_same(fitted: list[Tensor], member: int, expected: list[Tensor]) -> None:
    """To rounding: 12 epochs of a smooth net amplify float64 rounding by far less than 1e4."""
    for whole, own in zip(fitted, expected, strict=True):
        torch.testing.assert_close(whole[member].reshape(own.shape), own, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("batch", [None, 5])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_block_trains_as_its_seeds_do_alone(optimizer, batch):
    x, y = data(SEEDS)
    fit = train(
        SEEDS, NET, NET.init(SEEDS, parts().torch_init), x, y,
        loss=cross_entropy, optimizer=OPTIMIZERS[optimizer], epochs=EPOCHS, batch=batch,
    )  # fmt: skip
    for member in range(len(SEEDS)):
        history = alone(SEEDS, member, x[member], y[member], STOCK[optimizer.removeprefix("our ")], batch=batch)
        assert_same(fit.parameters, member, history[-1])
    assert fit.epochs.tolist() == [EPOCHS] * len(SEEDS)
    assert not fit.met.any()


def between(ends: Tensor, values: Tensor) -> Tensor:
    """A number between two of the values, as far from all of them as can be, so that no rounding moves one past it."""
    inside = values[(values >= ends[0]) & (values <= ends[1])].sort().values
    widest = inside.diff().argmax()
    return inside[widest : widest + 2].mean()


@pytest.mark.parametrize("batch", [None, 5])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_member_that_meets_its_goal_leaves_and_the_others_train_on_the_same(optimizer, batch):
    x, y = data(SEEDS)
    fit_with = partial(
        train, SEEDS, NET, NET.init(SEEDS, parts().torch_init), x, y,
        loss=cross_entropy, optimizer=OPTIMIZERS[optimizer], epochs=EPOCHS, batch=batch,
    )  # fmt: skip
    losses = []  # of every member after every epoch, [EPOCHS, S]
    for epoch in range(1, EPOCHS + 1):
        losses.append(cross_entropy(NET(fit_with(epochs=epoch).parameters, x), y))
    table = torch.stack(losses)
    bar = between(table.min(dim=0).values.sort().values[2:4], table)  # half of the members get below it

    fit = fit_with(goal=lambda outputs, targets: cross_entropy(outputs, targets) <= bar)
    below = table <= bar
    assert fit.met.tolist() == below.any(dim=0).tolist()
    assert fit.met.sum() == len(SEEDS) / 2
    first = torch.where(fit.met, below.int().argmax(dim=0) + 1, EPOCHS)
    assert fit.epochs.tolist() == first.tolist()
    for member in range(len(SEEDS)):
        history = alone(SEEDS, member, x[member], y[member], STOCK[optimizer.removeprefix("our ")], batch=batch)
        assert_same(fit.parameters, member, history[first[member] - 1])


def test_the_goal_is_looked_at_every_so_often():
    x, y = data(SEEDS)
    fit = train(
        SEEDS, NET, NET.init(SEEDS), x, y, loss=cross_entropy, optimizer=OPTIMIZERS["sgd"], epochs=10,
        goal=lambda outputs, targets: torch.ones(len(outputs), dtype=torch.bool), check_every=4,
    )  # fmt: skip
    assert fit.epochs.tolist() == [4] * 6
    assert fit.met.all()


def test_a_sub_block_trains_as_in_the_whole():
    x, y = data(SEEDS)
    fit_with = partial(train, loss=cross_entropy, optimizer=OPTIMIZERS["adam"], epochs=EPOCHS, batch=4)
    whole = fit_with(SEEDS, NET, NET.init(SEEDS), x, y)
    some = SEEDS.take([4, 1])
    part = fit_with(some, NET, NET.init(some), *data(some))
    for ours, theirs in zip(whole.parameters, part.parameters, strict=True):
        torch.testing.assert_close(ours[[4, 1]], theirs, rtol=1e-10, atol=1e-10)


def test_a_member_that_diverges_does_not_touch_the_others():
    x, y = data(SEEDS)
    poisoned = x.clone()
    poisoned[2] *= 1e200
    poisoned[3, 0] = float("nan")
    net = MLP((2, 8, 3), nn.Identity)
    fit_with = partial(
        train, SEEDS, net, net.init(SEEDS), y=y, loss=cross_entropy, optimizer=OPTIMIZERS["momentum"], epochs=EPOCHS,
        goal=interpolates,
    )  # fmt: skip
    clean, fit = fit_with(x=x), fit_with(x=poisoned)
    healthy = torch.tensor([0, 1, 4, 5])
    for ours, theirs in zip(fit.parameters, clean.parameters, strict=True):
        torch.testing.assert_close(ours[healthy], theirs[healthy], rtol=1e-10, atol=1e-10)
        assert not ours[3].isfinite().all()
    assert fit.met[2:4].tolist() == [False, False]
    assert fit.epochs[2:4].tolist() == [EPOCHS] * 2


def test_what_goes_in_is_not_changed():
    x, y = data(SEEDS)
    parameters = NET.init(SEEDS)
    before = [tensor.clone() for tensor in (*parameters, x, y)]
    fit = train(
        SEEDS, NET, parameters, x, y, loss=cross_entropy, optimizer=OPTIMIZERS["sgd"], epochs=3, batch=5,
        goal=lambda outputs, targets: torch.arange(len(outputs)) == 0,
    )  # fmt: skip
    for tensor, old in zip((*parameters, x, y), before, strict=True):
        assert torch.equal(tensor, old)
        assert not tensor.requires_grad
    assert not any(parameter.requires_grad for parameter in fit.parameters)
    assert not any(torch.equal(new, old) for new, old in zip(fit.parameters, parameters, strict=True))


def test_no_epochs_return_the_initial_parameters():
    x, y = data(SEEDS)
    parameters = NET.init(SEEDS)
    fit = train(SEEDS, NET, parameters, x, y, loss=cross_entropy, optimizer=OPTIMIZERS["sgd"], epochs=0)
    assert all(torch.equal(new, old) for new, old in zip(fit.parameters, parameters, strict=True))
    assert fit.epochs.tolist() == [0] * 6


def test_minibatches_cover_an_epoch_once_and_leave_the_remainder_out():
    """The loss sees each of the 20 inputs of five batches of four once, and the 21st not at all."""
    seen: list[Tensor] = []

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        seen.append(targets)
        return outputs.square().mean(dim=(1, 2))

    x = SEEDS.normal("x", 21, 2)
    y = torch.arange(21).expand(6, 21)
    train(SEEDS, NET, NET.init(SEEDS), x, y, loss=loss, optimizer=OPTIMIZERS["sgd"], epochs=2, batch=4)
    assert [tuple(targets.shape) for targets in seen] == [(6, 4)] * 10
    first, second = torch.cat(seen[:5], dim=1), torch.cat(seen[5:], dim=1)
    for member in range(6):
        assert len(set(first[member].tolist())) == 20
    assert not torch.equal(first, second)
    assert not torch.equal(first[0], first[1])


def test_a_batch_larger_than_the_data_is_refused():
    x, y = data(SEEDS)
    with pytest.raises(ValueError, match="a batch of 22 is larger than the 21 samples"):
        train(SEEDS, NET, NET.init(SEEDS), x, y, loss=cross_entropy, optimizer=STOCK["sgd"], epochs=1, batch=22)


# -- losses and accuracies, seed by seed -----------------------------------------------------------------------------


def test_losses_are_those_of_torch_member_by_member():
    logits, labels = SEEDS.normal("logits", 9, 3), SEEDS.integers("labels", 9, high=3)
    binary, truth = SEEDS.normal("binary", 9, 1), SEEDS.integers("truth", 9, high=2)
    values = SEEDS.normal("values", 9)
    for member in range(len(SEEDS)):
        torch.testing.assert_close(
            cross_entropy(logits, labels)[member], nn.functional.cross_entropy(logits[member], labels[member])
        )
        torch.testing.assert_close(
            logistic(binary, truth)[member],
            nn.functional.binary_cross_entropy_with_logits(binary[member, :, 0], truth[member].double()),
        )
        torch.testing.assert_close(
            mean_squared_error(binary, values)[member], nn.functional.mse_loss(binary[member, :, 0], values[member])
        )


def test_accuracy_counts_right_labels():
    logits = torch.tensor([[[2.0, 1.0, 0.0], [0.0, 1.0, 3.0]], [[0.0, 1.0, 0.0], [0.0, 5.0, 3.0]]])
    labels = torch.tensor([[0, 2], [0, 1]])
    assert accuracy(logits, labels).tolist() == [1.0, 0.5]
    assert interpolates(logits, labels).tolist() == [True, False]
    one_logit = torch.tensor([[[-1.0], [0.0], [2.0], [-3.0]]])
    assert accuracy(one_logit, torch.tensor([[0, 0, 1, 1]])).tolist() == [0.75]
    nan = torch.full((1, 4, 1), float("nan"))
    assert not interpolates(nan, torch.ones(1, 4, dtype=torch.long)).item()


# -- optimizers ------------------------------------------------------------------------------------------------------

RULES = [
    pytest.param(partial(SGD, lr=0.1), partial(torch.optim.SGD, lr=0.1), id="sgd"),
    pytest.param(partial(SGD, lr=0.1, momentum=0.9), partial(torch.optim.SGD, lr=0.1, momentum=0.9), id="momentum"),
    pytest.param(partial(Adam, lr=0.1), partial(torch.optim.Adam, lr=0.1), id="adam"),
]


def moved(optimizer, parameter: Tensor, gradients: list[Tensor]) -> Tensor:
    """Where the optimizer takes a copy of the parameter with one step a gradient, each as it lies in memory."""
    own = torch.empty_strided(parameter.shape, parameter.stride(), dtype=parameter.dtype).copy_(parameter)
    own.requires_grad_()
    steps = optimizer([own])
    for gradient in gradients:
        own.grad = gradient
        steps.step()
    return own.detach()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize(("ours", "theirs"), RULES)
def test_every_weight_moves_in_every_precision_as_in_torchs_plain_loop(ours, theirs, dtype):
    """265 weights: on every processor whole vectors and a remainder, which the fused kernels treat apart.

    A step moves a weight by at least 0.01, more than the 0.008 between two numbers of bfloat16 below 2. It rounds the
    weight, by at most eps, and a move below 0.3, together by less: 3 steps of ours and of theirs stay within 12 eps.
    """
    seeds = Seeds("tests/train/moves", 1, "pinned", (0,), dtype=torch.float64)
    start = seeds.uniform("start", 265, low=-1, high=1)[0].to(dtype)
    gradients = [seeds.uniform(f"g{step}", 265, low=0.1, high=1)[0].to(dtype) for step in range(3)]
    ended, expected = (
        moved(ours, start, gradients),
        moved(partial(theirs, foreach=False, fused=False), start, gradients),
    )
    assert (ended < start).all()
    torch.testing.assert_close(ended, expected, rtol=0, atol=12 * torch.finfo(dtype).eps)


LAYOUTS = {
    "plain": lambda values: values,
    "permuted": lambda values: values.mT.contiguous().mT,
    "every other": lambda values: torch.stack([values, values], dim=-1)[..., 0],
    "repeated": lambda values: values[:, :1].expand(values.shape),
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    ("own", "given"),
    [("plain", "permuted"), ("plain", "every other"), ("plain", "repeated"), ("permuted", "plain"),
     ("every other", "plain"), ("every other", "every other")],
)  # fmt: skip
@pytest.mark.parametrize(("ours", "theirs"), RULES)
def test_a_step_does_not_hinge_on_how_parameter_and_gradient_lie_in_memory(ours, theirs, own, given, dtype):
    """Three steps, in the last of which the gradient lies as the parameter does. Tolerance as above."""
    seeds = Seeds("tests/train/layouts", 1, "pinned", (0,), dtype=torch.float64)
    start, *gradients = seeds.uniform("values", 3, 16, 9, low=0.1, high=1)[0].to(dtype)
    gradients = [LAYOUTS[given](gradient) for gradient in gradients] + [LAYOUTS[own](start)]
    plain = [gradient.contiguous() for gradient in gradients]
    torch.testing.assert_close(
        moved(ours, LAYOUTS[own](start), gradients),
        moved(partial(theirs, foreach=False, fused=False), start, plain),
        rtol=0,
        atol=12 * torch.finfo(dtype).eps,
    )


@pytest.mark.parametrize(("ours", "theirs"), RULES)
def test_gradients_of_autograd_grad_train_as_those_of_backward_do(ours, theirs):
    """Those of a convolution's weights have strides of their own."""
    seeds = Seeds("tests/train/convolution", 1, "pinned", (0, 1, 2), dtype=torch.float64)
    weight, x = he.weight(seeds, "w", 4, 2, 3, 3), pack(seeds.normal("x", 5, 2, 6, 6))
    ends = []
    for make in (ours, theirs):
        own = weight.clone().requires_grad_()
        optimizer = make([own])
        for _ in range(3):
            loss = conv(x, own, padding=1).square().mean()
            if make is theirs:
                optimizer.zero_grad()
                loss.backward()
            else:
                (own.grad,) = torch.autograd.grad(loss, own)
                assert own.grad.stride() != own.stride()
            optimizer.step()
        ends.append(own.detach())
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("ours", "theirs"), RULES)
def test_a_parameter_without_a_gradient_rests_as_in_torch(ours, theirs):
    """The first for good, the last for two steps, after which it moves as in its own first step."""
    start = [torch.ones(2), torch.ones(3), torch.ones(20)]
    ends = []
    for make in (ours, theirs):
        parameters = [tensor.clone().requires_grad_() for tensor in start]
        optimizer = make(parameters)
        for step in range(4):
            optimizer.zero_grad()
            moving = parameters[1:] if step >= 2 else parameters[1:2]
            torch.stack([parameter.square().sum() for parameter in moving]).sum().backward()
            optimizer.step()
        ends.append([parameter.detach() for parameter in parameters])
    torch.testing.assert_close(ends[0], ends[1])
    assert torch.equal(ends[0][0], start[0])
