"""What it costs to find and read every claim, beside what it costs to load torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch

from bench.timing import alternate

ROOT = Path(__file__).parents[1]


def run(*arguments: str) -> str:
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout


def test_start_up(benchmark):
    """`pytest claims --collect-only`: it imports every claim module, and with them torch."""
    collect = ("-m", "pytest", "claims", "--collect-only", "-q")
    listed = sum("tests  claims/" in line for line in run(*collect).splitlines())
    assert listed == len(list((ROOT / "claims").glob("*/test_*.py")))
    steps = {
        "import claimlab": lambda: run("-c", "import claimlab"),
        "import torch": lambda: run("-c", "import torch"),
        "collect": lambda: run(*collect),
    }
    timed = alternate(steps, device=torch.device("cpu"), rounds=5, seconds=30.0)
    benchmark.group = "start-up"
    benchmark.extra_info.update(
        kind="start-up",
        name="pytest claims --collect-only",
        claims=listed,
        seconds={step: timed.median(step) for step in steps},
        over_import_torch=timed.ratio("collect", to="import torch"),
    )
    benchmark.pedantic(steps["collect"], rounds=2)
