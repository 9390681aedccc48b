"""Is what a record says of itself possible?

A record may come from anywhere, and whoever shows it must neither hang nor crash.
"""

import math
from collections.abc import Iterator
from typing import Any

from claimlab.declare.claim import FINDINGS, KINDS, Statistical
from claimlab.declare.rules import plan_problems

_MOST_SEEDS = 10**6
_LONGEST = 1e9
_DEEPEST = 30


def complaints(values: dict[str, Any]) -> Iterator[str]:
    """What no run could have written, a clause each. `values` are a record's fields, each of the type it declares."""
    if _too_deep(values, _DEEPEST):
        yield f"it is nested more than {_DEEPEST} deep"
        return
    if values["finding"] not in FINDINGS:
        yield f"there is no finding {values['finding'][:40]!r}"
    if values["kind"] not in (*KINDS, "none"):
        yield f"there is no kind of evidence {values['kind'][:40]!r}"
    if values["asks"] not in ("supports", "refutes", ""):
        yield f"a test does not ask {values['asks'][:40]!r}"
    if not 0 <= values.get("seconds", 0.0) < _LONGEST:
        yield "it took no possible time"
    if values["kind"] == "statistical":
        yield from _of_seeds(values)


def _of_seeds(values: dict[str, Any]) -> Iterator[str]:
    n, wins = values.get("n"), values.get("wins")
    seeds, rows, path = values.get("seeds", []), values.get("rows", {}), values.get("path", [])
    if n is not None and not 0 <= n <= _MOST_SEEDS:
        yield f"{n} seeds are not possible" if n < 0 else f"more than {_MOST_SEEDS} seeds"
    if wins is not None and not 0 <= wins <= (n or 0):
        yield "more wins than seeds, or fewer than none"
    if not all(isinstance(column, list) and len(column) == len(seeds) for column in rows.values()):
        yield "its rows are not one for each seed"
    if not all(abs(ratio) < math.inf for ratio in path):
        yield "its path is not of numbers"
    plan = values.get("plan", {})
    try:
        wrong = list(plan_problems(Statistical(**plan))) if plan or path else []
    except TypeError:
        wrong = ["its plan is none"]
    yield from (complaint.rstrip(".") for complaint in wrong)


def _too_deep(value: Any, left: int) -> bool:
    """Whether lists and objects are nested more than `left` deep."""
    if not isinstance(value, dict | list):
        return False
    inside = value.values() if isinstance(value, dict) else value
    return left == 0 or any(_too_deep(each, left - 1) for each in inside)
