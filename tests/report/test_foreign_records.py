"""Records from elsewhere: whatever is in them, each is shown or refused in a sentence, and soon."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from claimlab.declare.deck import Deck
from claimlab.judge.plain import plain
from claimlab.plugin import terminal
from claimlab.records import files
from claimlab.records.record import NotARecordError, Record, decode
from claimlab.report import compare, page, summary
from tests.made import control, exact, sampled

SOUND = [plain(asdict(each)) for each in (sampled(), control(), exact(kind="property", examples=60), exact())]

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**9, -(10**9), 10**400, 2, 0, "nan", "supports", "statistical", "false", "\0", "\ud800"])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=12,
)


def read(values: dict[str, object]) -> Record | None:
    """The record, or None where it is refused in a sentence."""
    try:
        return decode(json.dumps(values))
    except NotARecordError:
        return None


def shown(judged: list[Record], root: Path) -> None:
    page.render(judged, root=root, base=judged)
    summary.markdown(judged, Deck(), changes=compare.changes(judged, judged))
    json.loads(summary.claims_json(judged, Deck()))
    list(terminal.summary(judged))


@settings(max_examples=100, deadline=10_000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(of=st.sampled_from(SOUND), others=st.dictionaries(st.sampled_from(sorted(SOUND[0])), ANYTHING, max_size=3))
def test_any_field_may_hold_anything(tmp_path, of, others):
    if record := read(of | others):
        shown([record, sampled()], tmp_path)


@settings(max_examples=30, deadline=10_000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(of=st.sampled_from(SOUND[:2]), name=st.text(max_size=5), value=ANYTHING)
@pytest.mark.parametrize("field", ["plan", "rows", "numbers", "world", "parts"])
def test_any_entry_of_an_object_may_be_anything(tmp_path, field, of, name, value):
    known = sorted(of[field])
    for key in (name, *known[:2]):
        if record := read(of | {field: of[field] | {key: value}}):
            shown([record], tmp_path)


@settings(max_examples=60, deadline=10_000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200) | st.lists(ANYTHING.map(json.dumps)).map(lambda it: "\n".join(it).encode()))
def test_a_file_may_hold_any_bytes(tmp_path, content):
    path = tmp_path / "records.jsonl"
    path.write_bytes(content)
    found, complaints = files.read(path)
    assert found == []
    assert all(complaints)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"n": 10**9, "wins": 10**9}, "more than 1000000 seeds"),
        ({"plan": {"holds": 2}}, "Statistical evidence needs 0 < broken < holds < 1"),
        ({"plan": {"max_seeds": 10**9}}, "Statistical evidence needs a whole number of at most 4096"),
        ({"plan": {"size": 3}}, "its plan is none"),
        ({"wins": 12}, "more wins than seeds"),
        ({"rows": {"win": [True]}}, "its rows are not one for each seed"),
        ({"finding": "proven"}, "there is no finding 'proven'"),
        ({"seconds": 1e300}, "it took no possible time"),
    ],
)
def test_what_no_run_wrote_is_refused_in_a_sentence(changes, sentence):
    with pytest.raises(NotARecordError, match=f"no run wrote this record: {sentence}"):
        decode(json.dumps(SOUND[0] | changes))


def test_a_million_seeds_are_shown_in_no_time(tmp_path):
    shown([decode(json.dumps(SOUND[0] | {"n": 10**6, "wins": 999_000, "rows": {}, "seeds": []}))], tmp_path)


def test_a_line_nested_without_end_is_refused():
    with pytest.raises(NotARecordError):
        decode("[" * 10**5)
    with pytest.raises(NotARecordError, match="nested more than 30 deep"):
        decode(json.dumps(SOUND[3] | {"numbers": json.loads('{"a":' * 40 + "1" + "}" * 40)}))
