"""What a judged test leaves behind: one JSON object a line, its schema versioned.

A record carries the claim's own words, so that a report needs nothing else to be written. Numbers that JSON has no
word for (nan, inf) are written as strings. `docs/records.md` describes every field for other programs.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from types import UnionType
from typing import Any, get_args, get_origin

from claimlab.declare.questions import is_control
from claimlab.judge.plain import numbers, plain
from claimlab.judge.task import speaks
from claimlab.records.sound import complaints

SCHEMA = 2
ERROR = "ERROR"
DECLARED = "DECLARED"


@dataclass(frozen=True, kw_only=True)
class Record:
    """One judged test of one claim on one device, or the declaration of a claim that cannot be tested."""

    # The claim, in its own words.
    claim: str
    covers: list[str]
    slide: str
    version: int
    finding: str
    says: str
    statement: str
    reason: str
    scope: str
    source: str
    # The test.
    module: str
    digest: str
    test: str
    about: str
    asks: str
    kind: str
    # How many tests its claim has, so that a few of them are not taken for all; 0 where it is not known.
    of: int = 0
    # The world it asked in: the keywords of the check, functions and objects by name.
    world: dict[str, Any] = field(default_factory=dict)
    # What came of it. `excused` says why the opposite of what the test asks is no news in this precision.
    verdict: str
    passed: bool
    excused: str = ""
    message: str = ""
    seconds: float = 0.0
    # Statistical evidence: `rows` holds a list for each metric, a value for each of `seeds`; the first `n` were judged.
    wins: int | None = None
    n: int | None = None
    path: list[float] = field(default_factory=list)
    plan: dict[str, Any] = field(default_factory=dict)
    seeds: list[int] = field(default_factory=list)
    rows: dict[str, list[Any]] = field(default_factory=dict)
    # Exact and property evidence: the certificate in numbers; the worlds tried, and the one that refuted.
    numbers: dict[str, Any] = field(default_factory=dict)
    examples: int | None = None
    counterexample: str | None = None
    # Where it was measured.
    epoch: str
    device: str
    dtype: str
    parts: dict[str, str] = field(default_factory=dict)
    threads: int
    torch: str
    claimlab: str
    python: str
    machine: str
    when: str
    command: str
    commit: str = ""
    schema: int = SCHEMA

    @property
    def section(self) -> str:
        """The part of the deck the claim belongs to."""
        return self.claim.partition("/")[0]

    @property
    def control(self) -> bool:
        """Whether this is a claim's control."""
        return is_control(self.test)

    @property
    def good(self) -> bool:
        """Whether it came out as found, or is excused."""
        return self.passed or bool(self.excused)

    @property
    def declared(self) -> bool:
        """Whether this only declares a claim that cannot be tested, and judges nothing."""
        return self.verdict == DECLARED


class NotARecordError(ValueError):
    """A line that cannot be read as a record; the message says why."""


class OtherSchemaError(NotARecordError):
    """A record that another version of claimlab wrote."""


def encode(record: Record) -> str:
    """A record as one line of strict JSON."""
    return json.dumps(plain(asdict(record)), allow_nan=False, separators=(",", ":"))


def decode(line: str) -> Record:
    """The record on a line. Raises `NotARecordError` with a sentence that says what is wrong."""
    try:
        values = json.loads(line)
        json.dumps(values, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise NotARecordError("the line has characters that are none") from error
    except (ValueError, RecursionError) as error:  # of JSON, of a number of too many digits, of too deep a nesting
        raise NotARecordError("the line is cut short or is not JSON") from error
    if not isinstance(values, dict) or "schema" not in values or "claim" not in values:
        raise NotARecordError("the line is JSON, but not a claimlab record")
    if values["schema"] != SCHEMA:
        raise OtherSchemaError(
            f"the record has schema {values['schema']} and this version of claimlab reads schema {SCHEMA}; "
            "run the claims again, or read it with the version that wrote it"
        )
    known = {entry.name: entry.type for entry in fields(Record)}
    given = {name: value for name, value in values.items() if name in known}
    for name, value in given.items():
        if not _fits(value, known[name]):
            raise NotARecordError(f"the record's {name} is not what it should be ({json.dumps(value)[:60]})")
    try:
        record = Record(**given)
    except TypeError as error:
        raise NotARecordError(f"the record is incomplete ({error})") from error
    if odd := next(complaints(given), None):
        raise NotARecordError(f"no run wrote this record: {odd}")
    return record


def _fits(value: object, wanted: Any) -> bool:
    """Whether a value of JSON has the type that a field declares; what lists and objects hold is taken as it is."""
    if isinstance(wanted, UnionType):
        return any(_fits(value, each) for each in get_args(wanted))
    if wanted is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if get_args(wanted) == (str,) or get_args(wanted) == (float,):
        return isinstance(value, list) and all(_fits(entry, get_args(wanted)[0]) for entry in value)
    return isinstance(value, get_origin(wanted) or wanted) and (wanted is not int or not isinstance(value, bool))


def table(record: Record) -> dict[str, list[Any]]:
    """The rows of a statistical record, judged seeds only, with their numbers as floats."""
    return {name: numbers(column[: record.n or 0]) for name, column in record.rows.items()}


def lost(record: Record) -> Iterator[int]:
    """The seeds, in order, whose outcome speaks against what the test asks for."""
    unwanted = record.asks != "supports"
    for seed, win in zip(record.seeds[: record.n or 0], record.rows.get("win", []), strict=False):
        if win is unwanted:
            yield seed


def mute(record: Record) -> list[int]:
    """The judged seeds that say nothing: without their premise, or with a number that is not finite."""
    if not record.rows:
        return []
    judged = zip(record.seeds[: record.n or 0], speaks(record.rows), strict=False)
    return [seed for seed, says in judged if not says]
