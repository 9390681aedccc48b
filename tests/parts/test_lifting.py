"""Other people's layers, initialisers and optimizers in a block, against each seed by itself."""

import math
import warnings
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from claimlab.nets import CNN, MLP, member
from claimlab.parts import SeedBySeed, lift, lift_optimizer, lift_weights, parts, swapped
from claimlab.parts.initialisers import Filling
from claimlab.parts.lifting import Lifted, OneASeed, mixes
from claimlab.seeds import Seeds
from claimlab.train import train

SEEDS = Seeds("tests/lifting", 1, "pinned", tuple(range(4)), dtype=torch.float64)
close = partial(torch.testing.assert_close, rtol=1e-9, atol=1e-10)


class OwnBatchNorm1d(nn.BatchNorm1d):
    """Torch's own, but not known to be."""


class OwnBatchNorm2d(nn.BatchNorm2d):
    """Torch's own, but not known to be."""


class SetsItsBuffer(nn.Module):
    """Batch norm with a mean that is set anew, where torch's moves in place."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(features))
        self.register_buffer("mean", torch.zeros(features))

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return self.gain * (x - self.mean)
        self.mean = 0.5 * self.mean + 0.5 * x.mean(dim=0)
        return self.gain * (x - x.mean(dim=0))


class Branches(SetsItsBuffer):
    """Looks at a number, which vmap cannot."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (2 if x.sum().item() > 0 else 1)


class Random(nn.Module):
    """A gain that is drawn when the layer is made."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.randn(features))

    def forward(self, x: Tensor) -> Tensor:
        return self.gain * x


def drawn(parameters: list[Tensor]) -> list[Tensor]:
    return [(p + 0.1 * SEEDS.normal(f"off.{i}", *p.shape[1:])).requires_grad_() for i, p in enumerate(parameters)]


def test_a_lifted_mlp_is_that_of_torchs_own_layers():
    own, lifted = (MLP((3, 5, 4, 2), norm=norm) for norm in (nn.BatchNorm1d, OwnBatchNorm1d))
    parameters, x = drawn(own.init(SEEDS)), SEEDS.normal("x", 7, 3)
    for ours, theirs in zip(own.init(SEEDS), lifted.init(SEEDS), strict=True):
        assert torch.equal(ours, theirs)
    outputs = [net(parameters, x) for net in (own, lifted)]
    close(*outputs)
    for ours, theirs in zip(*(torch.autograd.grad(y.pow(3).sum(), parameters) for y in outputs), strict=True):
        close(ours, theirs)


def test_a_lifted_cnn_trains_and_evaluates_as_that_of_torchs_own_layers():
    own, lifted = (CNN((1, 3, 4), classes=2, strides=(2,), norm=norm) for norm in (nn.BatchNorm2d, OwnBatchNorm2d))
    parameters, x = drawn(own.init(SEEDS)), SEEDS.normal("x", 5, 1, 6, 6)
    running = [net.start(parameters) for net in (own, lifted)]
    for _ in range(3):
        outputs = [net(parameters, x, kept) for net, kept in zip((own, lifted), running, strict=True)]
        close(*outputs)
    for ours, theirs in zip(*(torch.autograd.grad(y.pow(3).sum(), parameters) for y in outputs), strict=True):
        close(ours, theirs)
    evaluated = [net(parameters, x, kept, training=False) for net, kept in zip((own, lifted), running, strict=True)]
    close(*evaluated)
    close(evaluated[1][2], member(lifted, parameters, 2, running[1]).eval()(x[2]))


@pytest.mark.parametrize("kind", [SetsItsBuffer, Branches])
@pytest.mark.filterwarnings("ignore::claimlab.parts.SeedBySeed")
def test_a_layer_of_a_block_moves_its_buffers_as_each_seed_does(kind):
    layer, x = lift(kind, 3), SEEDS.normal("x", 6, 3) + torch.arange(-1.5, 2.5).view(4, 1, 1)
    parameters = drawn(layer.init(SEEDS, "layer"))
    buffers = layer.start(x)
    outputs = [layer(parameters, x, buffers) for _ in range(2)]
    evaluated = layer(parameters, x, buffers, training=False)
    for seed in range(len(SEEDS)):
        alone = kind(3).double()
        alone.load_state_dict({"gain": parameters[0].detach()[seed]}, strict=False)
        for y in outputs:
            close(y[seed], alone(x[seed]))
        assert isinstance(buffers, dict)
        close(buffers["mean"][seed], alone.mean)
        close(evaluated[seed], alone.eval()(x[seed]))


def test_what_vmap_cannot_is_said_once():
    layer, x = lift(Branches, 3), SEEDS.normal("x", 6, 3)
    parameters = layer.init(SEEDS, "layer")
    with pytest.warns(SeedBySeed, match="Branches is called seed by seed, which is slow"):
        layer(parameters, x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer(parameters, x)


def test_an_error_of_the_module_is_its_own():
    layer = lift(OwnBatchNorm1d, 3)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        layer(layer.init(SEEDS, "layer"), SEEDS.normal("x", 1, 3))
    with pytest.raises(ValueError, match="evaluation needs the buffers"):
        layer(layer.init(SEEDS, "layer"), SEEDS.normal("x", 5, 3), training=False)


def test_a_random_layer_is_another_in_every_seed_whatever_the_block():
    before = torch.get_rng_state()
    (gain,) = lift(Random, 5).init(SEEDS, "layer")
    assert torch.equal(torch.get_rng_state(), before)
    assert len({tuple(own.tolist()) for own in gain}) == len(SEEDS)
    assert torch.equal(lift(Random, 5).init(SEEDS.take([2]), "layer")[0][0], gain[2])


def test_a_subclass_and_unusual_options_are_not_taken_for_torchs_usual_layer():
    assert isinstance(lift(OwnBatchNorm1d, 3), Lifted)
    assert isinstance(lift(partial(nn.BatchNorm1d, affine=False), 3), Lifted)
    assert not isinstance(lift(nn.BatchNorm1d, 3), Lifted)


def test_group_norm_of_dense_activations_treats_every_sample_alone():
    layer, x = lift(nn.GroupNorm, 2, 6), SEEDS.normal("x", 5, 6)
    y = layer(layer.init(SEEDS, "layer"), x)
    close(y, torch.stack([nn.GroupNorm(2, 6).double()(own) for own in x]))


def test_a_lifted_weight_norm_is_torchs_own():
    v, g = SEEDS.normal("v", 3, 2), SEEDS.normal("g", 1, 2)
    theirs = parts().weight_norm
    close(lift_weights(lambda module: theirs(module), v, g), lift_weights(theirs, v, g))


def test_a_filling_function_sees_torchs_layout_and_draws_by_the_seed():
    dense = Filling(nn.init.orthogonal_).weight(SEEDS, "w", 5, 3)
    close(dense.mT @ dense, torch.eye(3, dtype=torch.float64).expand(4, 3, 3))
    assert torch.equal(Filling(nn.init.orthogonal_).weight(SEEDS.take([1]), "w", 5, 3)[0], dense[1])
    assert not torch.equal(dense[0], dense[1])
    weight = Filling(partial(nn.init.kaiming_normal_, nonlinearity="relu")).weight(SEEDS, "w", 300, 8, 3, 3)
    assert abs(weight.var() / (2 / 72) - 1) < 5 * math.sqrt(2 / weight.numel())


# Optimizers


class Clipped(torch.optim.SGD):
    """Gradient descent with a global gradient norm of at most 1, which would mix seeds."""

    def step(self, closure=None):
        nn.utils.clip_grad_norm_(self.param_groups[0]["params"], 1.0)
        return super().step(closure)


class Matrices(torch.optim.SGD):
    """Takes a matrix or a vector, and steps by its singular vectors alone: it puts a new tensor in its place."""

    def __init__(self, parameters, lr):
        if any(parameter.ndim > 2 for parameter in parameters):
            raise ValueError("only matrices")
        super().__init__(parameters, lr=lr)

    @torch.no_grad()
    def step(self, closure=None):
        for parameter in self.param_groups[0]["params"]:
            u, _, v = torch.linalg.svd(torch.atleast_2d(parameter.grad), full_matrices=False)
            parameter.data = parameter - self.param_groups[0]["lr"] * (u @ v).view_as(parameter)


@pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "RAdam"])
def test_optimizers_that_treat_every_number_by_itself_move_the_block(kind):
    assert not mixes(partial(getattr(torch.optim, kind), lr=0.01))


@pytest.mark.parametrize("make", [partial(Clipped, lr=0.1), partial(torch.optim.Adafactor, lr=0.1)])
def test_optimizers_that_mix_are_told(make):
    assert mixes(make)
    with pytest.warns(SeedBySeed, match="each seed has one of its own"):
        assert isinstance(lift_optimizer(make, [SEEDS.normal("w", 3, 2).requires_grad_()]), OneASeed)


@pytest.mark.parametrize("make", [partial(Clipped, lr=0.5, momentum=0.9), partial(Matrices, lr=0.05)])
@pytest.mark.filterwarnings("ignore::claimlab.parts.SeedBySeed")
def test_an_optimizer_that_mixes_trains_each_seed_as_alone(make):
    """Also when seeds leave: the second after two epochs, the last after five.

    Not by cross-entropy: the gradients of its logits add up to zero, and a singular vector of the singular value 0
    is what rounding makes of it.
    """
    net, x, y = MLP((2, 6, 3), nn.Tanh), 5 * SEEDS.normal("x", 20, 2), SEEDS.normal("y", 20, 3)
    leave, looked = {1: 2, 3: 5}, []

    def goal(outputs: Tensor, targets: Tensor) -> Tensor:
        looked.append(None)
        here = [seed for seed in range(4) if leave.get(seed, 9) >= len(looked)]
        return torch.tensor([leave.get(seed) == len(looked) for seed in here])

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs - targets).square().mean(dim=(1, 2))

    fit = train(SEEDS, net, net.init(SEEDS), x, y, loss=loss, optimizer=make, epochs=8, goal=goal)
    assert fit.epochs.tolist() == [8, 2, 8, 5]
    for seed in range(4):
        alone = SEEDS.take([seed])
        own = [p[0].clone().requires_grad_() for p in net.init(alone)]
        optimizer = make(own)
        for _ in range(int(fit.epochs[seed])):
            optimizer.zero_grad()
            loss(net([p[None] for p in own], x[[seed]]), y[[seed]]).sum().backward()
            optimizer.step()
        for block, parameter in zip(fit.parameters, own, strict=True):
            close(block[seed], parameter.detach())


def test_a_swapped_optimizer_reaches_training():
    with swapped(sgd=torch.optim.SGD):
        optimizer = lift_optimizer(partial(parts().sgd, lr=0.1), [SEEDS.normal("w", 3).requires_grad_()])
    assert type(optimizer) is torch.optim.SGD
