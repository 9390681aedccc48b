"""The training loop: one optimizer step moves all seeds, and a seed that has met its goal leaves the block.

The loss that is differentiated is the sum over seeds, so each seed's gradient is its own, and SGD, momentum and Adam
update every number by itself. An optimizer that mixes the entries of a tensor, such as Muon or one with a global
gradient norm, is given to each seed on its own (`claimlab.parts.lifting`), which is slower.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from claimlab.parts.lifting import MakeOptimizer, OneASeed, lift_optimizer
from claimlab.seeds import Seeds

Net = Callable[[list[Tensor], Tensor], Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]
Goal = Callable[[Tensor, Tensor], Tensor]


@runtime_checkable
class NoisyNet(Protocol):
    """A net that is another one at every step of training, such as one with dropout."""

    def __call__(self, parameters: list[Tensor], x: Tensor) -> Tensor:
        """The outputs in evaluation."""
        ...

    def at_step(self, seeds: Seeds, step: int) -> Net:
        """The net of a step, counted from 1; what is random in it is drawn from the seeds under the step's name."""
        ...


@dataclass(frozen=True)
class Fit:
    """Trained parameters (`[S, ...]` each), the epochs each seed took (int64 `[S]`), who met the goal (bool `[S]`)."""

    parameters: list[Tensor]
    epochs: Tensor
    met: Tensor


def train(
    seeds: Seeds,
    net: Net,
    parameters: list[Tensor],
    x: Tensor,
    y: Tensor,
    *,
    loss: Loss,
    optimizer: MakeOptimizer,
    epochs: int,
    batch: int | None = None,
    goal: Goal | None = None,
    check_every: int = 1,
) -> Fit:
    """Train `net` on inputs `x` (`[S, N, d]`) and targets `y` (`[S, N]`) for at most `epochs` passes.

    `loss` and `goal` map outputs and targets to one value a seed, `[S]`. Without `batch` an epoch is one full-batch
    step; with it, N // batch steps over an order that each seed draws anew (`seeds`, name "order.<epoch>"), the
    remainder left out. `optimizer` makes one from the parameters, e.g. `partial(parts().sgd, lr=0.1)`; an optimizer of
    `torch.optim`, or any with `zero_grad` and `step`, does as well.

    The goal is looked at on the whole training set after every `check_every` epochs, by a `NoisyNet` in evaluation; a
    seed that meets it stops there, and the others train on without it. The parameters passed in are not changed.
    """
    if batch is not None and batch > x.shape[1]:
        raise ValueError(f"a batch of {batch} is larger than the {x.shape[1]} samples")
    working = [parameter.detach().clone().requires_grad_() for parameter in parameters]
    final = [parameter.detach().clone() for parameter in parameters]
    optim = lift_optimizer(optimizer, working)
    here = torch.arange(len(seeds), device=x.device)  # the position in the block of each member still training
    took = torch.full((len(seeds),), epochs, device=x.device)
    met = torch.zeros(len(seeds), dtype=torch.bool, device=x.device)
    noisy, step = net if isinstance(net, NoisyNet) else None, 0
    for epoch in range(1, epochs + 1):
        for inputs, targets in _batches(seeds, x, y, batch, epoch):
            step += 1
            now = noisy.at_step(seeds, step) if noisy else net
            optim.zero_grad()
            loss(now(working, inputs), targets).sum().backward()
            optim.step()
        if goal is None or epoch % check_every:
            continue
        with torch.no_grad():
            done = goal(net(working, x), y)
        if done.any():
            took[here[done]], met[here[done]] = epoch, True
            for whole, part in zip(final, working, strict=True):
                whole[here[done]] = part.detach()[done]
            stay = (~done).nonzero()[:, 0]
            if not len(stay):
                return Fit(final, took, met)
            working, optim = _narrow(working, optim, optimizer, stay)
            seeds, here, x, y = seeds.take(stay), here[stay], x[stay], y[stay]
    for whole, part in zip(final, working, strict=True):
        whole[here] = part.detach()
    return Fit(final, took, met)


def _batches(seeds: Seeds, x: Tensor, y: Tensor, batch: int | None, epoch: int):
    if batch is None:
        yield x, y
        return
    order = seeds.permutation(f"order.{epoch}", x.shape[1])
    members = torch.arange(len(seeds), device=x.device)[:, None]
    for first in range(0, x.shape[1] - batch + 1, batch):
        chosen = order[:, first : first + batch]
        yield x[members, chosen], y[members, chosen]


def _narrow(working: list[Tensor], optim: Any, make: MakeOptimizer, stay: Tensor) -> tuple[list[Tensor], Any]:
    """The members that stay, with what the optimizer remembers of them."""
    kept = [parameter.detach()[stay].requires_grad_() for parameter in working]
    if isinstance(optim, OneASeed):
        return kept, optim.take(kept, stay)
    fresh = make(kept)
    for old, new in zip(working, kept, strict=True):
        fresh.state[new] = {
            name: value[stay] if isinstance(value, Tensor) and value.shape[:1] == old.shape[:1] else value
            for name, value in optim.state[old].items()
        }
    for old, new in zip(getattr(optim, "param_groups", ()), getattr(fresh, "param_groups", ()), strict=True):
        new.update({name: value for name, value in old.items() if name != "params"})  # some count their steps there
    return kept, fresh
