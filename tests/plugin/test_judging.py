"""What a red test says, and what cannot be judged: rows, premises, checks, worlds."""

import re
import shlex

from claimlab import Statistical
from claimlab.records.record import lost
from tests.plugin.project import Bench, assert_no_frame_of_ours, case, draws, exact, shown, worlds


def test_a_failure_shows_the_statement_the_seeds_that_lost_and_a_command_that_works(bench: Bench):
    bench.write("drawn", **draws(bound="-0.5"))
    result = bench.run("claims", "--claims-epoch", "an epoch")
    result.assert_outcomes(passed=1, failed=1)
    text = shown(result)
    record = bench.record("sec/drawn")
    assert record.verdict == "REFUTED"
    assert "test_claim wants SUPPORTED and the evidence says REFUTED." in text
    assert "Statement: A draw stays below the bound." in text
    assert "This test: Almost every draw is small." in text
    first, *_ = against = list(lost(record))
    for seed in against[:5]:
        assert f"  seed {seed}: draw={record.rows['draw'][seed]:.4g}" in text
    assert_no_frame_of_ours(text)
    assert re.search(r"FAIL holds      T1     drawn +\d+/\d+ seeds; 1/1 control refuted", text)
    assert "2 tests judged, 1 not as found." in text

    _, *again = shlex.split(line_after(text, "Run it again: "))
    repeated = bench.run(*again)
    repeated.assert_outcomes(failed=1)
    assert bench.record("sec/drawn").rows == record.rows

    _, *alone = shlex.split(line_after(text, "Run the first of these seeds alone: "))
    result = bench.run(*alone)
    result.assert_outcomes(failed=1)
    assert f"seed {first}:  win=False  draw={record.rows['draw'][first]:.4g}" in shown(result)


def line_after(text: str, words: str) -> str:
    return next(line.partition(words)[2] for line in text.splitlines() if words in line)


def test_every_kind_of_red_says_what_it_wanted_and_what_it_saw(bench: Bench):
    bench.write("undecided", **draws(bound="0.7", evidence=Statistical(max_seeds=32)))
    bench.write("sum", **exact(b="4", before='"""Whether a and b make four."""'))
    bench.write("small", **worlds(bound="321", examples=100))
    bench.write("control", **draws(control="3.6"))
    result = bench.run("claims")
    result.assert_outcomes(passed=4, failed=4)
    text = shown(result)
    assert "sec/undecided (T1) was found 'holds'; test_claim wants SUPPORTED and the evidence says UNRESOLVED." in text
    assert "sec/sum (T1) was found 'holds'; test_claim wants SUPPORTED and the evidence says REFUTED.\n" in text
    assert "  sum = 6" in text
    assert "The check: Whether a and b make four." in text
    assert re.search(r"Counterexample, after \d+ worlds: 321\n", text)  # the smallest
    assert "test_control_low wants REFUTED and the evidence says SUPPORTED." in text
    assert "Seeds that won:" in text
    assert_no_frame_of_ours(text)


SILENT = "speaks against what the test wants."


def test_a_row_that_says_nothing_speaks_against_what_the_test_asks(bench: Bench):
    """A control that is refuted by nothing but NaN, or without its premise, is no control."""
    odd = "loss=[float('nan')] * 3 + [float('inf')] + [1.0] * 4 + [float('nan')] * 8"
    bench.write("odd", **draws(returns=f"Rows(win=draw < bound, {odd})"))
    bench.write("nan", **draws(returns="Rows(win=draw < bound, loss=draw * float('nan'))"))
    bench.write("premise", **draws(returns="Rows(win=draw < bound, premise=draw > 9, draw=draw)"))
    result = bench.run("claims")
    result.assert_outcomes(passed=1, failed=5)
    text = shown(result)
    assert bench.record("sec/odd").rows["win"] == [False] * 4 + [True] * 4 + [False] * 8
    assert bench.record("sec/odd", "test_control_low").rows["win"][:16] == [True] * 4 + [False] * 4 + [True] * 8
    assert "  seed 0: loss=nan" in text
    assert "  seed 3: loss=inf" in text
    for claim in ("sec/nan", "sec/premise"):
        assert (bench.record(claim).verdict, bench.record(claim).wins) == ("REFUTED", 0)
        red = bench.record(claim, "test_control_low")
        assert (red.verdict, red.wins, red.passed) == ("SUPPORTED", 11, False)
    assert f"11 of them without their premise or with numbers that are not finite, which {SILENT}" in text
    assert f"7 of them without their premise or with numbers that are not finite, which {SILENT}" in text
    assert "  seed 0: premise=False  draw=" in text


def test_a_control_whose_premise_holds_is_refuted_as_ever(bench: Bench):
    bench.write("drawn", **draws(returns="Rows(win=draw < bound, premise=draw < 9, draw=draw)"))
    bench.run("claims").assert_outcomes(passed=2)
    assert bench.record("sec/drawn").rows["premise"] == [True] * 16


def test_a_control_is_red_if_the_world_it_names_does_not_refute_it(bench: Bench):
    parts = worlds()
    control = case("judge(check, given=st.integers(0, 1000), example=699, bound=700).refutes()", name="test_control")
    bench.write("small", **parts | {"tests": [parts["tests"][0], control]})
    result = bench.run("claims")
    result.assert_outcomes(passed=1, failed=1)
    assert "sec/small: The world that the test names does not refute it; 700 does." in shown(result)
    assert bench.record("sec/small", "test_control").verdict == "ERROR"


BAD_ROWS = [
    ("None", "The trial must return Rows(win=..., ...), not NoneType."),
    ("Rows()", "The trial raised TypeError on seeds 0 to 15 of epoch 'pinned': Rows.__init__() missing 1 required"),
    ("Rows(win=draw)", "The trial's `win` must be boolean, one a seed."),
    ("Rows(win=True)", "The trial returned no rows of 'win' for 16 seeds on seeds 0 to 15 of epoch 'pinned'"),
    ("Rows(win=(draw < 4)[:7])", "The trial returned 7 rows of 'win' for 16 seeds on seeds 0 to 15"),
    ("Rows(win=draw < 4, loss=draw[1:])", "The trial returned 15 rows of 'loss' for 16 seeds on seeds 0 to 15"),
    ("Rows(win=draw < 4, loss=draw.mean())", "The trial returned no rows of 'loss' for 16 seeds on seeds 0 to 15"),
    ("Rows(win=draw < 4, premise=draw)", "The trial's `premise` must be boolean, one a seed."),
    ("Rows(win=draw < 4, premise=True)", "The trial returned no rows of 'premise' for 16 seeds on seeds 0 to 15"),
    (
        "Rows(win=draw < 0.7, **({'draw': draw} if seeds.indices[0] else {}))",
        "The trial's rows changed their columns between two blocks of seeds.",
    ),
]


def test_rows_that_cannot_be_judged_fail_and_the_others_go_on(bench: Bench):
    bench.write("good", **draws())
    for number, (returned, _) in enumerate(BAD_ROWS):
        bench.write(f"bad-{number}", **draws(returns=returned))
    result = bench.run("claims")
    result.assert_outcomes(passed=2, failed=2 * len(BAD_ROWS))
    for number, (_, sentence) in enumerate(BAD_ROWS):
        assert f"sec/bad-{number}: {sentence}" in shown(result)
        record = bench.record(f"sec/bad-{number}")
        assert (record.verdict, record.passed) == ("ERROR", False)
        assert record.message.startswith(sentence)
    assert bench.record("sec/good").passed
    assert_no_frame_of_ours(shown(result))


def test_a_trial_that_raises_names_its_seeds_shows_no_frame_of_ours_and_keeps_the_seeds_before(bench: Bench):
    raises = draws(before="broken(seeds)", evidence=Statistical(block=8))
    at_once = "def broken(seeds):\n    raise RuntimeError('the shapes do not fit')"
    bench.write("bad", **raises, tail=at_once)
    bench.write("late", **raises, tail="def broken(seeds):\n    assert 8 not in seeds.indices")
    bench.write("good", **draws())
    result = bench.run("claims")
    result.assert_outcomes(passed=3, failed=3)
    text = shown(result)
    assert "The trial raised RuntimeError on seeds 0 to 7 of epoch 'pinned': the shapes do not fit\n" in text
    assert ", in trial\n" in text
    assert ", in broken\n" in text
    assert_no_frame_of_ours(text)
    assert re.search(r"FAIL holds      T1     bad +error; 0/1 control refuted", text)
    assert "The trial raised AssertionError on seeds 8 to 15 of epoch 'pinned'" in text
    late = bench.record("sec/late")
    assert (late.wins, late.n, late.seeds, len(late.rows["draw"])) == (8, 8, list(range(8)), 8)


BAD_CHECKS = [
    (exact(returns="a / 0"), "The check raised ZeroDivisionError: division by zero"),
    (exact(returns="dict(held=True)"), "The check must return a Certificate, not dict"),
    (
        worlds(before="1 // max(0, 500 - it)", examples=100),
        "The check raised ZeroDivisionError on the world 500: integer division or modulo by zero",
    ),
    (worlds(given="st.integers().filter(lambda it: False)"), "Hypothesis could not explore the worlds: "),
]


def test_checks_that_cannot_be_judged_fail_and_the_others_go_on(bench: Bench):
    bench.write("good", **exact())
    for number, (parts, _) in enumerate(BAD_CHECKS):
        bench.write(f"bad-{number}", **parts)
    result = bench.run("claims")
    for number, (_, sentence) in enumerate(BAD_CHECKS):
        assert f"sec/bad-{number}: {sentence}" in shown(result)
        assert bench.record(f"sec/bad-{number}").verdict == "ERROR"
    assert_no_frame_of_ours(shown(result))
    assert bench.record("sec/good").passed


def test_a_check_that_runs_out_of_time_is_an_error_and_shows_where_it_stood(bench: Bench):
    path = bench.write("bad", **exact(before="import time; time.sleep(60)"))
    line = path.read_text().splitlines().index("    import time; time.sleep(60)") + 1
    result = bench.run("claims", "-k", "test_claim", "--timeout", "0.5")
    result.assert_outcomes(failed=1, deselected=1)
    assert f"claims/sec/test_bad.py:{line}: Failed" in result.outlines
    assert_no_frame_of_ours(shown(result))
    (record,) = bench.records()
    assert record.verdict == "ERROR"
    assert record.message == (
        "Failed: Timeout (>0.5s) from pytest-timeout. It counts as red: nothing was supported and nothing refuted."
    )
