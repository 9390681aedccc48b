"""Other people's layers and optimizers, lifted to a block of seeds.

A layer is `torch.func.vmap` of `torch.func.functional_call`, with parameters and buffers stacked. Where vmap cannot, it
is called seed by seed, which is slow: a `SeedBySeed` warning says so.

An optimizer that treats every number by itself moves a block as it moves one seed. One that mixes the entries of a
tensor, or of all of them, would mix the seeds of a block, and so each seed gets one of its own around the block's one
forward and backward pass: exact, at two to three times the cost of a step, and a `SeedBySeed` warning says so as well.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.utils import parametrizations

from claimlab.parts.layers import Buffers, Layer, of_torch
from claimlab.parts.norms import Running, weight_norm
from claimlab.seeds import Seeds
from claimlab.train.optimizers import TORCHS_OWN
from claimlab.train.shampoo import Shampoo

MakeOptimizer = Callable[[list[Tensor]], Any]


class SeedBySeed(UserWarning):
    """A part cannot take a block of seeds at once, so that a run with it takes longer."""


# Layers


def lift(make: Callable[..., nn.Module], *arguments: Any) -> Layer:
    """The layer of a block that computes `make(*arguments)` for every seed: `lift(nn.BatchNorm1d, 64)`."""
    module = _made(make, arguments, 0)
    return of_torch(module) or Lifted(partial(make, *arguments), module)


class Lifted:
    """An ordinary module for a block of seeds.

    Its parameters and buffers are the module's, in its order, with the seed dimension in front. A module that is not
    random when it is made starts alike in every seed; a random one is made for every seed anew.
    """

    packed: ClassVar[bool] = False

    def __init__(self, make: Callable[[], nn.Module], module: nn.Module) -> None:
        self.make, self.module, self.by_vmap = make, module, True
        self.names = [name for name, _ in module.named_parameters()]

    @property
    def size(self) -> int:
        """How many parameters the module has."""
        return len(self.names)

    def init(self, seeds: Seeds, name: str) -> list[Tensor]:
        """The parameters of new modules."""
        starts = seeds.integers(name, high=2**63 - 1).tolist()
        made = [dict(_made(self.make, (), start).named_parameters()) for start in starts]
        return [torch.stack([own[name].detach() for own in made]).to(seeds.device, seeds.dtype) for name in self.names]

    def start(self, like: Tensor) -> dict[str, Tensor]:
        """The buffers of a new module, once a seed."""
        return {
            name: buffer.to(like.device, like.dtype if buffer.is_floating_point() else None).repeat(
                len(like), *[1] * buffer.ndim
            )
            for name, buffer in self.module.named_buffers()
        }

    def __call__(self, parameters: list[Tensor], x: Tensor, buffers: Any = None, *, training: bool = True) -> Tensor:
        """The outputs for `[S, N, ...]`. Without `buffers` the module starts with new ones and they are forgotten.

        Raises what the module raises, and ValueError in evaluation if the module has buffers and none are given.
        """
        if not training and buffers is None and next(self.module.buffers(), None) is not None:
            raise ValueError("evaluation needs the buffers that training moved, such as running statistics")
        self.module.train(training)
        state = dict(zip(self.names, parameters, strict=True))
        moving = self.start(x) if buffers is None else {name: buffer.clone() for name, buffer in buffers.items()}
        y, moved = self._together(state, moving, x) if self.by_vmap else self._one_by_one(state, moving, x)
        if training and buffers is not None:
            with torch.no_grad():
                for name, buffer in buffers.items():
                    buffer.copy_(moved[name])
        return y.clone()  # what follows may write over it, and the module may need it for its backward pass

    def _together(self, state: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor) -> Outputs:
        before = {name: buffer.clone() for name, buffer in buffers.items()}
        try:
            return vmap(self._once)(state, buffers, x)
        except Exception as reason:
            answer = self._one_by_one(state, before, x)  # raises where it was the module, not vmap
            self.by_vmap = False
            what, why = type(self.module).__name__, str(reason).partition("\n")[0]
            warnings.warn(SeedBySeed(f"{what} is called seed by seed, which is slow: {why}"), stacklevel=2)
            return answer

    def _one_by_one(self, state: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor) -> Outputs:
        outputs = [
            self._once(
                {name: part[seed] for name, part in state.items()},
                {name: part[seed] for name, part in buffers.items()},
                x[seed],
            )
            for seed in range(len(x))
        ]
        moved = {name: torch.stack([own[name] for _, own in outputs]) for name in buffers}
        return torch.stack([y for y, _ in outputs]), moved

    def _once(self, parameters: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor) -> Outputs:
        state = {**parameters, **buffers}
        y = functional_call(self.module, state, (x,))
        return y, {name: state[name] for name in buffers}  # torch leaves a buffer that was set anew in `state`


Outputs = tuple[Tensor, dict[str, Tensor]]


def one_seed(
    module: nn.Module, own: Iterator[Tensor], like: Tensor, buffers: Buffers = None, seed: int = 0
) -> nn.Module:
    """The module, in the precision of `like`, with the next of one seed's parameters, and a copy of its buffers."""
    module = module.to(like)
    state: dict[str, Tensor] = {name: nn.Parameter(next(own)) for name, _ in module.named_parameters()}
    if isinstance(buffers, Running):
        buffers = {"running_mean": buffers.mean, "running_var": buffers.var}
    state |= {name: buffer[seed].clone() for name, buffer in (buffers or {}).items()}
    module.load_state_dict(state, strict=False, assign=True)
    return module


class RandomLayer:
    """A layer without parameters that draws at every call in training, such as `nn.Dropout(0.5)`, for a block of seeds.

    It is the module itself, called seed by seed, so that each seed draws from a stream of its own: from torch's
    generator of the device, set by what the seed draws under `name`, and put back. Another device, or another build
    of torch, makes other masks of it.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def __call__(self, x: Tensor) -> Tensor:
        """The outputs `[S, N, ...]` in evaluation."""
        return self.module.eval()(x)

    def drawn(self, seeds: Seeds, name: str, x: Tensor) -> Tensor:
        """The outputs `[S, N, ...]` in training."""
        self.module.train()
        device = None if x.device.type == "cpu" else torch.get_device_module(x.device)
        outputs = []
        with torch.random.fork_rng([x.device] if device else (), device_type=x.device.type):
            for start, own in zip(seeds.integers(name, high=2**63 - 1).tolist(), x.unbind(), strict=True):
                (device or torch.default_generator).manual_seed(start)
                outputs.append(self.module(own))
        return torch.stack(outputs)


def lift_weights(make: Callable[[nn.Module], nn.Module], v: Tensor, g: Tensor) -> Tensor:
    """The weights `[S, fan_in, fan_out]` of a linear layer that `make` wraps, as torch's `weight_norm` does.

    `v` is `[S, fan_in, fan_out]` and `g` `[S, 1, fan_out]`; the wrapped layer has two parameters for them, g first.
    """
    if make is parametrizations.weight_norm:
        return weight_norm(v, g)
    fan_in, fan_out = v.shape[1:]
    wrapped = lift(lambda: make(nn.Linear(fan_in, fan_out, bias=False, dtype=v.dtype)))
    return wrapped([g.mT, v.mT], torch.eye(fan_in, dtype=v.dtype, device=v.device).expand(len(v), -1, -1))


def _made(make: Callable[..., nn.Module], arguments: tuple[Any, ...], start: int) -> nn.Module:
    """A new module, random as `start` says; torch's global generator is put back."""
    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(start)
        return make(*arguments)


# Optimizers


def lift_optimizer(make: MakeOptimizer, parameters: list[Tensor]) -> Any:
    """An optimizer of a block, `[S, ...]` each, that moves every seed as `make` would move that seed alone."""
    try:
        optimizer = make(parameters)
        known = type(optimizer) in TORCHS_OWN or (type(optimizer) is Shampoo and all(p.ndim > 2 for p in parameters))
        alike = known or not mixes(make)
    except Exception:  # such as one that takes nothing but matrices, which a block has none of
        alike = False
    return optimizer if alike else OneASeed(make, parameters)


class OneASeed:
    """An optimizer for each seed of a block. Dense weights are `[fan_in, fan_out]`, which torch has the other way."""

    def __init__(self, make: MakeOptimizer, parameters: list[Tensor]) -> None:
        self.parameters = parameters
        self.own = [[p.detach()[seed].requires_grad_() for p in parameters] for seed in range(len(parameters[0]))]
        self.optimizers = [make(own) for own in self.own]
        what = type(self.optimizers[0]).__name__
        warnings.warn(
            SeedBySeed(f"{what} mixes the entries of a block, so each seed has one of its own, which is slow"),
            stacklevel=2,
        )

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move the parameters."""
        for seed, (own, optimizer) in enumerate(zip(self.own, self.optimizers, strict=True)):
            for mine, block in zip(own, self.parameters, strict=True):
                mine.grad = None if block.grad is None else block.grad[seed]
            optimizer.step()
            for mine, block in zip(own, self.parameters, strict=True):
                if mine.data_ptr() != block[seed].data_ptr():  # the optimizer put another tensor there
                    block[seed] = mine
                    mine.data = block.detach()[seed]

    def take(self, parameters: list[Tensor], stay: Tensor) -> OneASeed:
        """This optimizer for the seeds that stay, whose parameters are now these."""
        self.parameters = parameters
        self.own = [self.own[seed] for seed in stay.tolist()]
        self.optimizers = [self.optimizers[seed] for seed in stay.tolist()]
        for seed, own in enumerate(self.own):
            for mine, block in zip(own, parameters, strict=True):
                mine.data = block.detach()[seed]
        return self


def mixes(make: MakeOptimizer, *, steps: int = 60) -> bool:
    """Whether an optimizer moves a seed of a block otherwise than it moves the seed alone.

    Tried out in float64, on gradients from 1e-2 to 1e2 in size that do not depend on the parameters. A few steps would
    be too short for optimizers that measure first; what differs in none of `steps` is taken for alike.
    """
    rng = torch.Generator().manual_seed(0)
    scale = 10.0 ** torch.tensor([-1.0, 1.0, 0.0], dtype=torch.float64)  # of every seed
    start = [torch.randn(3, *shape, generator=rng, dtype=torch.float64) for shape in ((4, 3), (1, 3), (3,))]
    gradients = [
        [scale.view(-1, *[1] * (p.ndim - 1)) * 10.0 ** (2 * torch.rand((), generator=rng) - 1) * torch.randn(
            p.shape, generator=rng, dtype=torch.float64) for p in start]
        for _ in range(steps)
    ]  # fmt: skip

    def moved(begin: list[Tensor], by: list[list[Tensor]]) -> list[Tensor]:
        parameters = [p.clone().requires_grad_() for p in begin]
        optimizer = make(parameters)
        for step in by:
            for parameter, gradient in zip(parameters, step, strict=True):
                parameter.grad = gradient.clone()
            optimizer.step()
        return [p.detach() for p in parameters]

    together = moved(start, gradients)
    for seed in range(len(scale)):
        alone = moved([p[seed] for p in start], [[g[seed] for g in step] for step in gradients])
        for block, own in zip(together, alone, strict=True):
            if not torch.allclose(block[seed], own, rtol=1e-9, atol=1e-12):
                return True
    return False
