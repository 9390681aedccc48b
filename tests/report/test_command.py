"""`python -m claimlab report`: the files it writes, and what it says of bad input."""

from collections.abc import Callable
from pathlib import Path

import pytest

from claimlab import __main__ as command_line
from claimlab.records.record import encode
from tests.made import control, exact, sampled
from tests.report.project import Page


@pytest.fixture
def report(root: Path, capsys, monkeypatch) -> Callable[..., tuple[int, str, str]]:
    """`report(*arguments)` runs the command in the project and gives the exit status, stdout and stderr."""
    monkeypatch.chdir(root)

    def run(*arguments: object) -> tuple[int, str, str]:
        try:
            status = command_line.main(["report", *map(str, arguments)])
        except SystemExit as stop:
            status = int(stop.code or 0)
        return status, *capsys.readouterr()

    return run


def test_a_page_is_rebuilt_from_its_records(root, report):
    lines = [encode(each) + "\n" for each in (exact(), sampled(), control())]
    (root / "records.jsonl").write_text("".join(lines))
    assert report("records.jsonl") == (0, "report: index.html\n", "")
    assert report(root, "--output", "other.html") == (0, "report: other.html\n", "")
    assert (root / "index.html").read_text() == (root / "other.html").read_text()
    assert "All green." in (root / "index.html").read_text()


def test_a_truncated_line_is_named_on_the_page_and_on_stderr(root, report):
    (root / "records.jsonl").write_text(encode(exact()) + "\n" + encode(sampled())[:200])
    status, out, err = report("records.jsonl")
    assert (status, out) == (1, "report: index.html\n")
    assert err == "left out: records.jsonl, line 2: the line is cut short or is not JSON.\n"
    text = Page((root / "index.html").read_text()).text
    assert "records.jsonl, line 2: the line is cut short or is not JSON." in text
    assert "depth/tents-double" in text
    assert "All green" not in text


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "there is no file records.jsonl."),
        (b"", "records.jsonl is empty: the run that wrote it judged nothing."),
        (b"\n \n", "records.jsonl is empty: the run that wrote it judged nothing."),
        (
            b"\x89PNG\xff\xfe",
            "records.jsonl holds no claimlab records (records.jsonl, line 1: the line is cut short or",
        ),
        (
            b'{"a": 1}\n[]\n',
            "records.jsonl holds no claimlab records (records.jsonl, line 1: the line is JSON, but not",
        ),
        (
            b'{"schema": 1, "claim": "a/b"}\n{"schema": 1, "claim": "a/c"}\n',
            "holds no claimlab records (records.jsonl, 2 lines: the record has schema 1 and this version of claimlab "
            "reads schema 2; run the claims again, or read it with the version that wrote it).",
        ),
    ],
)
def test_bad_input_is_answered_in_one_sentence(root, report, content, sentence):
    if content is not None:
        (root / "records.jsonl").write_bytes(content)
    status, out, err = report("records.jsonl")
    assert (status, out) == (4, "")
    assert sentence in err
    assert err.count("\n") == 1
    assert not (root / "index.html").exists()


def test_a_deck_that_cannot_be_read_is_a_usage_error(root, report):
    (root / "claims" / "deck.toml").write_text("title = ")
    (root / "records.jsonl").write_text(encode(exact()) + "\n")
    status, out, err = report("records.jsonl")
    assert (status, out) == (4, "")
    assert err.startswith("python -m claimlab report: claims/deck.toml cannot be read: ")


def test_a_page_that_cannot_be_written_and_wrong_arguments_are_usage_errors(root, report):
    (root / "records.jsonl").write_text(encode(exact()) + "\n")
    status, _, err = report("records.jsonl", "--output", "nowhere/page.html")
    assert (status, err) == (
        4,
        "python -m claimlab report: the report nowhere/page.html cannot be written (No such file or directory).\n",
    )
    assert report()[0] == 4
    assert report("records.jsonl", "--colour")[0] == 4
    status, out, _ = report("--help")
    assert status == 0
    assert "RECORDS" in out
