"""Sawtooth nets against sawtooths drawn by hand, and best fits against all fits."""

from fractions import Fraction
from itertools import combinations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claimlab.measure.piecewise import function_of, l1_distance, pieces, sup_distance, through
from claimlab.measure.sawtooth import TENT, best_fits, sawtooth, sawtooth_net

exact = settings(database=None, derandomize=True, max_examples=20)


def test_a_sawtooth_is_up_and_down():
    f = sawtooth(3)
    assert [f(Fraction(i, 6)) for i in range(7)] == [0, Fraction(1, 2), 1, Fraction(1, 2), 0, Fraction(1, 2), 1]
    assert pieces(f, 0, 1) == 3
    assert sawtooth(2) == TENT


def test_composed_sawtooths_multiply_their_laps():
    assert sup_distance(sawtooth(3)(sawtooth(4)), sawtooth(12), 0, 1) == 0


@exact
@given(st.lists(st.integers(1, 4), min_size=1, max_size=3))
def test_a_sawtooth_net_multiplies_its_folds(folds):
    layers = sawtooth_net(folds)
    laps = 1
    for fold in folds:
        laps *= fold
    assert sup_distance(function_of(layers), sawtooth(laps), 0, 1) == 0
    assert [len(biases) for _, biases in layers] == [*folds, 1]


@exact
@given(st.lists(st.integers(0, 4), min_size=5, max_size=5), st.integers(1, 3))
def test_best_fits_are_the_best_of_all_fits(values, count):
    """Every choice of corners on a grid of five places and two heights, by exact arithmetic."""
    heights = [Fraction(1, 4), Fraction(3, 4)]
    f = through((Fraction(i, 4), Fraction(value, 4)) for i, value in enumerate(values))
    every = [
        through(zip([Fraction(i, 4) for i in (0, *inner, 4)], chosen, strict=True))
        for inner in combinations(range(1, 4), count - 1)
        for chosen in product(heights, repeat=count + 1)
    ]
    found = best_fits(f, cells=4, heights=heights, pieces=count)[-1]
    assert found in every
    assert float(l1_distance(f, found, 0, 1)) == pytest.approx(
        float(min(l1_distance(f, g, 0, 1) for g in every)), abs=1e-12
    )
