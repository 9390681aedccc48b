"""Files of records: one a line, each written at once."""

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from claimlab.records.record import NotARecordError, OtherSchemaError, Record, decode, encode

RECORDS, PREVIOUS, CERTIFICATES = "records.jsonl", "records.previous.jsonl", "certificates.jsonl"


def read(path: Path) -> tuple[list[Record], list[str]]:
    """The records of a file, and a sentence for each line that could not be read.

    Lines of another schema, of which there are as many as tests, share one sentence.
    """
    records, complaints = [], []
    foreign: Counter[str] = Counter()
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        if line.strip():
            try:
                records.append(decode(line))
            except OtherSchemaError as error:
                foreign[str(error)] += 1
            except NotARecordError as error:
                complaints.append(f"{path.name}, line {number}: {error}.")
    for reason, lines in foreign.items():
        complaints.append(f"{path.name}, {lines} line{'s' * (lines > 1)}: {reason}.")
    return records, complaints


def lines(path: Path) -> int:
    """How many records a file holds, readable or not; none if it is not there."""
    return path.read_bytes().count(b"\n") if path.exists() else 0


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
