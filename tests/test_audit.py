"""The list of the deck's slips: each names a test that exists."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_slip_names_a_test_that_exists():
    named = re.findall(r"`(\w+/test_\w+\.py)::(test_\w+)`", (ROOT / "docs/audit.md").read_text(encoding="utf-8"))
    assert len(named) >= 20
    for module, test in named:
        tree = ast.parse((ROOT / "claims" / module).read_text(encoding="utf-8"))
        assert test in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, (module, test)
