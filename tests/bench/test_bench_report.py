"""What `make bench` renders: tables, bars and the roofline plot."""

import json

import pytest

from bench import report


def step(**changed):
    return {
        "kind": "step", "name": "MLP", "seeds": 64, "needs": 25, "over_one_by_one": 27.0, "over_vmap": 2.0,
        "seconds": {"one by one": 0.05, "vmap": 0.004, "block": 0.002},
    } | changed  # fmt: skip


def block(mode="eval", **changed):
    seconds = {"stock NCHW": 2e-3, "stock channels-last": 1.5e-3, "ours": 1e-3}
    return {
        "kind": "conv/BN", "name": "64->256 56px 1x1 N=8", "mode": mode, "seconds": seconds,
        "best_stock": "stock channels-last", "ours_over_best_stock": 0.67, "ours_over_stock_nchw": 0.5,
        "flops": 10**9, "bytes": 10**7, "gemm_peak": 1e12, "copy_bandwidth": 2e10, "of_the_limit": 0.5,
    } | changed  # fmt: skip


def said(case, text):
    """The one bar of a case whose words hold `text`."""
    (bar,) = [bar for bar in report.bars([case]) if text in bar.says]
    return bar


def test_bars_are_met_up_to_their_bound():
    assert said(step(over_one_by_one=25.0), "one by one").met
    assert not said(step(over_one_by_one=24.9), "one by one").met
    assert not said(step(over_vmap=0.99), "vmap").met
    assert said(block(ours_over_best_stock=1.03), "best stock").met
    assert not said(block(ours_over_best_stock=1.04), "best stock").met
    assert said(block(ours_over_stock_nchw=1 / 1.2), "NCHW").met
    assert not said(block(ours_over_stock_nchw=1 / 1.19), "NCHW").met


def test_only_evaluation_of_1x1_convolutions_is_compared_with_stock_nchw():
    assert not [bar for bar in report.bars([block("train")]) if "NCHW" in bar.says]
    assert not [bar for bar in report.bars([block(name="64->64 56px 3x3 N=8")]) if "NCHW" in bar.says]


def test_a_missed_bar_names_its_limit():
    missed = said(block(ours_over_best_stock=1.2), "best stock")
    assert "at 50% of the roofline, which arithmetic sets" in str(missed)  # 1e-3 s of it, 5e-4 s of memory


def test_bytes_kept_need_not_be_fewer_than_the_input_and_the_weights():
    def bar(ours: int, least: int) -> report.Bar:
        kept = {"stock channels-last": 100, "ours, keeps input": ours}
        return said(block("forward", kept_bytes=kept, least_bytes=least), "bytes kept")

    assert bar(60, 20).met
    assert not bar(61, 20).met
    assert bar(66, 65).met
    assert not bar(70, 65).met


def test_which_line_of_the_roofline_bounds_a_case():
    assert report.bound_by(block(flops=10**9, bytes=10**6)) == "arithmetic"
    assert report.bound_by(block(flops=10**6, bytes=10**9)) == "memory"


def write(tmp_path, *cases):
    path = tmp_path / "benchmarks.json"
    machine = {"cpu": {"brand_raw": "A CPU"}, "threads": 2, "torch": "2", "python_version": "3.11", "device": "cpu"}
    run = {"machine_info": machine, "datetime": "2026-01-01T00:00", "benchmarks": [{"extra_info": c} for c in cases]}
    path.write_text(json.dumps(run))
    return path


def test_the_table_shows_every_kind_of_case(tmp_path, capsys):
    keeps = {"kept_bytes": {"stock channels-last": 100, "ours, keeps input": 30}, "least_bytes": 30}
    claim = step(kind="claim", name="H15", says="Random labels.", over_one_by_one=10.9)
    start = {
        "kind": "start-up", "name": "pytest claims --collect-only", "claims": 12, "over_import_torch": 1.5,
        "seconds": {"collect": 1.8, "import torch": 1.2, "import claimlab": 0.1},
    }  # fmt: skip
    path = write(tmp_path, step(), claim, start, block(), block("forward", **keeps), block("train"))
    assert report.main([str(path)]) == 0
    text = (tmp_path / "table.md").read_text()
    for words in ("| MLP | 64 | 50 | 4 | 2 | **27.0** | 25 | 2.0 |", "**10.9**", "12 claims", "0.30", "roofline.svg"):
        assert words in text
    assert "7 of 7 bars are met" in capsys.readouterr().out
    first = (tmp_path / "roofline.svg").read_bytes()
    report.main([str(path)])
    assert (tmp_path / "roofline.svg").read_bytes() == first


def test_hot_and_cold_stand_side_by_side(tmp_path):
    path = write(tmp_path, block(seconds_cold={"stock NCHW": 5e-3, "stock channels-last": 4e-3, "ours": 3e-3}))
    report.main([str(path)])
    assert "| 1 / 3 |" in (tmp_path / "table.md").read_text()


@pytest.mark.parametrize(("content", "says"), [(None, "is not there"), ("{", "is not what"), ("[]", "is not what")])
def test_a_file_that_is_not_a_benchmark_gets_one_sentence(tmp_path, capsys, content, says):
    path = tmp_path / "benchmarks.json"
    if content is not None:
        path.write_text(content)
    assert report.main([str(path)]) == 2
    assert says in capsys.readouterr().err
