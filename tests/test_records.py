"""Records: what goes in comes out, what cannot be read says why, and nothing is lost halfway."""

import json
import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from claimlab.records import record as records
from claimlab.records.record import NotARecordError, Record

ROOT = Path(__file__).parents[1]


def record(**changes) -> Record:
    good = Record(
        claim="sec/name", covers=["T1", "T2"], slide="A slide", version=3, finding="holds", says="It is said.",
        statement="It is so.", reason="It was looked at.", scope="here", source="nobody",
        module="claims/sec/test_name.py", digest="0123456789abcdef", test="test_claim", about="", asks="supports",
        kind="statistical", verdict="SUPPORTED", passed=True, seconds=0.25, wins=2, n=3, path=[0.5, 1.0, -1.25],
        plan={"holds": 0.95}, seeds=[0, 1, 2, 3], rows={"win": [True, False, True, True], "loss": [0.5, 2.0, 0.25, 1]},
        epoch="pinned", device="cpu", dtype="float32", threads=1, torch="2.13.0", claimlab="0.1.0", python="3.11.7",
        machine="Linux x86_64", when="2031-05-01T00:00:00+00:00", command="pytest claims/sec/test_name.py::test_claim",
    )  # fmt: skip
    return replace(good, **changes)


def test_a_record_survives_the_round_trip():
    assert records.decode(records.encode(record())) == record()


def test_a_record_is_one_line_of_strict_json():
    line = records.encode(
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
    read = records.decode(records.encode(record(rows={"win": [False] * 5, "loss": loss}, n=5)))
    back = records.table(read)["loss"]
    assert math.isnan(back[0])
    assert back[1:4] == [math.inf, -math.inf, 1.5]
    assert back[4][0] == 0.5
    assert math.isnan(back[4][1])
    assert math.isnan(records.numbers(read.rows)["loss"][0])


def test_the_table_holds_judged_seeds_alone():
    assert records.table(record()) == {"win": [True, False, True], "loss": [0.5, 2.0, 0.25]}


def test_arrays_tensors_and_scalars_become_plain():
    values = {
        "numpy scalar": np.float64(0.1),
        "numpy integer": np.int32(7),
        "numpy bool": np.True_,
        "array": np.array([[1.0, np.nan], [2.0, np.inf]]),
        "tensor": torch.tensor([1.5, float("nan")], requires_grad=True),
        "bools": torch.tensor([True, False]),
        "half": torch.tensor(0.5, dtype=torch.bfloat16),
        "tuple": (1, (2.0, None)),
        "range": range(3),
        "fraction": Fraction(1, 3),
        "big": 10**40,
        3: "a key",
    }
    assert records.plain(values) == {
        "numpy scalar": 0.1, "numpy integer": 7, "numpy bool": True, "array": [[1.0, "nan"], [2.0, "inf"]],
        "tensor": [1.5, "nan"], "bools": [True, False], "half": 0.5, "tuple": [1, [2.0, None]], "range": [0, 1, 2],
        "fraction": "1/3", "big": 10**40, "3": "a key",
    }  # fmt: skip
    assert type(records.plain(np.True_)) is bool
    assert type(records.plain(np.float32(2))) is float


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150)
@given(st.dictionaries(st.text(), anything, max_size=4))
def test_whatever_a_check_reports_is_written_and_read_back(numbers):
    line = records.encode(record(numbers=numbers))
    assert records.decode(line).numbers == records.plain(numbers)
    assert records.encode(records.decode(line)) == line


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (records.encode(record())[:-20], "the line is cut short or is not JSON"),
        ("Traceback", "the line is cut short or is not JSON"),
        ("[1, 2]", "the line is JSON, but not a claimlab record"),
        ("null", "the line is JSON, but not a claimlab record"),
        ('{"claim": "sec/name"}', "the line is JSON, but not a claimlab record"),
        ('{"schema": 99, "claim": "sec/name"}', "has schema 99; this version of claimlab reads schema 1"),
        ('{"schema": 1, "claim": "sec/name"}', "the record is incomplete"),
    ],
)
def test_a_line_that_is_no_record_says_why(line, sentence):
    with pytest.raises(NotARecordError, match=sentence):
        records.decode(line)


def test_fields_of_a_later_version_are_passed_over():
    values = json.loads(records.encode(record())) | {"colour": "green"}
    assert records.decode(json.dumps(values)) == record()


def test_a_file_is_read_around_its_bad_lines(tmp_path):
    path = tmp_path / "records.jsonl"
    records.append(path, records.encode(record()))
    records.append(path, "")
    records.append(path, '{"schema": 99, "claim": "a"}')
    records.append(path, records.encode(record(claim="sec/other")))
    with path.open("a") as file:
        file.write(records.encode(record())[:100])  # the run was killed here
    read, complaints = records.read(path)
    assert [one.claim for one in read] == ["sec/name", "sec/other"]
    assert complaints == [
        "records.jsonl, line 3: the record has schema 99; this version of claimlab reads schema 1.",
        "records.jsonl, line 5: the line is cut short or is not JSON.",
    ]


def test_replacing_a_file_is_all_or_nothing(tmp_path, monkeypatch):
    path = tmp_path / "certificates.jsonl"
    records.replace(path, [record()])
    replaced = [record(claim="sec/a"), record(claim="sec/b")]

    def interrupted(one: Record) -> str:
        if one.claim == "sec/b":
            raise KeyboardInterrupt
        return "{}"

    with monkeypatch.context() as patch:
        patch.setattr(records, "encode", interrupted)
        with pytest.raises(KeyboardInterrupt):
            records.replace(path, replaced)
    assert records.read(path) == ([record()], [])
    records.replace(path, replaced)
    assert records.read(path) == (replaced, [])
    assert sorted(tmp_path.iterdir()) == [path]


def test_lost_seeds_are_those_that_speak_against_the_test():
    assert list(records.lost(record())) == [1]
    assert list(records.lost(record(asks="refutes"))) == [0, 2]  # seed 3 was trained, but not judged


def test_a_records_claim_test_and_section():
    assert record().section == "sec"
    assert not record().control
    assert record(test="test_control_width").control


def test_the_schema_is_documented():
    """`docs/records.md` names every field, so that other programs can read records."""
    text = (ROOT / "docs" / "records.md").read_text(encoding="utf-8")
    for name in Record.__dataclass_fields__:
        assert f"`{name}`" in text, f"docs/records.md does not describe the field {name!r}"


@pytest.mark.parametrize(
    ("field", "value"),
    [("claim", 3), ("covers", "D6"), ("covers", [6]), ("version", "1"), ("version", True), ("passed", 1), ("wins", 2.5),
     ("path", ["far"]), ("rows", []), ("seconds", "1"), ("seconds", False), ("n", "11"), ("counterexample", {})],
)  # fmt: skip
def test_a_field_of_another_type_is_named(field, value):
    line = json.dumps(json.loads(records.encode(record())) | {field: value})
    with pytest.raises(records.NotARecordError, match=f"the record's {field} is not what it should be"):
        records.decode(line)
