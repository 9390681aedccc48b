"""How much faster a block of seeds trains as one net than one by one.

The one-by-one loop is what everybody writes: for each seed an `nn.Sequential`, a `torch.optim` optimizer and a Python
loop over steps. Both train the same worlds from the same parameters in the same batch order, and both are checked to
agree before they are timed. Each workload is a group of its own in the table: the number in brackets is the ratio.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from claimlab.data.digits import CLASSES, digits
from claimlab.data.moons import two_moons
from claimlab.measure.fit import cross_entropy, logistic
from claimlab.nets import MLP
from claimlab.seeds import Seeds
from claimlab.train import SGD, train


@dataclass(frozen=True)
class Workload:
    """One block of a claim: net, data, recipe, and a budget short enough to time."""

    name: str
    net: MLP
    x: Tensor
    y: Tensor
    loss: Callable[[Tensor, Tensor], Tensor]
    lr: float
    epochs: int
    batch: int | None
    seeds: Seeds

    def optimizer(self, parameters: list[Tensor]) -> SGD:
        return SGD(parameters, lr=self.lr, momentum=0.9)


def random_labels(size: int = 16) -> Workload:
    """A block of generalization/random-labels-are-memorised (H15)."""
    seeds = Seeds("bench/random-labels", 1, "bench", tuple(range(size)))
    world = digits(seeds, n=512, n_test=1)
    labels = seeds.integers("labels", 512, high=CLASSES)
    net = MLP((64, 64, 64, CLASSES))
    return Workload("H15", net, world.x, labels, cross_entropy, 0.03, 4, 32, seeds)


def wide_nets(size: int = 16) -> Workload:
    """A block of optimization/wide-nets-reach-zero-training-error (D6)."""
    seeds = Seeds("bench/wide-nets", 1, "bench", tuple(range(size)))
    world = two_moons(seeds, n=30, n_test=2)
    return Workload("D6", MLP((2, 256, 1)), world.x, world.y, logistic, 0.5, 100, None, seeds)


def one_block(work: Workload) -> list[Tensor]:
    """All seeds at once; returns the trained parameters, `[S, ...]` each."""
    fit = train(
        work.seeds, work.net, work.net.init(work.seeds), work.x, work.y,
        loss=work.loss, optimizer=work.optimizer, epochs=work.epochs, batch=work.batch,
    )  # fmt: skip
    return fit.parameters


def one_by_one(work: Workload) -> list[Tensor]:
    """The plain loop over seeds; returns the same parameters as `one_block`."""
    stacked = work.net.init(work.seeds)
    members = []
    for member in range(len(work.seeds)):
        model = sequential(work.net, [parameter[member] for parameter in stacked])
        loss_function = nn.CrossEntropyLoss() if work.loss is cross_entropy else nn.BCEWithLogitsLoss()
        optimizer = torch.optim.SGD(model.parameters(), lr=work.lr, momentum=0.9)
        x, y = work.x[member], work.y[member]
        for epoch in range(1, work.epochs + 1):
            batches: tuple[Tensor | slice, ...] = (slice(None),)
            if work.batch:
                order = work.seeds.take([member]).permutation(f"order.{epoch}", len(x))[0]
                batches = tuple(order.split(work.batch))
            for chosen in batches:
                optimizer.zero_grad()
                outputs = model(x[chosen])
                targets = y[chosen] if outputs.shape[-1] > 1 else y[chosen, None].to(outputs.dtype)
                loss_function(outputs, targets).backward()
                optimizer.step()
        members.append([p.detach().T if p.ndim == 2 else p.detach()[None] for p in model.parameters()])
    return [torch.stack(same) for same in zip(*members, strict=True)]


def sequential(net: MLP, parameters: list[Tensor]) -> nn.Sequential:
    """One member of an MLP with a bias as an ordinary module, its weights `[fan_in, fan_out]` transposed."""
    layers: list[nn.Module] = []
    for weight, bias in zip(parameters[::2], parameters[1::2], strict=True):
        linear = nn.Linear(weight.shape[0], weight.shape[1])
        with torch.no_grad():
            linear.weight.copy_(weight.T)
            linear.bias.copy_(bias[0])
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


WORKLOADS = pytest.mark.parametrize("make", [random_labels, wide_nets], ids=["H15", "D6"])


@WORKLOADS
def test_same_result(make):
    """What is timed computes the same thing: in float64 the two loops agree to rounding."""
    work = make(3)
    work = Workload(**{**vars(work), "x": work.x.double(), "seeds": work.seeds.to(dtype=torch.float64)})
    previous = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        for together, alone in zip(one_block(work), one_by_one(work), strict=True):
            torch.testing.assert_close(together, alone, rtol=1e-8, atol=1e-8)
    finally:
        torch.set_default_dtype(previous)


@WORKLOADS
@pytest.mark.parametrize("loop", [one_by_one, one_block])
def test_speed(benchmark, make, loop):
    work = make()
    benchmark.group = f"{work.name}: {len(work.seeds)} seeds"
    benchmark.pedantic(partial(loop, work), rounds=5 if loop is one_block else 2, warmup_rounds=1)
