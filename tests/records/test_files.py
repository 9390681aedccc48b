"""Files of records: nothing is lost halfway, and what cannot be read is told."""

from pathlib import Path

import pytest

from claimlab.records import files
from claimlab.records.record import Record, encode
from tests.made import exact

ONE, OTHER = exact(), exact(claim="depth/other")


def test_a_file_is_read_around_its_bad_lines(tmp_path: Path):
    path = tmp_path / "records.jsonl"
    for line in (encode(ONE), "", '{"schema": 99, "claim": "a"}', encode(OTHER)):
        files.append(path, line)
    with path.open("a") as file:
        file.write(encode(ONE)[:100])  # the run was killed here
    assert files.read(path) == (
        [ONE, OTHER],
        [
            "records.jsonl, line 5: the line is cut short or is not JSON.",
            "records.jsonl, 1 line: the record has schema 99 and this version of claimlab reads schema 2; "
            "run the claims again, or read it with the version that wrote it.",
        ],
    )


def test_a_file_of_an_older_version_is_told_so_in_one_sentence(tmp_path: Path):
    path = tmp_path / "records.jsonl"
    for claim in range(40):
        files.append(path, f'{{"schema": 1, "claim": "depth/{claim}"}}')
    files.append(path, encode(ONE))
    assert files.read(path) == (
        [ONE],
        [
            "records.jsonl, 40 lines: the record has schema 1 and this version of claimlab reads schema 2; "
            "run the claims again, or read it with the version that wrote it."
        ],
    )


def test_replacing_a_file_is_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "certificates.jsonl"
    files.replace(path, [ONE])

    def interrupted(record: Record) -> str:
        if record is OTHER:
            raise KeyboardInterrupt
        return "{}"

    with monkeypatch.context() as patch:
        patch.setattr(files, "encode", interrupted)
        with pytest.raises(KeyboardInterrupt):
            files.replace(path, [ONE, OTHER])
    assert files.read(path) == ([ONE], [])
    files.replace(path, [OTHER, ONE])
    assert files.read(path) == ([OTHER, ONE], [])
