"""What every benchmark shares: the device, all of the machine's threads, and no subnormal numbers."""

from __future__ import annotations

import os
from typing import Any

import pytest
import torch


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--compile",
        action="store_true",
        help="time torch.compile of the stock conv/BN block too (compiling costs tens of seconds a case on a CPU)",
    )


def pytest_configure(config: pytest.Config) -> None:
    if getattr(config.option, "numprocesses", None) or hasattr(config, "workerinput"):
        raise pytest.UsageError("Benchmarks measure time and want the machine for themselves; drop -n.")


@pytest.fixture(scope="session", autouse=True)
def settings() -> None:
    """All cores, and subnormals flushed: they make convolutions 5 to 50 times slower and say nothing about speed."""
    torch.set_num_threads(os.cpu_count() or 1)
    torch.set_flush_denormal(True)


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    machine_info["torch"] = torch.__version__
    machine_info["threads"] = torch.get_num_threads()
    machine_info["device"] = config.getoption("claims_device")


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> torch.device:
    """Where to measure: what --claims-device names."""
    name = request.config.getoption("claims_device")
    return torch.device("cpu" if name == "all" else name)
