"""A claim's effect and cost over the last runs."""

from pathlib import Path

from claimlab.records.history import Past, Point
from claimlab.report import page
from claimlab.report.trend import trend
from tests.made import control, sampled

CLAIM = "optimization/wide-nets"


def runs(*points: Point) -> list[Past]:
    return [Past("2026-01-02", "", "", "pinned", {CLAIM: point}) for point in points]


def test_effect_and_cost_are_drawn_and_a_red_run_is_red():
    drawn = trend(
        CLAIM, version=1, history=runs(Point(1, False, 2.0, {"error": 0.5}), Point(1, True, 1.0, {"error": 0.25}))
    )
    assert "The last 2 runs: error from 0.5 to 0.25; seconds from 2.0 s to 1.0 s." in drawn
    assert drawn.count("<polyline") == 2
    assert drawn.count("var(--red)") == 2


def test_runs_of_another_version_and_a_single_run_are_not_drawn():
    one, other = Point(1, True, 1.0, {}), Point(2, True, 1.0, {})
    assert not trend(CLAIM, version=2, history=runs(one, one, other))
    assert not trend("another/claim", version=1, history=runs(one, one))
    assert not trend(CLAIM, version=1, history=[])


def test_a_metric_that_not_all_runs_have_is_left_out():
    drawn = trend(CLAIM, version=1, history=runs(Point(1, True, 1.0, {"old": 1.0}), Point(1, True, 1.0, {"new": 1.0})))
    assert drawn.count("<polyline") == 1


def test_the_page_escapes_what_a_history_says(root: Path):
    point = Point(1, True, 1.0, {"<b>": 1e308})
    text = page.render([sampled(), control()], root=root, history=runs(point, Point(1, True, 1.0, {"<b>": -1e308})))
    assert "The last runs" in text
    assert "<b>" not in text
    assert "The last runs" not in page.render([sampled(), control()], root=root)
