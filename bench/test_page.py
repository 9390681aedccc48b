"""What the report costs for a hundred claims: every figure drawn, the page written, in a fresh process."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from itertools import cycle, groupby, islice
from pathlib import Path

import pytest

from claimlab.records import files

ROOT = Path(__file__).parents[1]
CLAIMS = 100


@pytest.mark.timeout(600)
def test_page(benchmark, tmp_path: Path):
    """The reference run's claims, as often as it takes to make a hundred."""
    read, complaints = files.read(ROOT / "reports" / "reference" / "records.jsonl")
    assert not complaints
    tests = [list(same) for _, same in groupby(sorted(read, key=lambda r: r.claim), key=lambda r: r.claim)]
    hundred = [
        replace(record, claim=f"{record.claim}-{copy}")
        for copy, of_claim in enumerate(islice(cycle(tests), CLAIMS))
        for record in of_claim
    ]
    run, page = tmp_path / "records.jsonl", tmp_path / "index.html"
    files.replace(run, hundred)
    command = [sys.executable, "-m", "claimlab", "report", str(run)]
    benchmark.group = "report"
    benchmark.pedantic(lambda: subprocess.run(command, cwd=ROOT, check=True, capture_output=True), rounds=3)
    assert page.read_text(encoding="utf-8").count("<article") == CLAIMS
    benchmark.extra_info.update(
        kind="page",
        name=f"the page of {CLAIMS} claims",
        seconds=benchmark.stats.stats.median,
        megabytes=page.stat().st_size / 1e6,
    )
