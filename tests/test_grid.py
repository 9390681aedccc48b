"""The grid of the deck, in small."""

from tests import grid


def test_the_table_has_a_row_for_each_optimizer_and_net(capsys):
    assert grid.main(["--small", "--data-sets", "3", "--workers", "1"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in said[2:8]] == ["sgd", "adam", "lbfgs", "16", "64", "all"]
    assert said[7].split()[1] <= "36"
    assert said[-1].startswith("36 fits")
