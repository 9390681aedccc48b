"""What every benchmark shares: the device, all of the machine's threads, and no subnormal numbers."""

from __future__ import annotations

import os

import pytest
import torch


def pytest_configure(config: pytest.Config) -> None:
    if getattr(config.option, "numprocesses", None) or hasattr(config, "workerinput"):
        raise pytest.UsageError("Benchmarks measure time and want the machine for themselves; drop -n.")


@pytest.fixture(scope="session", autouse=True)
def settings() -> None:
    """All cores, and subnormals flushed: they make convolutions 5 to 50 times slower and say nothing about speed."""
    torch.set_num_threads(os.cpu_count() or 1)
    torch.set_flush_denormal(True)


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> torch.device:
    """Where to measure: what --device names."""
    name = request.config.getoption("device")
    return torch.device("cpu" if name == "all" else name)
