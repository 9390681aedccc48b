"""One training step of S seeds: as a block, one by one, and by `torch.func.vmap`.

One by one is what everybody writes, an `nn.Module` and a `torch.optim.SGD` a seed; vmap is torch's own answer for
ensembles. The three train the same members on the same data, which is checked in float64, and are timed in turn in
one run. Momentum SGD in all of them.
"""

from __future__ import annotations

import pytest
import torch

from bench.steps import ARMS, WORKLOADS, workload
from bench.timing import alternate


@pytest.mark.parametrize("name", WORKLOADS)
def test_step(benchmark, name: str):
    work = workload(name, torch.float64)
    steps = {arm: make(work) for arm, make in ARMS.items()}
    losses = {arm: torch.stack([step() for _ in range(3)]) for arm, step in steps.items()}
    for arm in ("vmap", "block"):
        torch.testing.assert_close(losses[arm], losses["one by one"], rtol=1e-8, atol=1e-8)

    work = workload(name)
    steps = {arm: make(work) for arm, make in ARMS.items()}
    timed = alternate(steps, device=work.x.device, rounds=40, seconds=10.0)
    benchmark.group = "one training step of all seeds"
    benchmark.extra_info.update(
        kind="step",
        name=work.name,
        seeds=work.seeds,
        needs=work.needs,
        seconds={arm: timed.median(arm) for arm in steps},
        over_one_by_one=timed.ratio("one by one", to="block"),
        over_vmap=timed.ratio("vmap", to="block"),
    )
    benchmark.pedantic(steps["block"], rounds=3)
