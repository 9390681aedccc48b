"""Every test here has a project of its own, with `bench` to write its claims and to run them."""

import os
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import hypothesis.internal.conjecture.providers  # noqa: F401
import pytest

import claimlab.report.page
from claimlab.plugin.recorder import load_what_figures_need
from tests.plugin.project import Bench

# hypothesis above and all this are loaded because a run inside this process forgets what it was the first to load.
load_what_figures_need()


@pytest.fixture
def bench(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(claimlab.report.page, "render", lambda *_, **__: "<!doctype html>")
    with mock.patch.dict(os.environ):  # a run of claims alone sets variables for the process it runs in
        for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            os.environ.pop(variable, None)
        os.environ |= {"COLUMNS": "200", "PYTHONPATH": str(Path(claimlab.__file__).parents[1])}
        pytester.makeconftest("pytest_plugins = ['claimlab.plugin']")
        pytester.makeini("[pytest]\naddopts = --strict-markers --import-mode=importlib")
        yield Bench(pytester)
