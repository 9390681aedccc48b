"""`--claims-seed`: one seed of one claim, as it was in the run."""

from tests.plugin.project import LEFT_OUT, Bench, draws, exact, shown


def test_one_seed_shows_the_row_it_had_in_the_run(bench: Bench):
    bench.write("drawn", **draws())
    bench.write("sum", **exact())
    bench.run("claims")
    before = bench.records()
    result = bench.run("claims/sec/test_drawn.py", "--claims-seed", "5")
    result.assert_outcomes(passed=2)
    draw = bench.record("sec/drawn").rows["draw"][5]
    assert f"sec/drawn  test_claim  seed 5:  win=True  draw={draw:.4g}" in result.outlines
    assert bench.records() == before


def test_one_seed_far_beyond_the_plan_can_be_run(bench: Bench):
    block = "block=[f'{seeds.indices[0]} and {len(seeds) - 1} more'] * len(seeds)"
    bench.write("drawn", **draws(returns=f"Rows(win=draw < bound, {block})"))
    result = bench.run("claims", "--claims-seed", "1000003")
    assert "seed 1000003:  win=True  block=1000000 and 15 more" in shown(result)  # in the block it would be in


def test_a_broken_module_alone_says_what_is_wrong(bench: Bench):
    bench.write("bad", **exact(), statement=LEFT_OUT)
    result = bench.run("claims", "--claims-seed", "3")
    result.assert_outcomes(failed=1)
    assert "missing 1 required keyword-only argument: 'statement'" in shown(result)
