"""Records: what goes in comes out, and what cannot be read says why."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claimlab.judge.plain import numbers, plain
from claimlab.records.record import SCHEMA, NotARecordError, OtherSchemaError, Record, decode, encode, lost, mute, table
from tests.made import control, exact, sampled

ROOT = Path(__file__).parents[2]


def record(**changes: Any) -> Record:
    """Three judged seeds of four that were trained."""
    table = {"win": [True, False, True, True], "loss": [0.5, 2.0, 0.25, 1]}
    usual: dict[str, Any] = {"wins": 2, "n": 3, "path": [0.5, 1.0, -1.25], "seeds": [0, 1, 2, 3], "rows": table}
    return sampled(**usual | changes)


def test_a_record_survives_the_round_trip():
    odd = record(world={"width": 2, "norm": "none"}, parts={"norm": "BatchNorm"}, excused="it is coarse")
    assert decode(encode(odd)) == odd


def test_a_record_is_one_line_of_strict_json():
    line = encode(
        record(
            rows={"loss": [math.nan, math.inf, -math.inf]}, message="two\nlines\u2028and more", counterexample="\x1e"
        )
    )
    assert len(line.splitlines()) == 1

    def forbidden(word):
        raise AssertionError(f"{word} is not JSON")

    assert json.loads(line, parse_constant=forbidden)["rows"]["loss"] == ["nan", "inf", "-inf"]


def test_numbers_without_a_word_in_json_come_back():
    loss = [math.nan, math.inf, -math.inf, 1.5, [0.5, math.nan]]
    read = decode(encode(record(rows={"win": [False] * 5, "loss": loss}, n=5, seeds=list(range(5)))))
    back = table(read)["loss"]
    assert math.isnan(back[0])
    assert back[1:4] == [math.inf, -math.inf, 1.5]
    assert back[4][0] == 0.5
    assert math.isnan(back[4][1])
    assert math.isnan(numbers(read.rows)["loss"][0])


def test_the_table_holds_judged_seeds_alone():
    assert table(record()) == {"win": [True, False, True], "loss": [0.5, 2.0, 0.25]}


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150)
@given(st.dictionaries(st.text(), anything, max_size=4))
def test_whatever_a_check_reports_is_written_and_read_back(reported):
    line = encode(record(numbers=reported))
    assert decode(line).numbers == plain(reported)
    assert encode(decode(line)) == line


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (encode(record())[:-20], "the line is cut short or is not JSON"),
        ("Traceback", "the line is cut short or is not JSON"),
        ("[1, 2]", "the line is JSON, but not a claimlab record"),
        ("null", "the line is JSON, but not a claimlab record"),
        ('{"claim": "sec/name"}', "the line is JSON, but not a claimlab record"),
        ('{"schema": 2, "claim": "sec/name"}', "the record is incomplete"),
    ],
)
def test_a_line_that_is_no_record_says_why(line, sentence):
    with pytest.raises(NotARecordError, match=sentence):
        decode(line)


def test_fields_of_a_later_version_are_passed_over():
    values = json.loads(encode(record())) | {"colour": "green"}
    assert decode(json.dumps(values)) == record()


def test_lost_seeds_are_those_that_speak_against_the_test():
    assert list(lost(record())) == [1]
    assert list(lost(record(asks="refutes"))) == [0, 2]  # seed 3 was trained, but not judged


def test_seeds_without_a_premise_or_a_finite_number_are_mute():
    odd = {"win": [True] * 4, "premise": [True, False, True, True], "loss": [0.5, 1.0, ["nan", 1.0], "nan"]}
    assert mute(record(rows=odd)) == [1, 2]  # seed 3 was trained, but not judged
    assert mute(record()) == mute(exact()) == []
    assert mute(control()) == [], "its one nan came after the verdict"


def test_a_record_is_good_as_found_or_excused():
    assert record().good
    assert not record(passed=False).good
    assert record(passed=False, excused="eleven bits are too few").good


def test_a_record_of_another_schema_has_an_error_of_its_own():
    with pytest.raises(OtherSchemaError, match="has schema 1 and this version of claimlab reads schema 2; run the"):
        decode(encode(record(schema=1)))


def test_a_records_claim_test_and_section():
    assert record().section == "optimization"
    assert not record().control
    assert record(test="test_control_width").control


def test_the_schema_is_documented():
    """`docs/records.md` has a row for every field, so that other programs can read records."""
    text = (ROOT / "docs" / "records.md").read_text(encoding="utf-8")
    assert [name for name in Record.__dataclass_fields__ if f"| `{name}` |" not in text] == []
    assert f"This page describes schema {SCHEMA}." in text


@pytest.mark.parametrize(
    ("field", "value"),
    [("claim", 3), ("covers", "D6"), ("covers", [6]), ("version", "1"), ("version", True), ("passed", 1), ("wins", 2.5),
     ("path", ["far"]), ("rows", []), ("seconds", "1"), ("seconds", False), ("n", "11"), ("counterexample", {}),
     ("world", []), ("excused", None), ("parts", "norm")],
)  # fmt: skip
def test_a_field_of_another_type_is_named(field, value):
    line = json.dumps(json.loads(encode(record())) | {field: value})
    with pytest.raises(NotARecordError, match=f"the record's {field} is not what it should be"):
        decode(line)
