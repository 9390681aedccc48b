"""Exact gates: what a case costs that needs no clock, against a committed table.

FLOPs, operators dispatched, bytes kept for the backward pass, the memory format of the output, and functions that
torch's compiler compiles although the case is warm (none, unless somebody brings `torch.compile` in). A gain fails too,
until the table is updated: nobody would notice its loss afterwards otherwise.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

from bench.cases import Step, tracked
from bench.conv_bn import kept_bytes

TABLE = Path(__file__).with_name("gates.json")


@dataclass(frozen=True)
class Counts:
    """What one call of a case costs."""

    flops: int
    operators: int
    kept_bytes: int
    memory_format: str
    recompiled: int


class _Dispatched(TorchDispatchMode):
    """Counts the operators that reach a backend."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))


def _fused_convolution(x: Any, weight: Any, *_: Any, out_shape: Any = None, **__: Any) -> int:
    """The FLOPs of the convolution that takes bias and ReLU along, which torch's counter does not know."""
    return conv_flop_count(x, weight, out_shape)


def count(step: Step) -> Counts:
    """Run a case's step until it is warm, then once under each counter."""
    step()
    output = _first(step())
    compiled = _compiled()
    step()
    recompiled = _compiled() - compiled
    fused = {torch.ops.mkldnn._convolution_pointwise: _fused_convolution}
    with FlopCounterMode(display=False, custom_mapping=fused) as flops:
        step()
    with _Dispatched() as dispatched:
        step()
    channels_last = output.ndim == 4 and output.is_contiguous(memory_format=torch.channels_last)
    memory_format = "channels-last" if channels_last else "contiguous" if output.is_contiguous() else "other"
    return Counts(flops.get_total_flops(), dispatched.count, kept_bytes(step), memory_format, recompiled)


def _compiled() -> int:
    """How many functions torch's compiler has compiled so far in this process; it is not loaded to ask."""
    compiler = sys.modules.get("torch._dynamo.utils")
    return compiler.counters["frames"]["total"] if compiler else 0


def count_all() -> dict[str, Counts]:
    """Every tracked case."""
    return {name: count(case.make()) for name, case in tracked().items()}


def differences(expected: Mapping[str, Counts], counted: Mapping[str, Counts]) -> list[str]:
    """A sentence for each number that is not what the table says."""
    sentences = []
    for name in dict.fromkeys([*expected, *counted]):
        if name not in counted:
            sentences.append(f"{name}: in the table, but no longer a case.")
        elif name not in expected:
            sentences.append(f"{name}: a case that the table does not have.")
        else:
            before, now = asdict(expected[name]), asdict(counted[name])
            sentences += [
                f"{name}: {what.replace('_', ' ')} {now[what]}, not {before[what]}."
                for what in before
                if before[what] != now[what]
            ]
    return sentences


def read(path: Path = TABLE) -> dict[str, Counts]:
    return {name: Counts(**entry) for name, entry in json.loads(path.read_text(encoding="utf-8")).items()}


def write(counted: Mapping[str, Counts], path: Path = TABLE) -> None:
    table = {name: asdict(counts) for name, counts in counted.items()}
    path.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


def _first(result: object) -> Tensor:
    while isinstance(result, tuple):
        result = result[0]
    assert isinstance(result, Tensor)
    return result
