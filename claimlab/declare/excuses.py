"""Tests that are not expected to come out as found in a coarse precision, each with its reason.

A project lists them in `precision.toml` in its folder of claims, a table for each precision:

    [bfloat16]
    "optimization/some-claim::test_claim" = "Eight bits cannot hold the margin of 1e-3."
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path

from claimlab.declare.rules import DTYPES

FILE = "precision.toml"

Excuses = Mapping[str, Mapping[str, str]]
"""By precision, then by `claim::test`, the reason."""


class BadExcusesError(ValueError):
    """Why the list cannot be read, in one sentence."""


def read(root: Path) -> Excuses:
    """The tests that are excused under `root`; raises `BadExcusesError`."""
    path = root / FILE
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadExcusesError(f"{root.name}/{FILE} cannot be read: {error}.") from error
    for dtype, tests in tables.items():
        if dtype not in DTYPES or not isinstance(tests, dict):
            raise BadExcusesError(f"{root.name}/{FILE} has a table for each of {', '.join(DTYPES)}, not {dtype!r}.")
        for test, reason in tests.items():
            if not isinstance(reason, str) or not reason.strip():
                raise BadExcusesError(f"{root.name}/{FILE}: {test!r} needs its reason in words.")
    return tables
