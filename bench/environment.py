"""The conditions a comparison is measured under: fixed where they can be, recorded where they cannot."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

from bench.worker import processor_seconds

THREADS = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
"""Both revisions run on one thread: what a second adds is the machine's business, and it doubles the noise."""

_LOCK = Path(tempfile.gettempdir()) / "claimlab-bench.lock"
_POWER = Path("/sys/class/power_supply")

Say = Callable[[str], None]
"""Where a long measurement tells how far it is."""


class UnfitError(Exception):
    """Why nothing was measured, in one sentence."""


@dataclass(frozen=True)
class Meter:
    """A reading of the machine: CPU time stolen by the host and all CPU time so far (seconds), and the load."""

    stolen: float
    total: float
    load: float

    @classmethod
    def read(cls) -> Meter:
        seconds = processor_seconds()
        return cls(sum(seconds[7:]), sum(seconds), os.getloadavg()[0])

    def stolen_since(self, before: Meter) -> float:
        """The share of the machine's CPU time that the host took away."""
        passed = self.total - before.total
        return (self.stolen - before.stolen) / passed if passed > 0 else 0.0


@contextlib.contextmanager
def alone() -> Generator[None]:
    """Hold the machine's benchmark lock. Raises `UnfitError` when another benchmark holds it."""
    with _LOCK.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UnfitError("Another benchmark runs on this machine; wait for it, or stop it.") from None
        yield


@contextlib.contextmanager
def neighbour(*, busy: bool) -> Generator[None]:
    """With `busy`, a program that keeps the first core at work: it sorts, and so wants memory as well as arithmetic."""
    if not busy:
        yield
        return
    pin = f"import os; os.sched_setaffinity(0, {{{min(os.sched_getaffinity(0))}}})\n" if core() >= 0 else ""
    work = "numbers = [i * 7919 % 1_000_003 for i in range(1_000_000)]\nwhile True: sorted(numbers)"
    with subprocess.Popen([sys.executable, "-c", pin + work]) as process:
        try:
            yield
        finally:
            process.kill()


def on_battery() -> bool:
    """Whether the machine runs on a battery, where the processor's speed is not its own."""
    supplies = [path.read_text().strip() for path in _POWER.glob("*/online")] if _POWER.is_dir() else []
    return bool(supplies) and all(state == "0" for state in supplies)


def spin(seconds: float = 0.05) -> float:
    """How many times a second a fixed piece of work runs: it falls when the processor is throttled."""
    rounds, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        sum(range(500))
        rounds += 1
    return rounds / (time.perf_counter() - started)


def check() -> None:
    """Raises `UnfitError` where a comparison could not be trusted."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        raise UnfitError("Under xdist the workers compete for the cores; run the comparison by itself.")
    if on_battery():
        raise UnfitError("The machine runs on its battery, and slows down as it likes; plug it in.")


def core() -> int:
    """The core both revisions are pinned to: the last one this process may use, or -1 where nothing can be pinned."""
    return max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else -1


def fingerprint() -> str:
    """Names the machine in a history: processor, cores, memory and system, not the host's name."""
    told = [platform.system(), platform.machine(), str(os.cpu_count()), _processor()]
    with contextlib.suppress(ValueError, OSError):
        told.append(str(round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30)))
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:12]


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
