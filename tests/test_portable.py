"""The worlds that `make portable` makes."""

import pytest

from tests import portable


def test_the_cores_are_busy_until_the_end_and_no_longer():
    with portable.busy_cores() as loops:
        assert loops
        assert [loop.poll() for loop in loops] == [None] * len(loops)
    assert None not in [loop.poll() for loop in loops]


def test_a_red_world_does_not_hide_the_others(monkeypatch, capsys):
    ran = []

    def is_green(world: str, suite: str) -> bool:
        ran.append((world, suite))
        return (world, suite) != ("avx2", "claims")

    monkeypatch.setattr(portable, "is_green", is_green)
    assert portable.main([]) == 1
    assert ran == [(world, suite) for world in portable.WORLDS for suite in ("tests", "claims")]
    assert capsys.readouterr().out == "== red elsewhere\navx2: claims\n"
    assert portable.main(["busy", "--only", "claims"]) == 0
    assert ran[-1] == ("busy", "claims")


def test_a_world_that_does_not_exist_is_one_sentence(capsys):
    with pytest.raises(SystemExit, match="2"):
        portable.main(["sse2"])
    assert "there is no world sse2; choose of plain, avx2, sse41, busy" in capsys.readouterr().err
