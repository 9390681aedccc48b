"""The report: it shows every record, escapes every word, loads nothing, and says in a sentence what it cannot do."""

import re
from collections.abc import Callable
from dataclasses import fields, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from claimlab import __main__ as command_line
from claimlab.declare import modules as discover
from claimlab.records import record as records
from claimlab.records.record import Record
from claimlab.report import deck, figures, page, paths, words

PLAN = {"holds": 0.95, "broken": 0.5, "false_fail": 1e-7, "false_pass": 1e-3, "max_seeds": 128, "block": 16}
WIN, LOSS = 0.6418538861723947, -2.3025850929940455

WIDE = "claims/optimization/test_wide.py"
MODULE = """
def test_claim(): ...
def test_control_narrow(): ...
def figure(measured, ax):
    ax.plot(measured["claim"]["error"], label="wide & <free>")
    ax.plot(measured["control_narrow"]["error"], "s--", color="C1", label="narrow")
    ax.fill_between([0, 8], 0, 1, color="0.5", alpha=0.2)
    ax.imshow([[0, 1]], extent=(0, 1, 0, 1), aspect="auto")
    ax.set_yscale("log")
    ax.legend()
"""


def record(**changes: Any) -> Record:
    """A green exact record."""
    usual: dict[str, Any] = {
        "claim": "depth/tents-double", "covers": ["C1"], "slide": "Depth and Parametric Cost", "version": 1,
        "finding": "holds", "says": "Depth doubles.", "statement": "It doubles.", "reason": "Counted.",
        "scope": "tents", "source": "a paper", "module": "claims/depth/test_tents.py", "digest": "0" * 16,
        "test": "test_claim", "about": "", "asks": "supports", "kind": "exact", "verdict": "SUPPORTED", "passed": True,
        "epoch": "pinned", "device": "cpu", "dtype": "exact", "threads": 1, "torch": "2.13.0", "claimlab": "0.1.0",
        "python": "3.11.7", "machine": "Linux", "when": "2026-01-02T03:04:05+00:00",
        "command": "pytest claims/depth/test_tents.py::test_claim",
    }  # fmt: skip
    return Record(**(usual | changes))


def sampled(**changes: Any) -> Record:
    """A green statistical record: eleven wins of sixteen trained seeds."""
    usual: dict[str, Any] = {
        "claim": "optimization/wide-nets", "covers": ["D6"], "slide": "Non-convex Optimization", "kind": "statistical",
        "module": WIDE, "wins": 11, "n": 11, "plan": PLAN, "dtype": "float32",
        "path": [WIN * n for n in range(1, 12)], "seeds": list(range(16)),
        "rows": {"win": [True] * 16, "error": [0.5 / 2**n for n in range(16)]},
    }  # fmt: skip
    return record(**(usual | changes))


def control(**changes: Any) -> Record:
    """A green statistical control: seven losses."""
    usual: dict[str, Any] = {
        "test": "test_control_narrow", "asks": "refutes", "verdict": "REFUTED", "wins": 0, "n": 7,
        "path": [LOSS * n for n in range(1, 8)], "command": f"pytest {WIDE}::test_control_narrow",
        "rows": {"win": [False] * 16, "error": [0.5] * 15 + ["nan"]},
    }  # fmt: skip
    return sampled(**(usual | changes))


def plain(text: str) -> str:
    """Text with a keyboard's minus, times and space in place of the page's."""
    signs = {"\N{MINUS SIGN}": "-", "\N{MULTIPLICATION SIGN}": "x", "\N{NARROW NO-BREAK SPACE}": " "}
    return text.translate(str.maketrans(signs))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with one claim module, which draws no figure."""
    (tmp_path / "claims" / "optimization").mkdir(parents=True)
    (tmp_path / WIDE).write_text("")
    return tmp_path


@pytest.fixture(scope="module")
def drawing(tmp_path_factory) -> Path:
    """A project whose one claim module draws a figure."""
    root = tmp_path_factory.mktemp("project")
    (root / "claims" / "optimization").mkdir(parents=True)
    (root / WIDE).write_text(MODULE)
    return root


TWIN = {"claim": "optimization/twin", "covers": ["D7"]}
JUDGED = [record(source="https://example.org/paper"), sampled(), control(), sampled(**TWIN), control(**TWIN)]


@pytest.fixture(scope="module")
def drawn(drawing: Path) -> str:
    """A page with two figures of the same shape."""
    return page.render(JUDGED, root=drawing)


class Page(HTMLParser):
    """What the tests ask of a page: its elements, its text, and where it links to."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def attributes(self, *names: str) -> list[str]:
        return [value or "" for _, attributes in self.tags for name, value in attributes.items() if name in names]


# -- what the page shows ------------------------------------------------------------------------------------------


def test_a_declared_claim_has_a_card_and_is_no_test(root):
    declared = record(claim="sec/taste", finding="untestable", kind="none", verdict=records.DECLARED, asks="")
    text = page.render([record(), declared], root=root)
    assert "1 test of 2 claims came out as found" in text
    assert "Declared, not tested" in text
    assert text.count("<dt>A test would</dt>") == 1


def test_every_judged_test_appears_with_its_words_and_command(root):
    judged = [record(), sampled(), control(), sampled(test="test_also", device="cuda")]
    text = Page(page.render(judged, root=root)).text
    for each in judged:
        for words_of in (each.says, each.statement, each.reason, each.scope, each.source, each.test, each.command):
            assert words_of in text
    assert "All green." in text
    assert "on cuda" in text
    assert "9 x 10⁻⁸" in plain(text), "two claims and a control may raise a false alarm"


def test_a_red_test_is_in_title_banner_index_card_and_row(root):
    red = control(verdict="SUPPORTED", passed=False, wins=11, n=11, path=[WIN * n for n in range(1, 12)])
    html = page.render([record(), sampled(), red], root=root)
    parsed = Page(html)
    assert "<title>1 red" in html
    assert "All green." not in parsed.text
    assert "supported, not refuted" in parsed.text
    assert "wants REFUTED and the evidence says SUPPORTED" in parsed.text
    bad = [tag for tag, attributes in parsed.tags if "bad" in (attributes.get("class") or "").split()]
    assert sorted(bad) == ["a", "article", "section", "section"]
    assert html.count('href="#optimization.wide-nets"') >= 2


def test_a_test_that_failed_unjudged_is_red_too(root):
    html = page.render([record()], root=root, unjudged=["claims/depth/test_x.py::declaration"])
    assert "<title>1 red" in html
    assert "claims/depth/test_x.py::declaration" in Page(html).text


def test_an_error_shows_its_message(root):
    broken = record(verdict=records.ERROR, passed=False, asks="", message="The check raised ValueError: <odd>.")
    assert "The check raised ValueError: <odd>." in Page(page.render([broken], root=root)).text


def test_claims_stand_in_the_decks_order_and_unknown_slides_last(root):
    slides = ["Practical Takeaways", "No such slide", *reversed(deck.SLIDES[:3])]
    judged = [record(claim=f"depth/c{place}", slide=slide) for place, slide in enumerate(slides)]
    judged += [record(claim=f"depth/a{entry}", slide=deck.SLIDES[0], covers=[f"A{entry}"]) for entry in (10, 2)]
    anchors = re.findall(r'<article[^>]* id="([^"]+)"', page.render(judged, root=root))
    assert anchors == ["depth.a2", "depth.a10", "depth.c4", "depth.c3", "depth.c2", "depth.c0", "depth.c1"]


def test_the_page_depends_on_the_records_alone_not_on_their_order(drawing, drawn):
    assert page.render(JUDGED[::-1], root=drawing) == drawn


# -- safety -------------------------------------------------------------------------------------------------------


def test_record_text_is_escaped(root):
    evil = '<script>alert(1)</script><img src=x onerror="alert(1)">\'"&'
    fields = ("claim", "slide", "finding", "says", "statement", "reason", "scope", "source", "test", "about", "command")
    fields += ("message", "epoch", "device", "torch", "python", "machine", "when", "module", "counterexample")
    changes: dict[str, Any] = dict.fromkeys(fields, evil) | {"covers": [evil], "numbers": {evil: evil}}
    judged = [record(**changes), record(**changes, kind="property", passed=False, verdict="REFUTED", examples=3)]
    judged += [sampled(**changes, rows={"win": [True] * 16, evil: [1.0] * 16})]
    html = page.render(judged, root=root, complaints=[evil], unjudged=[evil])
    parsed = Page(html)
    assert [tag for tag, _ in parsed.tags if tag in ("script", "img")] == ["script"], "the page's own, and no other"
    assert not [name for _, attributes in parsed.tags for name in attributes if name.startswith("on")]
    assert parsed.text.count("<script>alert(1)</script>") > len(fields)


def test_nothing_is_loaded_from_anywhere(drawn):
    parsed = Page(drawn)
    loading = parsed.attributes("src", "srcset", "href", "xlink:href", "data", "action", "poster", "background", "ping")
    assert loading
    assert [link for link in loading if not link.startswith(("#", "data:"))] == []
    assert "@import" not in drawn
    assert [target for target in re.findall(r"url\(([^)]*)\)", drawn) if not target.startswith("#")] == []
    assert not {"iframe", "object", "embed", "base"} & {tag for tag, _ in parsed.tags}
    assert "default-src 'none'" in drawn, "the browser would refuse anything that slips through"


def test_ids_are_unique_and_every_reference_within_the_page_resolves(drawn):
    parsed = Page(drawn)
    ids = parsed.attributes("id")
    assert len(ids) == len(set(ids))
    used = {link[1:] for link in parsed.attributes("href") if link.startswith("#")} | set(
        re.findall(r"url\(#(.*?)\)", drawn)
    )
    assert used <= set(ids)
    assert any(each.startswith("optimization.twin.") for each in used), "the twin's figure has clip paths of its own"


def test_a_record_cannot_name_code_outside_claims(root):
    (root / "evil.py").write_text("from pathlib import Path\nPath(__file__).with_name('ran').touch()\n")
    for module in ("evil.py", "claims/../evil.py", str(root / "evil.py"), "/etc/passwd", ""):
        text = Page(page.render([record(module=module)], root=root)).text
        assert "No figure: the module that draws it is not here." in text
    assert not (root / "ran").exists()


# -- figures ------------------------------------------------------------------------------------------------------


def test_a_figure_is_handed_all_trained_rows_and_the_certificates_numbers():
    exact = record(test="test_control_x", numbers={"pieces": [2, 4, 8], "gap": "-inf", "ragged": [1, [2]], "ok": True})
    measured = figures.measured([sampled(), control(), exact, sampled(device="cuda", rows={"error": [9.0]})])
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
    (root / WIDE).write_text(source)
    parsed = Page(page.render([sampled(), control()], root=root))
    assert sentence in parsed.text
    assert ("figure", {"class": "drawn"}) not in parsed.tags
    assert "Evidence path" in parsed.text


def test_a_changed_module_is_named(root):
    now = discover.digest(root / WIDE)
    assert "has changed" not in page.render([sampled(digest=now), control(digest=now)], root=root)
    assert "The module has changed since this was measured" in page.render([sampled(), control(digest=now)], root=root)


def test_child_processes_draw_the_same_bytes_and_one_that_dies_costs_its_picture(drawing, monkeypatch):
    monkeypatch.setattr(figures, "_PRELOAD", ["claimlab.report.figures"])
    module = drawing / WIDE
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
    assert plain(figures.plain_power(label)) == said


def test_the_evidence_path_has_a_line_for_each_test_and_both_boundaries():
    tests = [sampled(), control(), record()]
    (plot,) = paths.plots(tests, paths.styles(tests))
    lines = [points.split() for points in re.findall(r'points="([^"]+)"', plot)]
    assert [len(points) for points in lines] == [12, 8], "from the origin on, a point after each seed"
    assert "+6.91" in plot
    assert "-16.12" in plain(plot)
    assert plot.count('class="bound"') == 2


# -- words --------------------------------------------------------------------------------------------------------


def test_statistical_evidence_in_words():
    assert plain(" ".join(words.evidence(sampled()))) == (
        "11 of 11 seeds won (95 % interval 71.5 to 100.0 %). "
        "Log-likelihood ratio +7.06; supported from +6.91, refuted from -16.12."
    )
    one_won = control(rows={"win": [False] * 4 + [True] + [False] * 11}, wins=1, n=9)
    assert "Won by seed 4." in list(words.evidence(one_won))
    assert list(words.evidence(sampled(n=None, wins=None, path=[], rows={}))) == ["No seed was judged."]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (True, "yes"), (3, "3"), (1234567, "1 234 567"), (2**300, "2.037 x 10⁹⁰ (91 digits)"), (-1.5e-9, "-1.5 x 10⁻⁹"),
        (float("inf"), "inf"), ([1, 2], "[1, 2]"), (list(range(99)), "[0, 1, 2, 3, 4, 5, 6, 7, … 99 in all]"),
        ({"a": 0.5}, "(a = 0.5)"), ("x" * 200, "x" * 160 + "… (200 characters)"), (None, "None"),
    ],
)  # fmt: skip
def test_values_as_a_person_reads_them(entry, said):
    assert plain(words.value(entry)) == said


def test_metrics_are_summed_up_over_the_judged_seeds():
    column = ["nan", 3.0, 1.0, 2.0, *[99.0] * 12]
    test = sampled(n=4, wins=4, rows={"win": [True] * 16, "loss": column, "ok": [True] * 16, "curve": [[1, 2]] * 16})
    assert dict(words.metrics(test)) == {
        "loss": "2 (1 to 3); 1 not finite", "ok": "on 4 of 4 seeds", "curve": "4 rows of several numbers each",
    }  # fmt: skip


def test_the_documentation_describes_every_field_of_a_record():
    described = (Path(__file__).parents[1] / "docs" / "records.md").read_text()
    assert [each.name for each in fields(Record) if f"| `{each.name}` |" not in described] == []


# -- the command line ---------------------------------------------------------------------------------------------


@pytest.fixture
def report(root: Path, capsys, monkeypatch) -> Callable[..., tuple[int, str, str]]:
    """`report(*arguments)` runs the command in the project and gives the exit status, stdout and stderr."""
    monkeypatch.chdir(root)

    def run(*arguments: object) -> tuple[int, str, str]:
        try:
            status = command_line.main(["report", *map(str, arguments)])
        except SystemExit as stop:
            status = int(stop.code or 0)
        return status, *capsys.readouterr()

    return run


def test_a_page_is_rebuilt_from_its_records(root, report):
    lines = [records.encode(each) + "\n" for each in (record(), sampled(), control())]
    (root / "records.jsonl").write_text("".join(lines))
    assert report("records.jsonl") == (0, "report: index.html\n", "")
    assert report(root, "--output", "other.html") == (0, "report: other.html\n", "")
    assert (root / "index.html").read_text() == (root / "other.html").read_text()
    assert "All green." in (root / "index.html").read_text()


def test_a_truncated_line_is_named_on_the_page_and_on_stderr(root, report):
    (root / "records.jsonl").write_text(records.encode(record()) + "\n" + records.encode(sampled())[:200])
    status, out, err = report("records.jsonl")
    assert (status, out) == (1, "report: index.html\n")
    assert err == "left out: records.jsonl, line 2: the line is cut short or is not JSON.\n"
    text = Page((root / "index.html").read_text()).text
    assert "records.jsonl, line 2: the line is cut short or is not JSON." in text
    assert "depth/tents-double" in text
    assert "All green" not in text


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "there is no file records.jsonl."),
        (b"", "records.jsonl is empty: the run that wrote it judged nothing."),
        (b"\n \n", "records.jsonl is empty: the run that wrote it judged nothing."),
        (
            b"\x89PNG\xff\xfe",
            "records.jsonl holds no claimlab records (records.jsonl, line 1: the line is cut short or",
        ),
        (
            b'{"a": 1}\n[]\n',
            "records.jsonl holds no claimlab records (records.jsonl, line 1: the line is JSON, but not",
        ),
        (b'{"schema": 99, "claim": "a/b"}', "the record has schema 99; this version of claimlab reads schema 1)."),
    ],
)
def test_bad_input_is_answered_in_one_sentence(root, report, content, sentence):
    if content is not None:
        (root / "records.jsonl").write_bytes(content)
    status, out, err = report("records.jsonl")
    assert (status, out) == (4, "")
    assert sentence in err
    assert err.count("\n") == 1
    assert not (root / "index.html").exists()


def test_a_page_that_cannot_be_written_and_wrong_arguments_are_usage_errors(root, report):
    (root / "records.jsonl").write_text(records.encode(record()) + "\n")
    status, _, err = report("records.jsonl", "--output", "nowhere/page.html")
    assert (status, err) == (
        4,
        "python -m claimlab report: the report nowhere/page.html cannot be written (No such file or directory).\n",
    )
    assert report()[0] == 4
    assert report("records.jsonl", "--colour")[0] == 4
    status, out, _ = report("--help")
    assert status == 0
    assert "RECORDS" in out
