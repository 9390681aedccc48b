"""One training step of S seeds: as a block, one by one, and by `torch.func.vmap`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap

from claimlab.nets import MLP, conv_bn_relu, gru, mean_pool, pack
from claimlab.train import SGD

LR, MOMENTUM = 0.01, 0.9
Step = Callable[[], Tensor]
"""Trains every seed by one step; returns the losses before it, `[S]`."""


class Dense(nn.Sequential):
    """Two inputs, two hidden layers, one output."""

    def __init__(self, width: int) -> None:
        super().__init__(
            nn.Linear(2, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1)
        )  # fmt: skip


class Convolutional(nn.Sequential):
    """Two blocks of convolution, batch norm and ReLU, then the mean over space and a linear layer."""

    def __init__(self, channels: int) -> None:
        layers: list[nn.Module] = []
        for inputs in (1, channels):
            # Without running statistics, which vmap cannot update.
            norm = nn.BatchNorm2d(channels, track_running_stats=False)
            layers += [nn.Conv2d(inputs, channels, 3, padding=1, bias=False), norm, nn.ReLU()]
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


class Recurrent(nn.Module):
    """A GRU over a signal, and a linear layer on its last state."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.gru, self.readout = nn.GRU(1, hidden, batch_first=True), nn.Linear(hidden, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.readout(self.gru(x)[0][:, -1])


@dataclass(frozen=True)
class Workload:
    """S members with data of their own, `[S, N, ...]`, and the block that computes them together."""

    name: str
    make: Callable[[], nn.Module]
    x: Tensor
    y: Tensor
    block: Callable[[list[Tensor], Tensor], Tensor]
    from_modules: Callable[[dict[str, Tensor]], list[Tensor]]
    needs: float

    @property
    def seeds(self) -> int:
        return len(self.x)


def loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy, or mean squared error for targets that are not labels."""
    if targets.is_floating_point():
        return F.mse_loss(outputs, targets)
    return F.cross_entropy(outputs, targets)


def dense(width: int, seeds: int, needs: float, dtype: torch.dtype) -> Workload:
    x, y = torch.randn(seeds, 30, 2, dtype=dtype), torch.randn(seeds, 30, 1, dtype=dtype)
    net = MLP((2, width, width, 1))

    def from_modules(state: dict[str, Tensor]) -> list[Tensor]:
        return [t.transpose(1, 2) if t.ndim == 3 else t[:, None] for t in state.values()]

    return Workload(f"MLP, width {width}", lambda: Dense(width), x, y, net, from_modules, needs)


def convolutional(channels: int, seeds: int, needs: float, dtype: torch.dtype) -> Workload:
    x, y = torch.randn(seeds, 16, 1, 8, 8, dtype=dtype), torch.randint(10, (seeds, 16))

    def block(parameters: list[Tensor], x: Tensor) -> Tensor:
        *blocks, weight, bias = parameters
        packed = pack(x)
        for w, gain, shift in zip(blocks[::3], blocks[1::3], blocks[2::3], strict=True):
            packed = conv_bn_relu(packed, w, gain, shift, None, training=True, padding=1)
        return torch.baddbmm(bias, mean_pool(packed, len(weight)), weight)

    def from_modules(state: dict[str, Tensor]) -> list[Tensor]:
        *blocks, weight, bias = state.values()
        return [*blocks, weight.transpose(1, 2), bias[:, None]]

    return Workload(f"conv/BN, {channels} channels", lambda: Convolutional(channels), x, y, block, from_modules, needs)


def recurrent(hidden: int, seeds: int, needs: float, dtype: torch.dtype) -> Workload:
    x, y = torch.randn(seeds, 16, 40, 1, dtype=dtype), torch.randint(10, (seeds, 16))

    def block(parameters: list[Tensor], x: Tensor) -> Tensor:
        *cell, weight, bias = parameters
        return torch.baddbmm(bias, gru(cell, x)[1], weight)

    def from_modules(state: dict[str, Tensor]) -> list[Tensor]:
        return [t.transpose(1, 2) if t.ndim == 3 else t[:, None] for t in state.values()]

    return Workload(f"GRU, {hidden} units, 40 steps", lambda: Recurrent(hidden), x, y, block, from_modules, needs)


def as_block(work: Workload) -> Step:
    parameters = [
        t.detach().clone(memory_format=torch.contiguous_format).requires_grad_()
        for t in work.from_modules(stack_module_state(members(work))[0])
    ]
    optimizer = SGD(parameters, lr=LR, momentum=MOMENTUM)

    def step() -> Tensor:
        optimizer.zero_grad()
        outputs = work.block(parameters, work.x)
        if work.y.is_floating_point():
            losses = (outputs - work.y).square().mean(dim=(1, 2))
        else:
            losses = F.cross_entropy(outputs.transpose(1, 2), work.y, reduction="none").mean(dim=1)
        losses.sum().backward()
        optimizer.step()
        return losses.detach()

    return step


def one_by_one(work: Workload) -> Step:
    modules = members(work)
    optimizers = [torch.optim.SGD(module.parameters(), lr=LR, momentum=MOMENTUM) for module in modules]

    def step() -> Tensor:
        losses = []
        for module, optimizer, x, y in zip(modules, optimizers, work.x, work.y, strict=True):
            optimizer.zero_grad()
            own = loss(module(x), y)
            own.backward()
            optimizer.step()
            losses.append(own.detach())
        return torch.stack(losses)

    return step


def by_vmap(work: Workload) -> Step:
    modules = members(work)
    stacked, buffers = stack_module_state(modules)
    parameters = {name: t.detach().clone().requires_grad_() for name, t in stacked.items()}
    optimizer = SGD(list(parameters.values()), lr=LR, momentum=MOMENTUM)

    def own_loss(parameters: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return loss(functional_call(modules[0], (parameters, buffers), (x,)), y)

    together = vmap(grad_and_value(own_loss))

    def step() -> Tensor:
        gradients, losses = together(dict(parameters), buffers, work.x, work.y)
        for name, parameter in parameters.items():
            parameter.grad = gradients[name].detach()
        optimizer.step()
        return losses.detach()

    return step


def members(work: Workload) -> list[nn.Module]:
    """The same modules every time."""
    torch.manual_seed(0)
    return [work.make().to(work.x.dtype) for _ in range(work.seeds)]


def workload(name: str, dtype: torch.dtype = torch.float32) -> Workload:
    torch.manual_seed(1)
    return {
        "MLP-64": lambda: dense(64, seeds=64, needs=25, dtype=dtype),
        "conv-16": lambda: convolutional(16, seeds=16, needs=5, dtype=dtype),
        "conv-32": lambda: convolutional(32, seeds=16, needs=2, dtype=dtype),
        "GRU-32": lambda: recurrent(32, seeds=16, needs=5, dtype=dtype),
    }[name]()


ARMS = {"one by one": one_by_one, "vmap": by_vmap, "block": as_block}
WORKLOADS = ("MLP-64", "conv-16", "conv-32", "GRU-32")
