"""The templates that the README hands to authors run as they are."""

from pathlib import Path

import pytest

from claimlab.report import page

TEMPLATES = sorted((Path(__file__).parents[2] / "docs" / "templates").glob("test_*.py"))


def test_there_is_a_template_for_each_kind_of_evidence():
    assert [path.stem for path in TEMPLATES] == ["test_exact", "test_property", "test_statistical"]


@pytest.mark.parametrize("template", TEMPLATES, ids=[path.stem for path in TEMPLATES])
def test_a_template_is_a_sound_claim_that_draws_a_figure(bench, template):
    folder = bench.path / "claims" / "example"
    folder.mkdir(parents=True)
    (folder / template.name).write_bytes(template.read_bytes())
    bench.run().assert_outcomes(passed=2)
    assert {record.kind for record in bench.records()} == {template.stem.removeprefix("test_")}
    picture = page.picture(bench.records(), bench.path)
    assert (picture.missing, picture.svg[:4]) == ("", "<svg")
