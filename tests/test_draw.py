"""What claims' figures draw with: the artists on the Axes are the numbers that were given, and look as labelled."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from itertools import combinations

import matplotlib.style
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import FillBetweenPolyCollection, LineCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from claimlab import draw
from claimlab.report import figures

SEEDS = np.array([[3.0, 30.0], [1.0, 10.0], [2.0, 50.0], [9.0, 20.0], [4.0, 40.0]])  # five seeds at two places


@pytest.fixture
def ax() -> Axes:
    return Figure(figures.INCHES).add_subplot()


def points(line: Line2D) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in np.asarray(line.get_xydata())]


def look(line: Line2D) -> tuple[object, ...]:
    return to_hex(line.get_color()), line.get_marker(), line.get_linestyle()


def is_hollow(line: Line2D) -> bool:
    return line.get_markerfacecolor() == "none"


def corners(area: FillBetweenPolyCollection) -> set[tuple[float, float]]:
    return {(float(x), float(y)) for path in area.get_paths() for x, y in np.asarray(path.vertices)}


def key(ax: Axes) -> list[str]:
    return ax.get_legend_handles_labels()[1]


# -- dots ---------------------------------------------------------------------------------------------------------


def test_dots_stand_side_by_side_about_their_place_in_the_order_of_the_seeds(ax):
    draw.dots(ax, 2, [0.5, 0.1, 0.9])
    (line,) = ax.lines
    assert points(line) == [(pytest.approx(1.85), 0.5), (2.0, 0.1), (pytest.approx(2.15), 0.9)]
    assert line.get_linestyle() == "None"
    assert line.get_marker() == "o"
    draw.dots(ax, 2, [0.5, 0.1, 0.9], width=0)
    assert points(ax.lines[1]) == [(2, 0.5), (2, 0.1), (2, 0.9)]


def test_on_a_logarithmic_axis_dots_are_spread_by_decades(ax):
    ax.set_xscale("log")
    draw.dots(ax, 100, [1, 2, 3], width=2)
    assert np.asarray(ax.lines[0].get_xdata()) == pytest.approx([10, 100, 1000])


def test_a_lone_seed_stands_at_its_place_and_no_seeds_draw_nothing(ax):
    draw.dots(ax, 2, [0.5])
    draw.dots(ax, 2, [])
    assert [points(line) for line in ax.lines] == [[(2, 0.5)], []]


def test_dots_stand_where_each_is_told_to(ax):
    draw.dots(ax, np.array([1, 7]), (Fraction(1, 2), 3))
    assert points(ax.lines[0]) == [(1, 0.5), (7, 3)]


def test_columns_of_one_series_each_look_as_their_names_say(ax):
    draw.columns(ax, {"wide": [0.1, 0.2], "narrow (control)": [0.8, 0.9]})
    wide, narrow = ax.lines
    assert [round(x) for x, _ in points(wide) + points(narrow)] == [0, 0, 1, 1]
    assert [is_hollow(line) for line in ax.lines] == [False, True]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["wide", "narrow (control)"]


def test_series_within_a_column_stand_apart_in_one_order_and_are_named_once(ax):
    draw.columns(ax, {"told": {"wide": [1, 1], "narrow": [0, 0]}, "unseen": {"narrow": [0, 0]}, "third": {"wide": [1]}})
    wide, narrow, narrow_again, wide_again = ([x for x, _ in points(line)] for line in ax.lines)
    assert max(wide) < 0 < min(narrow)
    assert narrow_again == pytest.approx([x + 1 for x in narrow])
    assert wide_again == pytest.approx([np.mean(wide) + 2])
    assert key(ax) == ["wide", "narrow"]
    assert look(ax.lines[1]) == look(ax.lines[2]) != look(ax.lines[0])


# -- lines --------------------------------------------------------------------------------------------------------


def test_a_curve_goes_through_exact_numbers_or_a_function(ax):
    thirds = [Fraction(i, 3) for i in range(3)]
    draw.curve(ax, thirds, [Fraction(1, 2), 1, 2.5])
    draw.curve(ax, thirds, lambda x: x * x)
    assert [y for _, y in points(ax.lines[0])] == [0.5, 1, 2.5]
    assert points(ax.lines[1]) == [(float(x), float(x * x)) for x in thirds]


@pytest.mark.parametrize(
    ("count", "y", "marks", "shown"),
    [
        (16, np.ones(16), None, True),
        (17, np.ones(17), None, False),
        (17, np.ones(17), True, True),
        (16, np.ones(16), False, False),
        (3, float, None, False),
        (3, float, True, True),
    ],
)
def test_a_few_measured_points_show_and_a_functions_do_not(ax, count, y, marks, shown):
    draw.curve(ax, range(count), y, marks=marks)
    assert (ax.lines[0].get_marker() != "") is shown


def test_runs_are_one_line_a_seed_alike_under_one_label(ax):
    draw.runs(ax, (1, 2), SEEDS, "trained")
    assert [points(line) for line in ax.lines] == [[(1, low), (2, high)] for low, high in SEEDS]
    assert len({look(line) for line in ax.lines}) == 1
    assert key(ax) == ["trained"]


def test_a_reference_is_grey_and_changes_no_other_series_look(ax):
    draw.reference(ax, [1, 10], [1, 10], "equal work")
    draw.reference(ax, [1, 10], lambda x: x / 5, "five times cheaper")
    draw.curve(ax, [1, 10], [3, 4], "measured")
    equal, cheaper, measured = ax.lines
    assert points(cheaper) == [(1, 0.2), (10, 2)]
    assert equal.get_color() == cheaper.get_color() == "0.5"
    assert equal.get_linestyle() != cheaper.get_linestyle()
    assert measured.get_color() == "C0"
    assert key(ax) == ["equal work", "five times cheaper", "measured"]


# -- many seeds ---------------------------------------------------------------------------------------------------


def test_a_spread_is_the_median_over_the_range(ax):
    draw.spread(ax, (1, 2), SEEDS, "loss")
    assert points(ax.lines[0]) == [(1, 3), (2, 30)]
    assert {(1, 1), (1, 9), (2, 10), (2, 50)} <= corners(ax.collections[0])
    assert key(ax) == ["loss"]


def test_a_spread_can_leave_seeds_out_at_either_end_and_have_whiskers(ax):
    draw.spread(ax, (1, 2), SEEDS, middle=0.5, whiskers=True)
    (bars,) = (artist for artist in ax.collections if isinstance(artist, LineCollection))
    assert [[float(y) for _, y in bar] for bar in bars.get_segments()] == [[2, 4], [20, 40]]


def test_a_seed_that_diverged_leaves_a_gap_in_a_spread(ax):
    seeds = SEEDS.copy()
    seeds[0, 1] = np.nan
    draw.spread(ax, (1, 2), seeds)
    assert points(ax.lines[0])[0] == (1, 3)
    assert np.isnan(points(ax.lines[0])[1][1])


def test_a_band_lies_between_its_bounds(ax):
    draw.band(ax, (1, 2), (3, 4), (5, Fraction(13, 2)), "bounds")
    assert {(1, 3), (2, 4), (1, 5), (2, 6.5)} <= corners(ax.collections[0])
    assert key(ax) == ["bounds"]


def test_a_band_and_a_curve_of_one_label_have_one_colour_and_one_place_in_the_key(ax):
    draw.curve(ax, (1, 2), (3, 4), "other")
    draw.band(ax, (1, 2), (3, 4), (5, 6), "steps")
    draw.curve(ax, (1, 2), (4, 5), "steps")
    assert key(ax) == ["other", "steps"]
    assert to_hex(ax.collections[0].get_facecolor()[0]) == to_hex(ax.lines[1].get_color())


@pytest.mark.parametrize(
    ("reached", "steps"),
    [
        ([30, np.nan, 10, 30], [(1, 0), (10, 0.25), (30, 0.5), (30, 0.75), (50, 0.75)]),
        ([np.nan, np.nan], [(1, 0), (50, 0)]),
        ([], [(1, 0), (50, 0)]),
    ],
)
def test_a_share_rises_where_a_seed_is_there(ax, reached, steps):
    draw.share(ax, reached, "wide", within=(1, 50))
    assert points(ax.lines[0]) == steps
    assert ax.lines[0].get_drawstyle() == "steps-post"


# -- what stands about them ---------------------------------------------------------------------------------------


def test_a_level_is_named_beside_the_plot_or_on_the_line(ax):
    draw.level(ax, 0.1, "chance")
    draw.level(ax, 0.7, "45 degrees", where="left")
    assert [line.get_ydata() for line in ax.lines] == [[0.1, 0.1], [0.7, 0.7]]
    beside, left = ax.texts
    assert (beside.get_text(), left.get_text()) == ("chance", "45 degrees")
    ax.figure.draw_without_rendering()
    assert beside.get_window_extent().x0 > ax.bbox.x1
    assert left.get_window_extent().x0 < ax.bbox.x0 + 0.1 * ax.bbox.width


@pytest.mark.parametrize("left", [False, True])
def test_an_upright_is_named_on_its_side(ax, left):
    ax.set_xlim(0, 4)
    draw.upright(ax, 2, "n = p", left=left, height=0.5)
    assert ax.lines[0].get_xdata() == [2, 2]
    ax.figure.draw_without_rendering()
    (middle, _) = ax.transData.transform((2, 0))
    written = ax.texts[0].get_window_extent()
    assert (written.x1 < middle) if left else (written.x0 > middle)
    assert written.y0 == pytest.approx(ax.bbox.y0 + 0.5 * ax.bbox.height, abs=5)


def test_ticks_have_names(ax):
    draw.names(ax.yaxis, ["a", "b"])
    draw.names(ax.xaxis, {"c": 0, "d": 0}, at=(2, Fraction(7, 2)))
    assert [(place, label.get_text()) for place, label in zip(ax.get_yticks(), ax.get_yticklabels(), strict=True)] == [
        (0, "a"),
        (1, "b"),
    ]
    assert list(ax.get_xticks()) == [2, 3.5]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["c", "d"]


def test_numbers_are_written_plainly_and_alone(ax):
    draw.numbers(ax.xaxis, (2**i for i in (0, 10, 20)), log=True)
    draw.numbers(ax.yaxis, (0.1, Fraction(1, 2)))
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "1024", "1048576"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["0.1", "0.5"]
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "linear")
    assert len(ax.xaxis.get_minorticklocs()) == 0
    draw.numbers(ax.yaxis, [1, 10], log=True)
    assert ax.get_yscale() == "log"


@pytest.mark.parametrize(
    ("labels", "columns"),
    [
        (["two moons", "digits", "thirty digits (control)", "MNIST-1D (control)", "8192 coin tosses, any learner"], 3),
        (["256 units", "2 units (control)", "256 units, one point with two labels (control)"], 2),
        (["a series whose label has as many\nwords as a label should have", "another of the same length"], 2),
        (["a series whose label has more words than it should have", "another of them with as many words as that"], 1),
        (["one"], 1),
    ],
)
def test_the_key_stands_above_the_plot_and_within_the_figure(labels, columns):
    with matplotlib.style.context(["default", {"legend.fontsize": 10}]):
        figure = Figure(figures.INCHES)
        ax = figure.add_subplot()
        for label in labels:
            draw.curve(ax, [0, 1], [0, 1], label)
        draw.key(ax)
        figure.draw_without_rendering()
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == labels
    assert len({round(text.get_window_extent().x0) for text in legend.get_texts()}) == columns
    extent = legend.get_window_extent()
    assert extent.y0 >= ax.bbox.y1
    assert extent.width < figure.bbox.width


# -- how a series looks -------------------------------------------------------------------------------------------


def test_series_differ_in_colour_and_marker_and_dash(ax):
    labels = ("a", "b", "c", "a (control)", "b (control)", "c (control)")
    for label in labels:
        draw.curve(ax, [0, 1], [0, 1], label)
    for one, other in combinations(ax.lines, 2):
        assert one.get_color() != other.get_color()
        assert (one.get_marker(), is_hollow(one)) != (other.get_marker(), is_hollow(other))
    dashes = [str(vars(line)["_unscaled_dash_pattern"]) for line in ax.lines]
    assert len(set(dashes)) == len(labels)


def test_controls_are_hollow_and_dashed_wherever_they_come(ax):
    draw.curve(ax, [0, 1], [0, 1], "narrow (control)")
    draw.curve(ax, [0, 1], [0, 1], "wide")
    control, claim = ax.lines
    assert (control.get_color(), control.get_linestyle(), is_hollow(control)) == ("C1", "--", True)
    assert (claim.get_color(), claim.get_linestyle(), is_hollow(claim)) == ("C0", "-", False)


def test_the_same_label_is_the_same_series(ax):
    for label in ("a", "b", "a", "b", ""):
        draw.curve(ax, [0, 1], [0, 1], label)
    a, b, a_again, b_again, nameless = (look(line) for line in ax.lines)
    assert a == a_again == nameless != b == b_again
    assert key(ax) == ["a", "b"]


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("C3", ("C3", "o", "-")),
        ("s", ("C0", "s", "None")),
        (":", ("C0", "", ":")),
        ("blackx-.", ("black", "x", "-.")),
        ("0.5D--", ("0.5", "D", "--")),
    ],
)
def test_a_style_overrules_what_it_says(ax, style, expected):
    draw.curve(ax, [0, 1], [0, 1], "a", style=style)
    colour, marker, line = expected
    assert look(ax.lines[0]) == (to_hex(colour), marker, line)


@pytest.mark.parametrize("style", ["red", "-C0", "C0-o", "oo"])
def test_a_style_out_of_order_is_refused(ax, style):
    with pytest.raises(ValueError, match="in this order"):
        draw.curve(ax, [0, 1], [0, 1], style=style)


# -- in the report ------------------------------------------------------------------------------------------------

EVERYTHING = """
from claimlab import draw
def figure(measured, ax):
    "All of it."
    seeds = measured["claim"]["seeds"]
    draw.numbers(ax.xaxis, (1, 2), log=True)
    draw.spread(ax, (1, 2), seeds, "spread", middle=0.9)
    draw.spread(ax, (1, 2), seeds, "whiskers", whiskers=True)
    draw.runs(ax, (1, 2), seeds, "runs (control)")
    draw.dots(ax, 1, seeds[:, 0], "dots")
    draw.curve(ax, (1, 2), lambda x: x, "curve (control)")
    draw.reference(ax, (1, 2), (3, 4), "reference")
    draw.band(ax, (1, 2), (1, 1), (2, 2), "band")
    draw.share(ax, seeds[:, 0], "share", within=(1, 9))
    draw.level(ax, 2, "level")
    draw.upright(ax, 1.5, "upright")
    draw.names(ax.yaxis, "ab")
    draw.key(ax)
"""


def test_the_same_numbers_give_the_same_bytes_and_no_id_stays_behind(tmp_path):
    module = tmp_path / "test_all.py"
    module.write_text(EVERYTHING)
    one, other = (figures.draw(module, {"claim": {"seeds": SEEDS.copy()}}, name="all") for _ in range(2))
    assert one == other
    assert 'id="claim"' not in one.svg
    moved = figures.draw(module, {"claim": {"seeds": SEEDS + 0.5}}, name="all")
    assert moved.svg != one.svg


def test_a_claim_that_imports_it_loads_no_matplotlib():
    code = "import sys, claimlab.draw; sys.exit('matplotlib' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
