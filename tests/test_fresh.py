"""The weekly run of property tests on fresh epochs."""

from pathlib import Path

from tests import fresh

MODULE = """
from claimlab import Certificate, Claim, Property
from hypothesis import strategies as st

CLAIM = Claim(
    id="sec/{name}", covers=("T1",), slide="A slide", version=1, finding="holds", says="It is said.", statement="So.",
    reason="It was seen.", scope="here", source="nobody", evidence=Property(examples=5),
)

def check(number, *, hole={hole}):
    return Certificate(number != hole)

def test_claim(judge):
    '''There is no hole.'''
    judge(check, given=st.integers(0, 40)).supports()

def test_control(judge):
    judge(check, given=st.integers(0, 40), example=3, hole=3).refutes()
"""


def test_a_property_that_is_refuted_on_some_epochs_is_found(tmp_path: Path, capsys):
    """The control, which would be refuted on every epoch, is not asked."""
    section = tmp_path / "claims" / "sec"
    section.mkdir(parents=True)
    (section / "test_sound.py").write_text(MODULE.format(name="sound", hole=99))
    assert fresh.main(["--epochs", "8", "--named", "here"], root=tmp_path) == 0
    said = capsys.readouterr().out
    assert "test_sound: 1 tests, 0 red" in said
    assert "1 property tests on 8 epochs: 0 epochs with a red one" in said
    assert "a chance of at most 31.2% (at 95 % confidence)" in said, "1 - 0.05 ** (1 / 8)"
    (section / "test_rare.py").write_text(MODULE.format(name="rare", hole=17))
    assert fresh.main(["--epochs", "8", "--named", "here"], root=tmp_path) == 1
    said = capsys.readouterr().out
    red = [line for line in said.splitlines() if line.startswith("sec/rare::test_claim on epoch here-")]
    assert 0 < len(red) < 8, "not on every epoch is it drawn"
    assert all(line.endswith(": 17") for line in red)
    assert f"2 property tests on 8 epochs: {len(red)} epochs with a red one" in said
