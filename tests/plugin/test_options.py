"""Options that cannot be used are usage errors of one sentence; the old names lead to the new."""

import re
import shlex

import pytest
import torch

from claimlab.plugin import options
from tests.plugin.project import Bench, case, draws, exact, shown


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("device nonsense", r"--claims-device nonsense is no device torch knows; this machine has cpu.*\."),
        ("device cuda:99", r"--claims-device cuda:99 is not available; this machine has cpu.*\."),
        ("device meta", r"--claims-device meta is not available; this machine has cpu.*\."),
        ("device ''", r"--claims-device  is no device torch knows; this machine has cpu.*\."),
        ("dtype float8", r"--claims-dtype float8 is unknown; choose one of float64, float32, bfloat16, float16\."),
        ("dtype Tensor", r"--claims-dtype Tensor is unknown; choose one of float64, float32, bfloat16, float16\."),
        ("epoch ' '", r"--claims-epoch needs a name; 'pinned' is the one everybody runs\."),
        ("seed three", r"--claims-seed three must be a whole number from 0\."),
        ("seed -1", r"--claims-seed -1 must be a whole number from 0\."),
        ("seed 1.5", r"--claims-seed 1.5 must be a whole number from 0\."),
        ("certify 0", r"--claims-certify 0 must be a whole number from 1\."),
        ("certify many", r"--claims-certify many must be a whole number from 1\."),
        (
            "certify 9 --claims-epoch x",
            r"--claims-certify has epochs of its own, which the code names; drop --claims-epoch\.",
        ),
        (
            "certify 9 --claims-seed 1",
            r"--claims-certify runs many seeds and --claims-seed runs one; give one of them\.",
        ),
        ("seed 1 -n 2", r"--claims-seed runs one seed in this process; drop -n\."),
        ("seed 1", r"--claims-seed 1 needs exactly one statistical claim, and the selection holds 2; name .*\."),
        ("seed 1 -k no_such", r"--claims-seed 1 needs exactly one .*, and the selection holds none; name .*\."),
        ("seed 1 -m exact", r"--claims-seed 1 needs exactly one .*, and the selection holds none; name .*\."),
        ("report a_file/below", r"--claims-report .*/a_file/below cannot be written \(Not a directory\); name a .*\."),
        ("report a_file", r"--claims-report .*/a_file cannot be written \(File exists\); name a directory .*\."),
        ("report ''", r"--claims-report needs the name of a directory\."),
    ],
)
def test_a_bad_option_is_one_sentence(bench: Bench, given: str, sentence: str):
    if "seed 1" in given:  # else nothing is collected
        bench.write("drawn", **draws())
        bench.write("second", **draws())
        bench.write("sum", **exact())
    (bench.path / "claims").mkdir(exist_ok=True)
    bench.put("a_file", "in the way")
    (said,) = usage_error(bench, *shlex.split(f"--claims-{given}"))
    assert re.fullmatch(sentence, said)
    assert not (bench.path / "reports/latest/records.jsonl").exists()


def usage_error(bench: Bench, *arguments: str) -> list[str]:
    """The lines that a run says which ends in a usage error."""
    result = bench.run("claims", *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "Traceback" not in shown(result)
    return [line.removeprefix("ERROR: ") for line in result.errlines if line.strip()]


@pytest.mark.parametrize("old", ["device", "dtype", "epoch", "certify", "report", "claim-seed"])
def test_an_old_name_is_a_usage_error_that_says_the_new_one(bench: Bench, old: str):
    (bench.path / "claims").mkdir()
    said = "\n".join(usage_error(bench, f"--{old}", "cpu"))
    assert f"unrecognized arguments: --{old}" in said
    assert (
        "claimlab: --device, --dtype, --epoch, --certify and --report begin with --claims- now, "
        "and --claim-seed is --claims-seed." in said
    )


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("deck.toml", "title = ", "claims/deck.toml cannot be read: "),
        ("deck.toml", 'slides = ["A slide"]', "claims/deck.toml needs a title in quotes (and may have an address)."),
        ("precision.toml", "[bfloat16", "claims/precision.toml cannot be read: "),
        ("precision.toml", "[int8]", "claims/precision.toml has a table for each of float64, float32, bfloat16, float"),
        ("precision.toml", '[float16]\n"a::b" = " "', "claims/precision.toml: 'a::b' needs its reason in words."),
    ],
)
def test_a_list_of_the_project_that_cannot_be_used_is_one_sentence(
    bench: Bench, file: str, content: str, sentence: str
):
    bench.put(f"claims/{file}", content)
    (said,) = usage_error(bench)
    assert said.startswith(sentence)


def test_device_all_with_one_device_is_that_device(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    bench.write("drawn", **draws())
    bench.run("claims", "--claims-device", "all").assert_outcomes(passed=2)
    assert [record.device for record in bench.records()] == ["cpu", "cpu"]


def test_device_all_judges_statistical_claims_on_every_device(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    # two names of one device
    monkeypatch.setattr(options, "_available_devices", lambda name: ("cpu", "cpu:0"))
    low = case("judge(trial, bound=bound).refutes()", name="test_control_low", takes="judge, bound",
               marks='@pytest.mark.parametrize("bound", [-3.5, -4.5], ids=["low", "lower"])')  # fmt: skip
    drawn = draws()
    bench.write("drawn", **drawn | {"tests": [drawn["tests"][0], low]})
    bench.write("sum", **exact())
    result = bench.run("claims", "--claims-device", "all")
    result.assert_outcomes(passed=8)
    judged = bench.records()
    assert [(record.device, record.kind) for record in judged].count(("cpu:0", "statistical")) == 3
    assert [record.device for record in judged if record.kind == "exact"] == ["cpu", "cpu"]
    assert {record.test for record in judged} >= {"test_control_low[low]", "test_control_low[lower]"}
    rows = [record.rows for record in judged if record.test == "test_claim" and record.kind == "statistical"]
    assert rows[0] == rows[1]
    assert {record.command.partition(" --")[2] for record in judged} == {"", "claims-device cpu:0"}
