"""Convolution, batch norm and ReLU: what each way of writing the block costs, case by case.

Every case is timed in evaluation, in training forward, and in training forward and backward, all variants against each
other in one run. A variant is compared with a float64 reference before it is timed. The roofline says how near a case
is to what the machine can do: its seconds against max(FLOPs / GEMM peak, bytes / copy bandwidth), both measured here.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bench.conv_bn import CASES, MODES, Case, check, draw, kept_bytes, stock, variants
from bench.timing import alternate, machine


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_block(benchmark, case: Case, mode: str, device: torch.device, pytestconfig: pytest.Config):
    world = draw(case, device)
    reference = stock(case, mode, world.to(torch.float64))
    steps = variants(case, mode, world, with_compile=pytestconfig.getoption("compile"))
    for name, step in steps.items():
        # Rounding by e moves a share of about e of the entries across the kink, which alone is sqrt(e) of the norm.
        check(step, reference, tolerance=0.1 if "bf16" in name else 0.01)
    # bfloat16 can be ten times slower and would leave the others few rounds: it is timed apart.
    half = alternate({"stock bf16": steps.pop("stock bf16")}, device=device, seconds=0.5)
    timed = alternate(steps, device=device, rounds=30, seconds=4.0)
    best_stock = min((name for name in steps if name in ("stock NCHW", "stock channels-last")), key=timed.median)
    limit = machine(device).bound(flops=case.flops(mode), bytes=case.bytes(mode))
    benchmark.group = f"conv/BN/ReLU, {mode}"
    benchmark.extra_info.update(
        kind="conv/BN",
        name=str(case),
        mode=mode,
        seconds={name: timed.median(name) for name in steps} | {"stock bf16": half.median("stock bf16")},
        best_stock=best_stock,
        ours_over_best_stock=timed.ratio("ours", to=best_stock),
        ours_over_stock_nchw=timed.ratio("ours", to="stock NCHW"),
        flops=case.flops(mode),
        bytes=case.bytes(mode),
        gemm_peak=machine(device).flops,
        copy_bandwidth=machine(device).bandwidth,
        of_the_limit=limit / timed.median("ours"),
        memory_format="channels-last" if _is_channels_last(steps["ours"]()[0]) else "NCHW",
    )
    if device.type != "cpu":
        cold = alternate(steps, device=device, cold=True)
        benchmark.extra_info["seconds_cold"] = {name: cold.median(name) for name in steps}
    if mode == "forward":
        benchmark.extra_info["kept_bytes"] = {name: kept_bytes(step) for name, step in steps.items()}
        benchmark.extra_info["least_bytes"] = 4 * (case.inputs + case.weights)
    benchmark.pedantic(steps["ours"], rounds=3)


def _is_channels_last(tensor: Tensor) -> bool:
    return tensor.is_contiguous(memory_format=torch.channels_last)
