"""The report in a real browser: filters, search, links, the comparison, accessibility; no error and no request.

Debian's chromium is driven headless. Without one these tests are skipped, but where CLAIMLAB_CHROMIUM names one it
must be there.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from claimlab.records.record import Record
from claimlab.report import page
from tests.made import control, exact, sampled
from tests.report.project import SLIDES

OF_CLAIM: dict[str, dict[str, Any]] = {
    "D1": {"claim": "optimization/mlp-loss-is-not-convex", "covers": ["D1"], "slide": SLIDES[1], "finding": "false"},
    "D2": {
        "claim": "optimization/stochastic-loss-is-lower", "covers": ["D2"], "slide": SLIDES[1], "finding": "false",
        "statement": "The loss of a net with 64 units falls by a third on the moons, whatever its width is.",
    },
    "D6": {
        "claim": "optimization/wide-nets", "covers": ["D6"], "slide": SLIDES[1],
        "says": "All minima of a net of some width are about as good on the moons.",
        "reason": "On every seed the errors of four nets lay within a hundredth of one another; " * 3,
    },
    "B2": {
        "claim": "expressivity/any-function", "covers": ["B2"], "slide": SLIDES[0], "kind": "property",
        "module": "claims/expressivity/test_any_function.py", "examples": 60, "world": {"by": "halve(1, by=4)"},
    },
    "C2 C3": {
        "claim": "expressivity/tents-need-width", "covers": ["C2", "C3"], "slide": SLIDES[2], "finding": "scoped",
    },
    "H22": {
        "claim": "generalization/double-descent", "covers": ["H22"], "slide": SLIDES[3], "finding": "scoped",
        "statement": "The error on unseen moons falls again beyond the width at which all labels are fitted.",
    },
    "F7": {"claim": "normalization/layer-norm-is-invariant", "covers": ["F7"], "slide": SLIDES[3]},
}  # fmt: skip


def some_records() -> list[Record]:
    """Claims of every kind and finding; one of them draws a figure."""
    sampled_ones = ("D2", "D6", "H22")
    judged = [exact(**of) for entry, of in OF_CLAIM.items() if entry not in sampled_ones]
    for entry in sampled_ones:
        judged += [sampled(**OF_CLAIM[entry]), control(**OF_CLAIM[entry])]
    for entry in ("D1", "D2"):
        judged.append(exact(**OF_CLAIM[entry], test="test_deck_wording", asks="refutes", verdict="REFUTED"))
    return judged


@pytest.fixture(scope="module")
def green(tmp_path_factory: pytest.TempPathFactory, drawing: Path) -> Path:
    """The page of a run as it should be."""
    path = tmp_path_factory.mktemp("report") / "index.html"
    path.write_text(page.render(some_records(), root=drawing), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory, drawing: Path) -> Path:
    """The same run with one red test, against itself as it was, with another effect size and another cost."""
    base = some_records()
    head = []
    for record in base:
        if (record.covers, record.test) == (["D6"], "test_claim"):
            rows = {name: [0.5 * (1 + place / 99) for place in range(16)] for name in record.rows}
            record = replace(record, seconds=record.seconds + 9, rows=rows | {"win": record.rows["win"]})
        if record.covers == ["B2"]:
            record = replace(record, verdict="REFUTED", passed=False, counterexample="Fraction(1, 2)")
        head.append(record)
    path = tmp_path_factory.mktemp("compared") / "index.html"
    path.write_text(page.render(head, root=drawing, base=base), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    named = os.environ.get("CLAIMLAB_CHROMIUM")
    chromium = named or shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        pytest.skip("no chromium here: install it (apt-get install chromium), or name one in CLAIMLAB_CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator:
    """Opens a page; afterwards no error was logged and nothing but the file itself was requested."""
    said: list[str] = []
    requested: list[str] = []
    contexts = []

    def open_page(path: Path, *, query: str = "", **options) -> Page:
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: requested.append(request.url))
        page.goto(f"file://{path}{query}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []
    assert [url for url in requested if not url.startswith(("file://", "data:"))] == []


def shown(page: Page) -> set[str]:
    """The catalogue entries of the cards that can be seen."""
    return {
        card.locator(".id .covers").text_content() or ""
        for card in page.locator(".card").all()
        if card.is_visible()  # inner_text would be empty far down the page, where nothing is laid out yet
    }


EVERYTHING = {"D1", "D2", "D6", "B2", "C2 C3", "H22", "F7"}


def test_everything_is_there_at_first(visit, green):
    page = visit(green)
    assert shown(page) == EVERYTHING
    assert page.locator(".filter output").inner_text() == "7 claims"


@pytest.mark.parametrize(
    ("field", "choice", "left"),
    [
        ("finding", "false", {"D1", "D2"}),
        ("section", "expressivity", {"B2", "C2 C3"}),
        ("evidence", "statistical", {"D2", "D6", "H22"}),
        ("verdict", "green", EVERYTHING),
    ],
)
def test_a_filter_leaves_its_claims_and_lives_in_the_address(visit, green, field, choice, left):
    page = visit(green)
    page.select_option(f"select[name={field}]", choice)
    assert shown(page) == left
    assert page.url.endswith(f"?{field}={choice}")
    page.reload()
    assert shown(page) == left
    page.click("button[type=reset]")
    assert shown(page) == EVERYTHING
    assert "?" not in page.url


def test_showing_all_takes_effect_at_once(visit, green):
    page = visit(green, query="?finding=false")
    button = page.locator("button[type=reset]")
    assert button.evaluate("it => { it.click(); return document.querySelectorAll('.card[hidden]').length }") == 0


def test_search_finds_words_in_any_order_and_joins_the_filters(visit, green):
    page = visit(green)
    page.keyboard.press("/")
    page.keyboard.type("MOONS  width")
    assert "D6" in shown(page)
    assert "D1" not in shown(page)
    page.select_option("select[name=finding]", "scoped")
    assert shown(page) == {"H22"}
    assert visit(green, query="?q=moons+width&finding=scoped").locator(".card:visible").count() == 1
    page.fill("input[name=q]", "no such words anywhere")
    assert shown(page) == set()
    assert "no claim has all of this" in page.locator(".filter output").inner_text()


def test_a_value_the_page_does_not_have_filters_nothing(visit, green):
    assert shown(visit(green, query="?finding=nonsense&evidence=<script>")) == EVERYTHING


def test_the_strip_leads_to_a_claim_even_to_one_that_is_filtered_out(visit, green):
    page = visit(green, query="?finding=false")
    page.click(".pill:has-text('H22')")
    assert page.locator("[data-section=generalization]").is_visible()
    expect(page.locator("[data-section=generalization] > header")).to_be_in_viewport()


def test_without_javascript_everything_can_be_read(visit, green):
    page = visit(green, java_script_enabled=False)
    assert shown(page) == EVERYTHING
    assert not page.locator(".filter").is_visible()


def test_the_comparison_says_what_changed_verdicts_first(visit, compared):
    page = visit(compared)
    titles = page.locator(".changes h3").all_inner_texts()
    assert titles == ["Verdicts", "Effect sizes whose intervals do not overlap", "Cost"]
    assert "supported, now refuted, not supported" in page.locator(".changes li").first.inner_text()
    page.locator(".changes a").first.click()
    assert "B2" in page.locator(".card:target .id").inner_text()
    assert "Compared with: supported" in page.locator(".card:target").inner_text()
    assert page.locator(".runs tbody tr").count() > 5


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_nothing(visit, compared, scheme, width):
    page = visit(compared, color_scheme=scheme, viewport={"width": width, "height": 900})
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    found = Axe().run(page)
    assert [
        (violation["id"], node["target"]) for violation in found.response["violations"] for node in violation["nodes"]
    ] == []


@pytest.mark.parametrize("width", [320, 768, 1280, 2560])
def test_nothing_is_wider_than_the_screen(visit, compared, width):
    page = visit(compared, viewport={"width": width, "height": 900})
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width


def test_every_control_can_be_reached_by_keyboard(visit, green):
    page = visit(green)
    page.locator(".filter input").focus()
    reached = []
    for _ in range(7):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.name || document.activeElement.type"))
    assert reached == ["section", "finding", "evidence", "verdict", "reset", "gallery", "present"]


def test_three_tabs_lead_to_the_first_card(visit, green):
    page = visit(green)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('.card') === document.querySelector('.card')")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_lecture_mode_shows_one_claim_a_screen_and_walks_the_deck(visit, green, scheme):
    page = visit(
        green, query="?present#optimization.wide-nets", viewport={"width": 1280, "height": 720}, color_scheme=scheme
    )
    assert shown(page) == {"D6"}
    assert page.locator(".place").inner_text().startswith("4 of 7")
    for part in (".badge", "h3", ".found", "figure svg"):
        expect(page.locator(f".current {part}").first).to_be_in_viewport(ratio=1)
    size = page.locator(".current .found").evaluate("it => parseFloat(getComputedStyle(it).fontSize)")
    assert size >= 22, "readable from the last row"
    assert [violation["id"] for violation in Axe().run(page).response["violations"]] == []
    page.keyboard.press("ArrowLeft")
    assert shown(page) == {"D2"}
    page.reload()
    assert shown(page) == {"D2"}, "the address says which claim"
    page.keyboard.press("End")
    page.keyboard.press("ArrowRight")
    assert shown(page) == {"H22"}
    page.keyboard.press("Escape")
    assert shown(page) == EVERYTHING
    assert "present" not in page.url
    expect(page.locator("[id='generalization.double-descent'] > header")).to_be_in_viewport()


def test_lecture_mode_walks_what_the_filters_leave(visit, green):
    page = visit(green, query="?finding=false")
    page.click("button[name=present]")
    assert shown(page) == {"D1"}
    page.keyboard.press(" ")
    assert shown(page) == {"D2"}
    assert "finding=false" in page.url


def test_the_gallery_shows_all_figures_and_leads_to_their_cards(visit, green):
    page = visit(green)
    page.click("button[name=gallery]")
    assert not page.locator(".card details").first.is_visible()
    assert page.locator("figure.drawn").first.is_visible()
    page.reload()
    assert page.locator("body.gallery").count() == 1
    page.locator(".card h3").nth(1).click()
    assert "gallery" not in page.url
    expect(page.locator(".card:target")).to_be_in_viewport()


def test_on_paper_a_claim_is_its_finding_and_its_figure(visit, green):
    page = visit(green)
    page.emulate_media(media="print")
    assert page.locator(".card .found").first.is_visible()
    assert not page.locator(".card details").first.is_visible()
