"""The tracked cases: what `python -m bench compare` times and `python -m bench gates` counts.

They are the conv/BN cases and the training steps of the tables, with fewer images where a call would take longer than
some ten milliseconds on one thread. Every case is the library's own way alone.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch

from bench import conv_bn, steps

Step = Callable[[], object]


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
    cases = [_block(case, mode) for case in conv_bn.CASES for mode in ("eval", "train")]
    cases += [_step(name) for name in steps.WORKLOADS]
    return {case.name: case for case in cases}


def _block(whole: conv_bn.Case, mode: str) -> Tracked:
    case = replace(whole, images=min(whole.images, 8 if whole.channels == (16, 16) else 1))

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
        arms = [arm(steps.workload(name, torch.float64)) for arm in (steps.as_block, steps.one_by_one)]
        together, alone = (torch.stack([step() for _ in range(2)]) for step in arms)
        torch.testing.assert_close(together, alone, rtol=1e-8, atol=1e-8)

    told = "".join(map(inspect.getsource, (steps.workload, steps.as_block, steps.dense, steps.convolutional)))
    return Tracked(f"{name}, step", make, check, name + told)


def _make_step(name: str) -> Step:
    return steps.as_block(steps.workload(name))
