"""Figures: what they are given, what they look like on the page, and what stands in their place."""

import re
from dataclasses import replace

import numpy as np
import pytest

from claimlab.declare.digest import digest
from claimlab.report import figures, page, paths
from claimlab.report.inline import inline
from tests.made import LOSS, SAMPLED_MODULE, WIN, control, exact, sampled
from tests.report.project import Page, keyed


def test_a_figure_is_handed_all_trained_rows_and_the_certificates_numbers():
    other = exact(test="test_control_x", numbers={"pieces": [2, 4, 8], "gap": "-inf", "ragged": [1, [2]], "ok": True})
    measured = figures.measured([sampled(), control(), other, sampled(device="cuda", rows={"error": [9.0]})])
    assert set(measured) == {"claim", "control_narrow", "control_x"}
    assert measured["claim"]["error"].shape == (16,)
    assert np.isnan(measured["control_narrow"]["error"][-1])
    np.testing.assert_array_equal(measured["control_x"]["pieces"], [2, 4, 8])
    assert measured["control_x"]["gap"] == -np.inf
    assert measured["control_x"]["ragged"] == [1, [2]]


def test_a_picture_takes_the_pages_ink_and_font(drawn):
    svg = drawn[drawn.index('<figure class="drawn">') : drawn.index("</figure>")]
    assert "wide &amp; &lt;free&gt;" in svg, "text stays text"
    assert "10⁻" in svg, "powers are plain text"
    assert "currentColor" in svg
    assert "var(--c1,#d55e00)" in svg
    assert 'href="data:image/png' in svg, "an image lies in the page"
    assert not re.search(r"#000000|#ffffff|DejaVu|<style|metadata|20\d\d-", svg)


def test_a_style_that_all_members_of_a_group_have_is_said_once_unless_it_fades_them():
    def drawn(style, other):
        dot = '<defs><path id="m" style="fill: red"/></defs>'
        dots = f'<g>{dot}<use href="#m" style="{style}"/><use style="{other}"/></g>'
        return inline(f'<svg viewBox="0 0 9 9">{dots}</svg>', "a/b", alt="")

    blue = "fill: blue"
    assert re.search('<g style="fill:blue"><defs><path id="f[0-9a-f]+.0" style="fill:red"/></defs>', drawn(blue, blue))
    assert drawn(blue, blue).count("fill:blue") == 1
    assert drawn("opacity: 0.5", "opacity: 0.5").count("opacity:0.5") == 2
    assert '<g style="' not in drawn(blue, "fill: red")


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("", "This claim draws no figure."),
        ("def figure(measured, ax): 1 / 0", "The figure could not be drawn (ZeroDivisionError: division by zero)."),
        ("def figure(measured, ax): raise SystemExit(3)", "The figure could not be drawn (SystemExit: 3)."),
        (
            "import nowhere",
            "No figure: test_wide.py cannot be loaded (ModuleNotFoundError: No module named 'nowhere').",
        ),
        (
            "def test_other(): ...\ndef figure(measured, ax): measured['other']",
            "No figure: it needs more than was measured here; no numbers of test_other.",
        ),
    ],
)
def test_a_missing_figure_costs_the_card_its_picture_and_not_the_page(root, source, sentence):
    (root / SAMPLED_MODULE).write_text(source)
    parsed = Page(page.render([sampled(), control()], root=root))
    assert sentence in parsed.text
    assert ("figure", {"class": "drawn"}) not in parsed.tags
    assert "What was tested" in parsed.text


def test_a_changed_module_is_named(root):
    now = digest(root / SAMPLED_MODULE)
    assert "has changed" not in page.render([sampled(digest=now), control(digest=now)], root=root)
    assert "The module has changed since this was measured" in page.render([sampled(), control(digest=now)], root=root)


def test_child_processes_draw_the_same_bytes_and_one_that_dies_costs_its_picture(drawing, monkeypatch):
    monkeypatch.setattr(figures, "_PRELOAD", ["claimlab.report.figures"])
    module = drawing / SAMPLED_MODULE
    deadly = module.with_name("test_deadly.py")
    deadly.write_text("import os\ndef figure(measured, ax): os._exit(1)")
    order = figures.Order(module=module, name="a", measured=figures.measured([sampled(), control()]))
    assert figures.pool_of(1, [order]) == [figures.draw(module, order.measured, name="a")]
    died, *rest = figures.pool_of(1, [replace(order, module=deadly), order, order, order])
    assert len(rest) == 3
    assert died.missing == "The figure could not be drawn: the process that draws figures died."


@pytest.mark.parametrize(
    ("label", "said"),
    [
        (r"$\mathdefault{10^{-2}}$", "10⁻²"),
        (r"$\mathdefault{2^{12}}$", "2¹²"),
        (r"$\mathdefault{3\times10^{-1}}$", "3x10⁻¹"),
        (r"$\mathdefault{-10^{0}}$", "-10⁰"),
        (r"$\mathdefault{0}$", "0"),
        (r"$\mathdefault{10^{1.50}}$", r"$\mathdefault{10^{1.50}}$"),
        ("0.5", "0.5"),
    ],
)
def test_powers_in_tick_labels_are_plain_text(label, said):
    assert keyed(figures.plain_power(label)) == said


def test_the_evidence_path_is_drawn_where_a_seed_dissents_with_both_boundaries():
    dissenting = sampled(path=[LOSS, *(LOSS + WIN * n for n in range(1, 16))], n=16, wins=15)
    tests = [dissenting, sampled(test="test_other"), control(), exact()]
    (plot,) = paths.plots(tests, paths.styles(tests))
    (line,) = [points.split() for points in re.findall(r'points="([^"]+)"', plot)]
    assert len(line) == 17, "from the origin on, a point after each seed"
    assert "+6.91" in plot
    assert "-16.12" in keyed(plot)
    assert plot.count('class="bound"') == 2
    assert paths.plots(tests[1:], paths.styles(tests[1:])) == [], "all seeds agree"
