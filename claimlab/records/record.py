"""What a judged test leaves behind: one JSON object a line, its schema versioned.

A record carries the claim's own words, so that a report needs nothing else to be written. Numbers that JSON has no
word for (nan, inf) are written as strings. `docs/records.md` describes every field for other programs.
"""

import json
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

SCHEMA = 1
ERROR = "ERROR"
DECLARED = "DECLARED"

# What stands in a record for the numbers that JSON has no word for.
NOT_FINITE = ("nan", "inf", "-inf")


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
    # What came of it.
    verdict: str
    passed: bool
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
        return self.test.startswith("test_control")

    @property
    def declared(self) -> bool:
        """Whether this only declares a claim that cannot be tested, and judges nothing."""
        return self.verdict == DECLARED


class NotARecordError(ValueError):
    """A line that cannot be read as a record; the message says why."""


def encode(record: Record) -> str:
    """A record as one line of strict JSON."""
    return json.dumps(plain(asdict(record)), allow_nan=False, separators=(",", ":"))


def decode(line: str) -> Record:
    """The record on a line. Raises `NotARecordError` with a sentence that says what is wrong."""
    try:
        values = json.loads(line)
    except json.JSONDecodeError as error:
        raise NotARecordError("the line is cut short or is not JSON") from error
    if not isinstance(values, dict) or "schema" not in values or "claim" not in values:
        raise NotARecordError("the line is JSON, but not a claimlab record")
    if values["schema"] != SCHEMA:
        raise NotARecordError(
            f"the record has schema {values['schema']}; this version of claimlab reads schema {SCHEMA}"
        )
    known = {entry.name: entry.type for entry in fields(Record)}
    given = {name: value for name, value in values.items() if name in known}
    for name, value in given.items():
        if not _fits(value, known[name]):
            raise NotARecordError(f"the record's {name} is not what it should be ({json.dumps(value)[:60]})")
    try:
        return Record(**given)
    except TypeError as error:
        raise NotARecordError(f"the record is incomplete ({error})") from error


def _fits(value: object, wanted: Any) -> bool:
    """Whether a value of JSON has the type that a field declares; what lists and objects hold is taken as it is."""
    if isinstance(wanted, UnionType):
        return any(_fits(value, each) for each in get_args(wanted))
    if wanted is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if get_args(wanted) == (str,) or get_args(wanted) == (float,):
        return isinstance(value, list) and all(_fits(entry, get_args(wanted)[0]) for entry in value)
    return isinstance(value, get_origin(wanted) or wanted) and (wanted is not int or not isinstance(value, bool))


def read(path: Path) -> tuple[list[Record], list[str]]:
    """The records of a file, and a sentence for each line that could not be read."""
    records, complaints = [], []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        if line.strip():
            try:
                records.append(decode(line))
            except NotARecordError as error:
                complaints.append(f"{path.name}, line {number}: {error}.")
    return records, complaints


def append(path: Path, line: str) -> None:
    """Add one line in a single write, so that an interrupted run keeps every test judged so far."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(handle, line.encode() + b"\n")
    finally:
        os.close(handle)


def replace(path: Path, records: Iterable[Record]) -> None:
    """Write a whole file of records at once: a reader sees the old one or the new one."""
    beside = path.with_suffix(".partial")
    beside.write_text("".join(encode(record) + "\n" for record in records), encoding="utf-8")
    beside.replace(path)


def table(record: Record) -> dict[str, list[Any]]:
    """The rows of a statistical record, judged seeds only, with their numbers as floats."""
    return {name: numbers(column[: record.n or 0]) for name, column in record.rows.items()}


def lost(record: Record) -> Iterator[int]:
    """The seeds, in order, whose outcome speaks against what the test asks for."""
    unwanted = record.asks != "supports"
    for seed, win in zip(record.seeds[: record.n or 0], record.rows.get("win", []), strict=False):
        if win is unwanted:
            yield seed


def numbers(value: Any) -> Any:
    """A record's value with its nan and inf turned back into floats."""
    if isinstance(value, list):
        return [numbers(entry) for entry in value]
    if isinstance(value, dict):
        return {name: numbers(entry) for name, entry in value.items()}
    return float(value) if value in NOT_FINITE else value


def plain(value: Any) -> Any:
    """Plain Python all the way down: tensors and arrays to lists, floats at nine digits, nan and inf to words."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(name): plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple | set | range):
        return [plain(entry) for entry in value]
    if isinstance(value, bool | int | str) or value is None:
        return value
    if isinstance(value, float):
        return float(f"{value:.9g}") if math.isfinite(value) else str(value)
    return str(value)
