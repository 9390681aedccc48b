"""The page: it shows every record, escapes every word, and loads nothing."""

import re
from typing import Any

from claimlab.records.record import DECLARED, ERROR
from claimlab.report import page
from tests.made import WIN, control, exact, sampled
from tests.report.project import JUDGED, SLIDES, Page, keyed


def test_a_declared_claim_has_a_card_and_is_no_test(root):
    declared = exact(claim="sec/taste", finding="untestable", kind="none", verdict=DECLARED, asks="")
    text = page.render([exact(), declared], root=root)
    assert "1 test of 2 claims came out as found" in text
    assert text.count("Declared, not tested: what a test would be") == 1


def test_every_judged_test_appears_with_its_words_and_command(root):
    judged = [exact(), sampled(), control(), sampled(test="test_also", device="cuda")]
    text = Page(page.render(judged, root=root)).text
    for each in judged:
        for words_of in (each.says, each.statement, each.reason, each.scope, each.source, each.test, each.command):
            assert words_of in text
    assert "All green." in text
    assert "on cuda" in text
    assert "9 x 10⁻⁸" in keyed(text), "two claims and a control may raise a false alarm"


def test_powers_are_raised_and_papers_linked_and_everything_is_escaped(root):
    source = "Telgarsky 2016 (arXiv 1602.04485), doi 10.1000/x_y; 2011.13550 <b>"
    text = page.render([exact(says="2^k or 2^(k-1) < .9^T", source=source)], root=root)
    assert "2<sup>k</sup> or 2<sup>k-1</sup> &lt; .9<sup>T</sup>" in text
    assert 'href="https://arxiv.org/abs/1602.04485" rel="noreferrer">arXiv 1602.04485</a>' in text
    assert 'href="https://doi.org/10.1000/x_y"' in text
    assert 'href="https://arxiv.org/abs/2011.13550" rel="noreferrer">2011.13550</a> &lt;b&gt;' in text


def test_what_is_false_as_written_comes_first_and_with_what_holds_instead(root):
    false = exact(finding="false", says="All is well.", statement="Some is.")
    text = Page(page.render([false, sampled()], root=root)).text
    places = [text.index(words) for words in ("False as written", "All is well.", "Some is.", "The deck, slide by")]
    assert places == sorted(places)
    assert text.index("What holds instead") < text.rindex("Some is.") < text.rindex("What was tested")


def test_a_run_of_a_part_never_says_all_green(root):
    (root / "claims" / "other").mkdir()
    (root / "claims" / "other" / "test_more.py").write_text("")
    few = Page(page.render([sampled(), control()], root=root)).text
    assert "All green" not in few
    assert "Green as far as it was run. 2 tests of 1 of 2 claims" in " ".join(few.split())
    assert "Interrupted: green as far as it ran." in page.render([sampled()], root=root, interrupted=True)
    of_four = page.render([sampled(of=4)], root=root)
    assert "some of the claim's tests were not run" in Page(of_four).text
    red = Page(page.render([sampled(), control(passed=False)], root=root)).text
    assert "a test did not come out as found: this run does not confirm" in red
    assert "true as the deck says it" not in red, "a red claim is not counted under its finding"


def test_controls_are_folded_unless_one_is_red(root):
    folded = Page(page.render([sampled(), control(), control(test="test_control_x")], root=root))
    assert "2 controls, all refuted as they must be" in folded.text
    red = control(verdict="SUPPORTED", passed=False, wins=11, n=11, path=[WIN * n for n in range(1, 12)])
    opened = Page(page.render([sampled(), red, control(test="test_control_x")], root=root))
    assert "2 controls, 1 of them not as found" in opened.text
    assert [attributes for tag, attributes in folded.tags if tag == "details" and "open" in attributes] == []
    assert [a["class"] for tag, a in opened.tags if tag == "details" and "open" in a] == ["tested", "controls"]


def test_a_red_test_is_in_title_banner_index_card_and_row(root):
    red = control(verdict="SUPPORTED", passed=False, wins=11, n=11, path=[WIN * n for n in range(1, 12)])
    html = page.render([exact(), sampled(), red], root=root)
    parsed = Page(html)
    assert "<title>1 red" in html
    assert "All green." not in parsed.text
    assert "supported, not refuted" in parsed.text
    assert "wants REFUTED and the evidence says SUPPORTED" in parsed.text
    bad = [tag for tag, attributes in parsed.tags if "bad" in (attributes.get("class") or "").split()]
    assert sorted(bad) == ["a", "article", "section", "section"]
    assert html.count('href="#optimization.wide-nets"') >= 2


def test_a_test_that_failed_unjudged_is_red_too(root):
    html = page.render([exact()], root=root, unjudged=["claims/depth/test_x.py::declaration"])
    assert "<title>1 red" in html
    assert "claims/depth/test_x.py::declaration" in Page(html).text


def test_an_error_shows_its_message(root):
    broken = exact(verdict=ERROR, passed=False, asks="", message="The check raised ValueError: <odd>.")
    assert "The check raised ValueError: <odd>." in Page(page.render([broken], root=root)).text


def test_claims_stand_in_the_decks_order_and_unknown_slides_last(root):
    slides = [SLIDES[3], "No such slide", SLIDES[2], SLIDES[1], SLIDES[0]]
    judged = [exact(claim=f"depth/c{place}", slide=slide) for place, slide in enumerate(slides)]
    judged += [exact(claim=f"depth/a{entry}", slide=SLIDES[0], covers=[f"A{entry}"]) for entry in (10, 2)]
    html = page.render(judged, root=root)
    anchors = re.findall(r'<article[^>]* id="([^"]+)"', html)
    assert anchors == ["depth.a2", "depth.a10", "depth.c4", "depth.c3", "depth.c2", "depth.c0", "depth.c1"]
    assert "Claimlab: A deck</title>" in html
    assert "(One and Two)" in html
    strip = html[html.index('<nav class="strip"') : html.index("</nav>")]
    numbered = re.findall(r'<span class="number">(\d)</span> ([^<]+)</p>', strip)
    assert numbered == [(str(number), slide) for number, slide in enumerate((*SLIDES, "No such slide"), start=1)]


def test_a_false_claim_shows_the_decks_wording_refuted_and_then_the_corrected_statement(root):
    wording = exact(test="test_deck_wording", asks="refutes", verdict="REFUTED", finding="false")
    tests = [exact(test="test_control_x", finding="false"), exact(finding="false"), wording]
    html = page.render(tests, root=root)
    assert re.findall(r'<span class="role">([^<]+)</span>', html) == ["deck wording", "corrected statement", "control"]
    assert re.findall(r'<span class="verdict">([^<]+)</span>', html)[:2] == ["refuted", "supported"]


def test_a_row_tells_its_world(root):
    odd = control(world={"width": 2, "norm": "none", "sizes": [1, 2], "rate": 0.5, "how": "f(<b>)"})
    text = Page(page.render([sampled(world={}), odd], root=root)).text
    assert "With width = 2, norm = none, sizes = [1, 2], rate = 0.5, how = f(<b>)." in text
    assert text.count("With ") == 1


def test_an_excused_test_is_green_and_says_why_it_may_be(root):
    excused = sampled(verdict="REFUTED", passed=False, excused="Eleven bits.", dtype="float16")
    text = Page(page.render([excused, control()], root=root)).text
    assert "All green." in text
    assert "refuted, as is expected in float16" in text
    assert "Not expected to pass in float16: Eleven bits." in text


def test_the_page_depends_on_the_records_alone_not_on_their_order(drawing, drawn):
    assert page.render(JUDGED[::-1], root=drawing) == drawn


def test_record_text_is_escaped(root):
    evil = '<script>alert(1)</script><img src=x onerror="alert(1)">\'"&'
    fields = ("claim", "slide", "finding", "says", "statement", "reason", "scope", "source", "test", "about", "command")
    fields += ("message", "epoch", "device", "torch", "python", "machine", "when", "module", "counterexample")
    changes: dict[str, Any] = dict.fromkeys(fields, evil) | {"covers": [evil], "numbers": {evil: evil}}
    judged = [exact(**changes), exact(**changes, kind="property", passed=False, verdict="REFUTED", examples=3)]
    judged += [sampled(**changes, rows={"win": [True] * 16, evil: [1.0] * 16})]
    html = page.render(judged, root=root, complaints=[evil], unjudged=[evil])
    parsed = Page(html)
    assert [tag for tag, _ in parsed.tags if tag in ("script", "img")] == ["script"], "the page's own, and no other"
    assert not [name for _, attributes in parsed.tags for name in attributes if name.startswith("on")]
    assert parsed.text.count("<script>alert(1)</script>") > len(fields)


def test_nothing_is_loaded_from_anywhere(drawn):
    parsed = Page(drawn)
    loading = parsed.attributes("src", "srcset", "href", "xlink:href", "data", "action", "poster", "background", "ping")
    links = [attributes["href"] for tag, attributes in parsed.tags if tag == "a"]
    assert [link for link in loading if not link.startswith(("#", "data:"))] == ["https://example.org"]
    assert links.count("https://example.org") == 1, "a link to the deck is followed by the reader, not by the page"
    assert "@import" not in drawn
    assert [target for target in re.findall(r"url\(([^)]*)\)", drawn) if not target.startswith("#")] == []
    assert not {"iframe", "object", "embed", "base"} & {tag for tag, _ in parsed.tags}
    assert "default-src 'none'" in drawn, "the browser would refuse anything that slips through"


def test_ids_are_unique_and_every_reference_within_the_page_resolves(drawn):
    parsed = Page(drawn)
    ids = parsed.attributes("id")
    assert len(ids) == len(set(ids))
    clips = set(re.findall(r"url\(#(.*?)\)", drawn))
    assert clips | {link[1:] for link in parsed.attributes("href") if link.startswith("#")} <= set(ids)
    assert len({each.partition(".")[0] for each in clips}) > 1, "the twin's figure has clip paths of its own"


def test_a_record_cannot_name_code_outside_claims(root):
    (root / "evil.py").write_text("from pathlib import Path\nPath(__file__).with_name('ran').touch()\n")
    for module in ("evil.py", "claims/../evil.py", str(root / "evil.py"), "/etc/passwd", ""):
        text = Page(page.render([exact(module=module)], root=root)).text
        assert "No figure: the module that draws it is not here." in text
    assert not (root / "ran").exists()
