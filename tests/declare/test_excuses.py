"""The list of tests that a coarse precision is not expected to carry."""

from pathlib import Path

import pytest

from claimlab.declare.excuses import BadExcusesError, read


def test_reasons_are_read_by_precision_and_test(tmp_path: Path):
    assert read(tmp_path) == {}
    (tmp_path / "precision.toml").write_text('[float16]\n"a/b::test_claim" = "It is coarse."\n[bfloat16]\n')
    assert read(tmp_path) == {"float16": {"a/b::test_claim": "It is coarse."}, "bfloat16": {}}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[float16", r"claims/precision\.toml cannot be read: .*\."),
        ("[int8]", r"claims/precision\.toml has a table for each of float64, .*, float16, not 'int8'\."),
        ("float16 = 3", r"claims/precision\.toml has a table for each of float64, .*, float16, not 'float16'\."),
        (
            '[float16]\n"a/b::test_claim" = " "',
            r"claims/precision\.toml: 'a/b::test_claim' needs its reason in words\.",
        ),
        ('[float16]\n"a/b::test_claim" = 3', r"claims/precision\.toml: 'a/b::test_claim' needs its reason in words\."),
        ("[float16]\na.b = 'x'", r"claims/precision\.toml: 'a' needs its reason in words\."),
    ],
)
def test_a_list_that_cannot_be_used_says_why(tmp_path: Path, text: str, sentence: str):
    root = tmp_path / "claims"
    root.mkdir()
    (root / "precision.toml").write_text(text)
    with pytest.raises(BadExcusesError, match=f"^{sentence}$"):
        read(root)
