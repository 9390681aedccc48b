"""A module that breaks the rules is one failing item that lists every sentence, and the other modules go on."""

import re
from typing import Any

import pytest

from claimlab import Exact, Property, Statistical
from tests.plugin.project import LEFT_OUT, Bench, assert_no_frame_of_ours, case, exact, module, shown

SUM = exact()
ITS_TEST, ITS_CONTROL = SUM["tests"]


def bad(line: str = "judge(check).supports()", **changes: Any) -> str:
    """A module that is good but for the line of its test, or the changes."""
    parts: dict[str, Any] = SUM | {"id": "sec/bad", "tests": [case(line), ITS_CONTROL]} | changes
    return module(**parts)


def marked(mark: str) -> str:
    return bad(tests=[case("judge(check).supports()", marks=f"@pytest.mark.{mark}"), ITS_CONTROL])


def control(line: str, *, marks: str = "", takes: str = "judge") -> str:
    return bad(tests=[ITS_TEST, case(line, name="test_control", marks=marks, takes=takes)])


ONE_SET = "is parametrized: only controls may be, by one mark with a list of ids, so that each has a name."

BAD_MODULES = [
    # the declaration
    ("def test_claim(): pass", "The module declares no CLAIM; every module under claims/ is one claim"),
    ("CLAIM = 'a claim'", "CLAIM must be a claimlab.Claim, not str."),
    (bad(finding="maybe"), "CLAIM.finding 'maybe' is unknown; choose one of holds, scoped, false,"),
    (bad(finding=["holds"]), "CLAIM.finding ['holds'] is unknown; choose one of holds, scoped, false,"),
    (bad(finding="false"), "A claim found false needs test_deck_wording"),
    (bad(id="other/bad"), "CLAIM.id 'other/bad' must begin with its folder, 'sec/'."),
    (bad(id="Sec/Bad One"), "CLAIM.id 'Sec/Bad One' must read section/name in lower case with dashes"),
    (bad(id=7), "CLAIM.id 7 must read section/name in lower case with dashes"),
    (bad(id="sec/good"), "CLAIM.id 'sec/good' is that of two modules: claims/sec/test_bad_8.py is the newer one"),
    (bad(slide="No slide"), "CLAIM.slide 'No slide' is no slide of the deck; claims/deck.toml lists them."),
    (bad(version=0), "CLAIM.version 0 must be a whole number from 1."),
    (bad(statement=" "), "CLAIM.statement is empty; the report has nothing to print there."),
    (bad(reason=None), "CLAIM.reason is empty; the report has nothing to print there."),
    (bad(covers="H15"), "CLAIM.covers must be a tuple of catalogue entries"),
    (bad(covers=(15,)), "CLAIM.covers must be a tuple of catalogue entries"),
    (bad(evidence=Exact), "CLAIM.evidence must be Exact(), Property() or Statistical()."),
    (bad(evidence=None), "CLAIM.evidence must be Exact(), Property() or Statistical()."),
    (bad(evidence=Statistical(holds=0.5)), "Statistical evidence needs 0 < broken < holds < 1."),
    (bad(evidence=Statistical(block=0)), "Statistical evidence needs a block of at least 1"),
    (bad(evidence=Statistical(dtype="half")), "Statistical evidence has dtype 'half'; choose one of float64, float32,"),
    (bad(evidence=Property(examples=0)), "Property evidence needs at least one example."),
    (
        bad(finding="untestable", evidence=None),
        "A claim found untestable has no tests; give it the finding that its tests assert.",
    ),
    (
        module(id="sec/bad", finding="untestable"),
        "A claim found untestable gathers no evidence; leave CLAIM.evidence out.",
    ),
    # the code
    (bad(version=LEFT_OUT), "The module raised TypeError on import: Claim.__init__() missing 1"),
    (bad(tail="import no_such_module"), "The module raised ModuleNotFoundError on import: No module named 'no_such"),
    (bad(tail="def broken(:"), "The module raised SyntaxError on import: invalid syntax (test_bad_"),
    (bad(tail="1 / 0"), "The module raised ZeroDivisionError on import: division by zero"),
    (bad(tail="raise SystemExit(3)"), "The module raised SystemExit on import: 3"),
    # the tests
    (bad(tests=[ITS_TEST]), "The module has no test_control...: show a world in"),
    (bad(tests=[ITS_CONTROL]), "The module has no test of the claim itself"),
    (bad(tests=[case("pass", takes=""), ITS_CONTROL]), "test_claim does not take the `judge` fixture"),
    (marked("property(exmples=7)"), "test_claim: @pytest.mark.property takes examples=, and was given something else."),
    (marked("exact(1)"), "test_claim: @pytest.mark.exact takes no arguments, and was given something else."),
    (marked("statistical(block=0)"), "test_claim: Statistical evidence needs a block of at least 1"),
    # the questions
    (bad("pass"), "test_claim judged nothing: call judge(check) and then .supports() or .refutes()."),
    (bad("judge(check)"), "test_claim asserts nothing: end judge(...) with .supports() or .refutes()."),
    (
        bad("judge(check); judge(check).supports()"),
        "test_claim judges more than once; write a second test for a second verdict.",
    ),
    (
        bad("it = judge(check); it.supports(); it.refutes()"),
        "test_claim judges more than once; write a second test for a second verdict.",
    ),
    (bad("judge.supports()"), "test_claim raised AttributeError before anything was judged: 'Judge' object has no"),
    (bad("pytest.skip('not now')"), "test_claim raised Skipped before anything was judged: not now"),
    (bad("judge(check, c=1).supports()"), "test_claim: check does not take what judge(...) gives it: got an une"),
    (
        bad("judge(check, given=3).supports()"),
        "test_claim has given=, which properties have; mark the test @pytest.mark.property.",
    ),
    (marked("property"), "test_claim: a property needs worlds: judge(check, given=a Hypothesis strategy)."),
    (
        control("judge(check, given=3).refutes()", marks="@pytest.mark.property"),
        "test_control names no world that refutes it, and would hang on what is drawn: judge(check, given=..., exa",
    ),
    (control("judge(check, b=2).supports()"), "test_control: a control must be refuted: end it with .refutes()."),
    (marked("parametrize('b', [1], ids=['one'])"), f"test_claim {ONE_SET}"),
    (
        control("judge(check, b=b).refutes()", marks="@pytest.mark.parametrize('b', [1])", takes="judge, b"),
        f"test_control {ONE_SET}",
    ),
]  # fmt: skip


def test_bad_modules_fail_with_one_sentence_each_and_the_others_go_on(bench: Bench):
    bench.put("claims/deck.toml", 'title = "A deck"\nslides = ["A slide"]')
    bench.write("a_good", **SUM | {"id": "sec/good"})
    bench.write("z_good", **SUM | {"id": "sec/z-good"})
    for number, (text, _) in enumerate(BAD_MODULES):
        unique = text.replace("'sec/bad'", f"'sec/bad-{number}'")
        bench.put(f"claims/sec/test_bad_{number}.py", unique)
    result = bench.run("claims")
    result.assert_outcomes(passed=4, failed=len(BAD_MODULES))
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    text = shown(result)
    for number, (_, sentence) in enumerate(BAD_MODULES):
        assert re.search(rf"_ claims/sec/test_bad_{number}\.py _+\n{re.escape(sentence)}", text), sentence
    assert "Not judged, see above: claims/sec/test_bad_0.py::declaration, claims/sec/test_bad_1.py::decl" in text
    assert f"2 of {len(BAD_MODULES) + 2} claims: 2 holds. 4 tests judged, 0 not as found." in text
    assert_no_frame_of_ours(text)


def test_one_item_lists_all_that_is_wrong(bench: Bench):
    tests = [case("pass"), case("judge(check)", name="test_more"), case("judge(check).supports()", name="test_control")]
    bench.put("claims/sec/test_bad.py", bad(tests=tests))
    result = bench.run("claims")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["test_claim judged nothing: *", "test_more asserts nothing: *", "test_control: a control must be refuted: *"],
        consecutive=True,
    )


@pytest.mark.parametrize("place", ["claims/test_lost.py", "claims/sec/deeper/test_lost.py"])
def test_a_module_outside_a_section_says_where_to_put_it(bench: Bench, place: str):
    bench.write("good", **SUM)
    bench.put(place, bad())
    result = bench.run("claims")
    result.assert_outcomes(passed=2, failed=1)
    assert "The module must lie in the folder of its section: claims/<section>/test_lost.py." in shown(result)
