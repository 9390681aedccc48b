"""`python -m tests.portable`: the tests and the claims in worlds that a processor or a neighbour makes.

A verdict must not depend on which kernels the processor has, nor on what else it does. Each world runs to its end
whatever became of the one before, and the exit status is 1 if any was red.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
from collections.abc import Generator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]

WORLDS = {
    "plain": {"ATEN_CPU_CAPABILITY": "default"},
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "sse41": {"ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_CBWR": "COMPATIBLE"},
    "busy": {"OMP_NUM_THREADS": "2"},
}
"""What is set in each; in `busy`, a loop keeps every core at work besides."""

LOOP = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: sum(range(1_000_000))"
"""Ends with the process that started it, whatever ended that."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the worlds that are asked for, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.portable", description="Is everything green elsewhere too?")
    parser.add_argument("worlds", nargs="*", metavar="WORLD", help=f"{', '.join(WORLDS)} (default: all)")
    parser.add_argument("--only", choices=("tests", "claims"), help="run these alone")
    chosen = parser.parse_args(arguments)
    if unknown := set(chosen.worlds) - set(WORLDS):
        parser.error(f"there is no world {', '.join(sorted(unknown))}; choose of {', '.join(WORLDS)}")
    suites = [chosen.only] if chosen.only else ["tests", "claims"]
    red = [f"{world}: {suite}" for world in chosen.worlds or WORLDS for suite in suites if not is_green(world, suite)]
    print("\n".join(["== red elsewhere", *red]) if red else "== green everywhere")
    return bool(red)


def is_green(world: str, suite: str) -> bool:
    """Whether the suite, `tests` or `claims`, passes in the world."""
    settings = WORLDS[world]
    print(f"== {world} ({' '.join(f'{name}={value}' for name, value in settings.items())}): {suite}", flush=True)
    command = [sys.executable, "-m", "pytest", suite, "-n", "auto", "-q"]
    if suite == "claims":
        command += ["--claims-report", f"reports/portable/{world}"]
    with busy_cores() if world == "busy" else contextlib.nullcontext():
        return subprocess.run(command, cwd=ROOT, env=os.environ | settings).returncode == 0


@contextlib.contextmanager
def busy_cores() -> Generator[list[subprocess.Popen[bytes]]]:
    """One busy loop for each core that this process may use."""
    with contextlib.ExitStack() as stack:
        loops = []
        for _ in os.sched_getaffinity(0):
            loops.append(stack.enter_context(subprocess.Popen([sys.executable, "-c", LOOP])))
            stack.callback(loops[-1].kill)
        yield loops


if __name__ == "__main__":
    sys.exit(main())
