"""A run compared with another, in Markdown, and as claims.json."""

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from scipy import stats

from claimlab import __main__ as command_line
from claimlab.declare.deck import Deck
from claimlab.records import files
from claimlab.records.record import DECLARED
from claimlab.report import compare, summary
from claimlab.report.effects import Effect, effects
from tests.made import control, exact, sampled

ROOT = Path(__file__).parents[2]
DECK = Deck("A deck", slides=("Depth and Parametric Cost", "Non-convex Optimization"))

TABLE = {"win": [True] * 16, "loss": [1.0 + 0.1 * i for i in range(16)], "met": [True] * 16, "flat": [2.0] * 16}
SAMPLED = sampled(rows=TABLE)
D6, C1 = SAMPLED, exact()
B2 = exact(claim="expressivity/any-function", covers=["B2"], kind="property", examples=40, world={"by": "f(<x>)"})
DECLARATION = exact(claim="depth/taste", covers=["A7"], finding="untestable", kind="none", asks="", verdict=DECLARED)
JUDGED = [D6, control(), C1, B2, DECLARATION]


# -- effect sizes --------------------------------------------------------------------------------------------------


def test_effects_are_means_of_the_judged_seeds_with_scipys_bca_interval():
    found = effects(SAMPLED)
    assert found.keys() == {"loss", "flat"}
    column = np.array(TABLE["loss"][:11])
    result = stats.bootstrap((column,), np.mean, n_resamples=50_000, method="BCa", rng=np.random.default_rng(1))
    assert found["loss"].mean == pytest.approx(column.mean())
    assert found["loss"].low == pytest.approx(result.confidence_interval.low, abs=0.02)
    assert found["loss"].high == pytest.approx(result.confidence_interval.high, abs=0.02)
    assert found["flat"] == Effect(2.0, 2.0, 2.0, 11)


def test_the_same_record_gives_the_same_interval_whatever_else_it_holds():
    alone = replace(SAMPLED, rows={"win": TABLE["win"], "loss": TABLE["loss"]})
    assert effects(alone)["loss"] == effects(SAMPLED)["loss"] == effects(SAMPLED)["loss"]


def test_a_metric_with_a_number_that_is_not_finite_has_no_effect_size():
    assert "loss" not in effects(replace(SAMPLED, rows=TABLE | {"loss": ["nan", *TABLE["loss"][1:]]}))


def test_exact_records_have_none():
    assert effects(C1) == {}


# -- comparison ----------------------------------------------------------------------------------------------------


def test_a_run_against_itself_has_not_changed():
    changes = compare.changes(JUDGED, JUDGED)
    assert not changes
    assert changes.compared == len(JUDGED)


def test_verdicts_come_red_first_and_new_and_gone_tests_are_named():
    red = replace(D6, verdict="REFUTED", passed=False)
    excused = replace(control(), verdict="SUPPORTED", passed=False, excused="coarse")
    dropped = replace(D6, test="test_dropped")
    base, head = [D6, B2, control(), dropped], [red, C1, excused]
    changes = compare.changes(base, head)
    assert [pair.either.test for pair in changes.verdicts] == [
        "test_claim", "test_claim", "test_control_narrow", "test_dropped",
    ]  # fmt: skip
    assert (changes.verdicts[0].head, changes.verdicts[1].base) == (red, None)
    assert changes.verdicts[2].head is excused, "what is excused is not red"
    assert changes.verdicts[3].head is None
    assert changes.compared == 2


def test_a_run_of_a_part_is_compared_in_what_both_runs_have():
    part = [record for record in JUDGED if record.claim == D6.claim]
    changes = compare.changes(JUDGED, part)
    assert not changes.verdicts
    assert D6.claim not in changes.not_run
    assert B2.claim in changes.not_run
    assert "not judged in this one" in summary.markdown(part, DECK, changes=changes)


def test_markdown_does_not_call_a_few_of_a_claims_tests_all_green():
    assert summary.markdown([replace(D6, of=1)], DECK).startswith("### Claimlab: all green\n")
    assert summary.markdown([replace(D6, of=4)], DECK).startswith("### Claimlab: green as far as it was run\n")


def test_an_effect_moved_only_if_its_intervals_do_not_overlap():
    near = replace(SAMPLED, rows=TABLE | {"loss": [x + 0.05 for x in TABLE["loss"]]})
    far = replace(SAMPLED, rows=TABLE | {"loss": [x + 2 for x in TABLE["loss"]]})
    assert compare.changes([SAMPLED], [near]).effects == []
    (moved,) = compare.changes([SAMPLED], [far]).effects
    assert (moved.metric, moved.head.mean - moved.base.mean) == ("loss", pytest.approx(2))
    assert compare.changes([SAMPLED], [replace(far, version=99)]).effects == [], "versions are not comparable"


def test_a_cost_counts_when_it_is_large_in_seconds_and_as_a_factor():
    def costs(before: float, after: float) -> int:
        return len(compare.changes([replace(D6, seconds=before)], [replace(D6, seconds=after)]).costs)

    assert costs(1, 2) == costs(2, 1) == 1
    assert costs(0.1, 0.4) == costs(10, 11) == 0


def test_devices_are_compared_with_their_own_and_otherwise_with_each_other():
    cuda = replace(D6, device="cuda")
    assert [(p.base, p.head) for p in compare.matched([D6, cuda], [cuda, D6])] == [(D6, D6), (cuda, cuda)]
    assert [(p.base, p.head) for p in compare.matched([D6], [cuda])] == [(D6, cuda)]


# -- markdown and json ---------------------------------------------------------------------------------------------


def test_markdown_says_what_is_red_and_what_changed_and_lists_every_claim():
    red = replace(D6, verdict="REFUTED", passed=False, says="a | b <b>`")
    judged = [red if record is D6 else record for record in JUDGED]
    text = summary.markdown(judged, DECK, ["line 3: cut."], compare.changes(JUDGED, judged))
    assert text.startswith("### Claimlab: 1 red\n")
    assert f"- **red** `{D6.claim}` `test_claim`: refuted, not supported. `{D6.command}`" in text
    assert f"- `{D6.claim}` `test_claim`: supported, now refuted, not supported" in text
    assert "- left out: line 3: cut." in text
    assert "a \\| b &lt;b>\\`" in text
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 2 + len({record.claim for record in JUDGED})
    assert [line for line in table if line.startswith("| ❌")] == [line for line in table if " D6 " in line]
    assert summary.markdown(JUDGED, DECK).startswith("### Claimlab: all green\n")


def test_claims_json_keeps_its_schema_and_holds_every_test():
    schema = json.loads((ROOT / "docs" / "claims.schema.json").read_text())
    odd = replace(SAMPLED, test="test_odd", numbers={"x": float("nan")})
    text = summary.claims_json([*JUDGED, odd], DECK)
    parsed = json.loads(text)
    jsonschema.validate(parsed, schema)
    assert (parsed["schema"], parsed["deck"]) == (summary.SCHEMA, "A deck")
    assert [claim["id"] for claim in parsed["claims"]][-1] == D6.claim, "the deck's order"
    assert parsed["green"]
    assert sum(len(claim["tests"]) for claim in parsed["claims"]) == 1 + sum(not r.declared for r in JUDGED)
    (test,) = [each for claim in parsed["claims"] for each in claim["tests"] if each["test"] == "test_odd"]
    assert test["effects"]["loss"]["n"] == test["seeds"] == 11
    assert json.loads(summary.claims_json([D6], DECK, ["a line"]))["green"] is False
    excused = replace(D6, verdict="REFUTED", passed=False, excused="It is coarse.", dtype="bfloat16")
    green = json.loads(summary.claims_json([excused], DECK))
    assert green["green"]
    jsonschema.validate(green, schema)


def test_the_schema_describes_every_field_that_is_written():
    schema = json.loads((ROOT / "docs" / "claims.schema.json").read_text())
    (claim,) = json.loads(summary.claims_json([D6], DECK))["claims"]
    assert list(claim) == list(schema["$defs"]["claim"]["properties"])
    assert set(claim["tests"][0]) == set(schema["$defs"]["test"]["properties"])


# -- the command ---------------------------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, judged in {"base": [D6], "head": [replace(D6, seconds=99.0)]}.items():
        (tmp_path / name).mkdir()
        files.replace(tmp_path / name / files.RECORDS, judged)
    return tmp_path


def test_each_format_has_its_file(run, capsys):
    for form, file in command_line.FORMATS.items():
        assert command_line.main(["report", "head", "--format", form]) == 0
        assert (run / "head" / file).exists()
        assert capsys.readouterr().out == f"report: {Path('head') / file}\n"


def test_a_dash_writes_to_stdout_alone(run, capsys):
    assert command_line.main(["report", "head", "--format", "markdown", "--output", "-", "--against", "base"]) == 0
    assert "now 99 s" in capsys.readouterr().out
    assert not (run / "head" / "summary.md").exists()


def test_the_page_compares_too(run):
    assert command_line.main(["report", "head", "--against", "base/records.jsonl"]) == 0
    text = (run / "head" / "index.html").read_text()
    assert "What changed" in text
    assert "now 99 s" in text


def test_claims_json_holds_one_run(run, capsys):
    assert command_line.main(["report", "head", "--format", "json", "--against", "base"]) == 4
    assert "claims.json holds one run, so write one for each" in capsys.readouterr().err


def test_a_base_that_is_not_there_is_one_sentence(run, capsys):
    assert command_line.main(["report", "head", "--against", "nowhere"]) == 4
    assert capsys.readouterr().err == "python -m claimlab report: there is no file nowhere.\n"
