"""Records made by hand, for the tests of everything that reads records."""

import math
from typing import Any

from claimlab.records.record import Record

PLAN = {
    "holds": 0.95, "broken": 0.5, "false_fail": 1e-7, "false_pass": 1e-3, "max_seeds": 128, "block": 16, "dtype": None,
}  # fmt: skip
WIN, LOSS = math.log(0.95 / 0.5), math.log(0.05 / 0.5)
"""What a seed adds to the log-likelihood ratio of that plan."""

EXACT_MODULE, SAMPLED_MODULE = "claims/depth/test_tents.py", "claims/optimization/test_wide.py"


def exact(**changes: Any) -> Record:
    """A green exact record."""
    usual: dict[str, Any] = {
        "claim": "depth/tents-double", "covers": ["C1"], "slide": "Depth and Parametric Cost", "version": 1,
        "finding": "holds", "says": "Depth doubles.", "statement": "It doubles.", "reason": "Counted.",
        "scope": "tents", "source": "a paper", "module": EXACT_MODULE, "digest": "0" * 16,
        "test": "test_claim", "about": "", "asks": "supports", "kind": "exact", "verdict": "SUPPORTED", "passed": True,
        "epoch": "pinned", "device": "cpu", "dtype": "exact", "threads": 1, "torch": "2.13.0", "claimlab": "0.1.0",
        "python": "3.11.7", "machine": "Linux", "when": "2026-01-02T03:04:05+00:00",
        "command": f"pytest {EXACT_MODULE}::test_claim",
    }  # fmt: skip
    return Record(**(usual | changes))


def sampled(**changes: Any) -> Record:
    """A green statistical record: eleven wins of sixteen trained seeds."""
    usual: dict[str, Any] = {
        "claim": "optimization/wide-nets", "covers": ["D6"], "slide": "Non-convex Optimization", "kind": "statistical",
        "module": SAMPLED_MODULE, "wins": 11, "n": 11, "plan": PLAN, "dtype": "float32", "world": {"width": 64},
        "path": [WIN * n for n in range(1, 12)], "seeds": list(range(16)),
        "rows": {"win": [True] * 16, "error": [0.5 / 2**n for n in range(16)]},
        "command": f"pytest {SAMPLED_MODULE}::test_claim",
    }  # fmt: skip
    return exact(**(usual | changes))


def control(**changes: Any) -> Record:
    """A green statistical control: seven losses."""
    usual: dict[str, Any] = {
        "test": "test_control_narrow", "asks": "refutes", "verdict": "REFUTED", "wins": 0, "n": 7,
        "path": [LOSS * n for n in range(1, 8)], "command": f"pytest {SAMPLED_MODULE}::test_control_narrow",
        "world": {"width": 2}, "rows": {"win": [False] * 16, "error": [0.5] * 15 + ["nan"]},
    }  # fmt: skip
    return sampled(**(usual | changes))
