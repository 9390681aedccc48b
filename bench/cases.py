"""The tracked cases: what `python -m bench compare` times and `python -m bench gates` counts.

They are the conv/BN cases and the training steps of the tables, made smaller so that a call takes a few milliseconds at
most on one thread (the shorter, the less a shared machine's noise gets in), and two nets with other norms. Every case
is the library's own way alone.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import nn

from bench import conv_bn, steps
from claimlab.nets import CNN, encoder_layer, encoder_parameters
from claimlab.parts import lift
from claimlab.seeds import Seeds

Step = Callable[[], object]
Net = Callable[[list[torch.Tensor]], torch.Tensor]


@dataclass(frozen=True)
class Tracked:
    """A case: `make()` draws its tensors and returns the step; `check()` compares the step with a reference."""

    name: str
    make: Callable[[], Step]
    check: Callable[[], None]
    told: str

    @property
    def digest(self) -> str:
        """Changes with what the case computes, so that two revisions of a case are never compared with each other."""
        return hashlib.sha256(self.told.encode()).hexdigest()[:12]


def settle() -> None:
    """What must be set before a case is timed: one thread, and no subnormal numbers, which are slow."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


def tracked() -> dict[str, Tracked]:
    """Every case by its name."""
    cases = [_block(case, mode) for case in _BLOCKS for mode in ("eval", "train")]
    cases += [_step(name) for name in steps.WORKLOADS]
    cases += [_net("group norm, backward", _group_norm), _net("encoder, backward", _encoder)]
    return {case.name: case for case in cases}


_BLOCKS = (
    conv_bn.Case((3, 64), 56, 7, stride=2, images=1),
    conv_bn.Case((64, 64), 14, 3, images=1),
    conv_bn.Case((64, 256), 14, 1, images=1),
    conv_bn.Case((256, 64), 14, 1, images=1),
    conv_bn.Case((128, 128), 14, 3, stride=2, images=1),
    conv_bn.Case((256, 256), 4, 3, images=1),
    conv_bn.Case((144, 144), 28, 3, images=1, groups=144),
    conv_bn.Case((16, 16), 16, 3, images=8),
    conv_bn.Case((64, 64), 28, 1, images=1),
)


def _block(case: conv_bn.Case, mode: str) -> Tracked:
    def make() -> conv_bn.Step:
        world = conv_bn.draw(case, torch.device("cpu")).to(torch.float32, torch.channels_last)
        return conv_bn.ours(case, mode, world)

    def check() -> None:
        world = conv_bn.draw(case, torch.device("cpu"))
        conv_bn.check(make(), conv_bn.stock(case, mode, world.to(torch.float64)), tolerance=0.01)

    told = f"{case!r} {mode} {inspect.getsource(conv_bn.draw)} {inspect.getsource(conv_bn.ours)}"
    return Tracked(f"{case}, {mode}", make, check, told)


def _step(name: str) -> Tracked:
    make = partial(_make_step, name)

    def check() -> None:
        arms = [arm(_workload(name, torch.float64)) for arm in (steps.as_block, steps.one_by_one)]
        together, alone = (torch.stack([step() for _ in range(2)]) for step in arms)
        torch.testing.assert_close(together, alone, rtol=1e-8, atol=1e-8)

    made_by = (steps.workload, steps.as_block, steps.dense, steps.convolutional, steps.recurrent, _workload)
    told = "".join(map(inspect.getsource, made_by))
    return Tracked(f"{name}, step", make, check, name + told)


def _make_step(name: str) -> Step:
    return steps.as_block(_workload(name))


def _workload(name: str, dtype: torch.dtype = torch.float32) -> steps.Workload:
    """The workload with a quarter of its seeds, half of its samples and, of a signal, a quarter of its length."""
    whole = steps.workload(name, dtype)
    seeds, samples = len(whole.x) // 4, whole.x.shape[1] // 2
    x = whole.x[:seeds, :samples]
    return replace(whole, x=x[:, :, : x.shape[2] // 4] if name.startswith("GRU") else x, y=whole.y[:seeds, :samples])


def _net(name: str, draw: Callable[[torch.dtype], tuple[list[torch.Tensor], Net]]) -> Tracked:
    """Forward and backward of a net, the sum of whose squared outputs is the loss."""

    def make(dtype: torch.dtype = torch.float32) -> Callable[[], torch.Tensor]:
        parameters, net = draw(dtype)
        for parameter in parameters:
            parameter.requires_grad_()

        def step() -> torch.Tensor:
            loss = net(parameters).square().sum()
            torch.autograd.grad(loss, parameters)
            return loss

        return step

    def check() -> None:
        torch.testing.assert_close(make()().double(), make(torch.float64)(), rtol=1e-4, atol=0)

    return Tracked(name, make, check, "".join(map(inspect.getsource, (draw, _net, _seeds))))


def _group_norm(dtype: torch.dtype) -> tuple[list[torch.Tensor], Net]:
    seeds, net = _seeds(dtype), CNN((1, 16, 16), classes=10, norm=partial(nn.GroupNorm, 4))
    x = seeds.normal("x", 4, 1, 8, 8)
    return net.init(seeds), lambda parameters: net(parameters, x)


def _encoder(dtype: torch.dtype) -> tuple[list[torch.Tensor], Net]:
    seeds = _seeds(dtype)
    x, norm = seeds.normal("x", 4, 16, 32), lift(nn.LayerNorm, 32)
    parameters = encoder_parameters(seeds, 32, 64, norm=norm)
    return parameters, lambda parameters: encoder_layer(parameters, x, heads=4, norm=norm)


def _seeds(dtype: torch.dtype) -> Seeds:
    return Seeds("bench", 1, "bench", tuple(range(4)), dtype=dtype)
