"""Tests that are not expected to come out as found in a coarse precision."""

from claimlab import Statistical
from tests.plugin.project import Bench, draws, exact, shown

LIST = """
[float16]
"sec/lost::test_claim" = "Eleven bits are too few."
"sec/kept::test_claim" = "It was thought that eleven bits are too few."
"sec/sum::test_claim" = "Exact evidence has no precision."
"sec/own::test_claim" = "It computes in a precision of its own."
"""
LOSES = "Rows(win=(draw < bound) & ('float16' not in str(draw.dtype)))"


def test_a_test_on_the_list_is_not_expected_and_one_that_holds_is_told(bench: Bench):
    bench.put("claims/precision.toml", LIST)
    bench.write("lost", **draws(returns=LOSES))
    bench.write("kept", **draws())
    bench.write("sum", **exact(b="4"))
    bench.write("own", **draws(returns=LOSES, evidence=Statistical(dtype="float64")))
    result = bench.run("claims", "--claims-dtype", "float16", "-rx")
    result.assert_outcomes(passed=5, xfailed=1, xpassed=1, failed=1)
    text = shown(result)
    assert "not expected in float16: Eleven bits are too few." in text
    assert "8 tests judged, 1 not as found." in text
    assert "1 tests came out otherwise, as is expected in float16." in text
    assert "As found although not expected, take them off the list: sec/kept::test_claim." in text
    assert "ok   holds      T1     lost  0/7 seeds; 1/1 control refuted; 1 not expected in float16" in text
    assert "FAIL holds      T1     sum " in text
    excused = {
        record.claim: (record.passed, record.good, record.excused) for record in bench.records() if record.excused
    }
    assert excused == {
        "sec/lost": (False, True, "Eleven bits are too few."),
        "sec/kept": (True, True, "It was thought that eleven bits are too few."),
    }


def test_the_list_of_one_precision_excuses_nothing_in_another(bench: Bench):
    bench.put("claims/precision.toml", LIST)
    bench.write("lost", **draws(bound="-3.5"))
    result = bench.run("claims", "--claims-dtype", "bfloat16")
    result.assert_outcomes(passed=1, failed=1)
    assert "expected" not in shown(result)
