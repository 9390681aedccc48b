"""Timing several variants of one computation against each other, and what the machine itself can do."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import torch

BLOCK_SECONDS = 0.01


@dataclass(frozen=True)
class Timed:
    """Seconds a call of each variant, one entry a round; variants of one round were timed next to each other."""

    rounds: dict[str, list[float]]

    def median(self, variant: str) -> float:
        """Seconds a call."""
        return statistics.median(self.rounds[variant])

    def ratio(self, variant: str, to: str) -> float:
        """How many times slower `variant` is than `to`: the median of the ratios round by round."""
        pairs = zip(self.rounds[variant], self.rounds[to], strict=True)
        return statistics.median(one / other for one, other in pairs)


def alternate(
    variants: Mapping[str, Callable[[], object]],
    *,
    device: torch.device,
    rounds: int = 15,
    seconds: float = 2.0,
    cold: bool = False,
) -> Timed:
    """Time all variants in short blocks, in an order drawn anew each round.

    A round is cut to as many calls as fit into `BLOCK_SECONDS`, and there are as many rounds as fit into `seconds`
    (at least five, at most `rounds`), so that a drift of the machine meets all variants alike. `cold` (accelerators
    alone) overwrites the caches before every call.
    """
    measure = _time_cold if cold else _time
    calls = {}
    for name, call in variants.items():
        measure(call, 1, device)  # warm up: kernels chosen, memory mapped
        calls[name] = max(1, int(BLOCK_SECONDS / max(measure(call, 1, device), 1e-7)))
    order, shuffle = list(variants), random.Random(0)
    measured: dict[str, list[float]] = {name: [] for name in variants}
    started = time.perf_counter()
    for done in range(rounds):
        if done >= 5 and time.perf_counter() - started > seconds:
            break
        shuffle.shuffle(order)
        for name in order:
            measured[name].append(measure(variants[name], calls[name], device))
    return Timed(measured)


def _time(call: Callable[[], object], times: int, device: torch.device) -> float:
    """Seconds a call, by the device's own events where it is not the CPU."""
    if device.type == "cpu":
        started = time.perf_counter()
        for _ in range(times):
            call()
        return (time.perf_counter() - started) / times
    begin, end = torch.Event(device, enable_timing=True), torch.Event(device, enable_timing=True)
    begin.record()
    for _ in range(times):
        call()
    end.record()
    torch.accelerator.synchronize(device)
    return begin.elapsed_time(end) / 1000 / times


def _time_cold(call: Callable[[], object], times: int, device: torch.device) -> float:
    """Seconds a call on an accelerator whose caches hold none of the call's tensors."""
    scrub = torch.empty(1 << 28, dtype=torch.uint8, device=device)  # larger than any cache there is
    pairs = [[torch.Event(device, enable_timing=True) for _ in range(2)] for _ in range(times)]
    for begin, end in pairs:
        scrub.zero_()
        begin.record()
        call()
        end.record()
    torch.accelerator.synchronize(device)
    return sum(begin.elapsed_time(end) for begin, end in pairs) / 1000 / times


@dataclass(frozen=True)
class Machine:
    """What this machine can do at best, measured in the same run: the roofline's two lines."""

    flops: float
    bandwidth: float

    def bound(self, *, flops: float, bytes: float) -> float:
        """The fewest seconds a computation can take here: limited by arithmetic or by memory."""
        return max(flops / self.flops, bytes / self.bandwidth)


@cache
def machine(device: torch.device) -> Machine:
    """Peak of a float32 matrix product of 1536 (FLOP/s), and of a copy of 64 MiB (bytes read and written a second)."""
    a, b = (torch.randn(1536, 1536, device=device) for _ in range(2))
    source, target = torch.randn(1 << 24, device=device), torch.empty(1 << 24, device=device)
    timed = alternate({"gemm": lambda: a @ b, "copy": lambda: target.copy_(source)}, device=device, rounds=9)
    return Machine(
        flops=2 * 1536**3 / min(timed.rounds["gemm"]),
        bandwidth=2 * source.numel() * source.element_size() / min(timed.rounds["copy"]),
    )
