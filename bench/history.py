"""What comparisons found, one line a case, appended: trends inform, only a paired verdict gates."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bench import environment

if TYPE_CHECKING:
    from bench.compare import Comparison


def append(path: Path, run: Comparison, *, base: str, head: str) -> None:
    """Add the verdicts of a comparison: the ratio of each case to the base, on this machine, of this case's code."""
    path.parent.mkdir(parents=True, exist_ok=True)
    when = datetime.now(UTC).isoformat(timespec="seconds")
    with path.open("a", encoding="utf-8") as file:
        for verdict in run.verdicts:
            line = {
                "when": when, "machine": environment.fingerprint(), "base": base, "head": head,
                "case": verdict.name, "digest": run.digests.get(verdict.name, ""), "verdict": verdict.verdict,
                "ratio": round(verdict.ratio, 5), "low": round(verdict.low, 5), "high": round(verdict.high, 5),
            }  # fmt: skip
            file.write(json.dumps(line) + "\n")
