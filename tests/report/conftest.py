"""Projects for a report: one whose claim draws a figure, and one whose claim draws none."""

from pathlib import Path

import pytest

from claimlab.report import page
from tests.report.project import JUDGED, MODULE, project


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with a deck and one claim module, which draws no figure."""
    return project(tmp_path, module="")


@pytest.fixture(scope="session")
def drawing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose one claim module draws a figure."""
    return project(tmp_path_factory.mktemp("project"), module=MODULE)


@pytest.fixture(scope="session")
def drawn(drawing: Path) -> str:
    """A page with two figures of the same shape."""
    return page.render(JUDGED, root=drawing)
