"""The bounds on the sup distance against closed forms and exact rational arithmetic."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claimlab.measure.piecewise import constant, sup_distance, through
from claimlab.measure.supnorm import sup_bounds

exact = settings(database=None, derandomize=True, max_examples=100)

heights = st.lists(st.integers(-8, 8), min_size=2, max_size=9)
inner_points = st.sets(st.integers(1, 63), max_size=20)


def travelled(f, s, t):
    """How far a piecewise-linear f goes between s and t, up and down added."""
    stops = [s, *(x for x in f.breakpoints if s < x < t), t]
    return sum(abs(f(b) - f(a)) for a, b in pairwise(stops))


@exact
@given(heights, inner_points)
def test_the_largest_distance_lies_between_the_bounds(ys, inner):
    f = through((Fraction(i, len(ys) - 1), y) for i, y in enumerate(ys))
    grid = [Fraction(0), *(Fraction(i, 64) for i in sorted(inner)), Fraction(1)]
    difference = np.array([float(f(x)) for x in grid])
    variation = np.array([float(travelled(f, s, t)) for s, t in pairwise(grid)])
    lower, upper = sup_bounds(difference, variation, rounding=1e-13)
    assert lower <= sup_distance(f, constant(0), 0, 1) <= upper
    assert upper <= lower + variation.max() / 2 + 1e-12


@exact
@given(heights, inner_points, st.floats(1e-9, 1.0), st.randoms(use_true_random=False))
def test_numbers_that_are_off_are_allowed_for(ys, inner, rounding, random):
    f = through((Fraction(i, len(ys) - 1), y) for i, y in enumerate(ys))
    grid = [Fraction(0), *(Fraction(i, 64) for i in sorted(inner)), Fraction(1)]
    difference = np.array([float(f(x)) + 0.99 * random.choice([-1, 1]) * rounding for x in grid])
    variation = np.array([float(travelled(f, s, t)) - 0.99 * rounding for s, t in pairwise(grid)])
    lower, upper = sup_bounds(difference, variation, rounding=rounding)
    assert lower <= sup_distance(f, constant(0), 0, 1) <= upper


def test_a_peak_half_way_between_two_points_attains_the_bound():
    """d is 0 at both points and climbs to 1 and back: it varies by 2."""
    assert sup_bounds(np.zeros(2), np.array([2.0]), rounding=0.0)[1] == pytest.approx(1, rel=1e-14)


@pytest.mark.parametrize("points", [5, 12, 100, 1001])
def test_a_sine_by_its_lipschitz_constant(points):
    x = np.linspace(0, 1, points)
    lower, upper = sup_bounds(np.sin(7 * x), 7 * np.diff(x), rounding=1e-14)
    assert lower <= 1 <= upper <= 1 + 7 / (points - 1) / 2 + 1e-12


@pytest.mark.parametrize("steepness", [1.0, 100.0, 1e8])
def test_a_steep_monotone_function_by_its_values(steepness):
    """A logistic step of height 1, less 1/4: 3/4 at the right, however steep, on a grid fine in height, not in x."""
    x = np.concatenate([[-40.0], np.log(np.arange(1, 50) / np.arange(49, 0, -1)) / steepness, [40.0]])
    step = 1 / (1 + np.exp(-steepness * np.clip(x, -600 / steepness, None)))
    lower, upper = sup_bounds(step - 0.25, np.diff(step), rounding=1e-14)
    assert lower <= 0.75 <= upper <= 0.76


def test_two_functions_that_agree_on_the_grid_may_differ_between():
    x = np.linspace(0, 1, 9)
    lower, upper = sup_bounds(np.sin(8 * np.pi * x), 8 * np.pi * np.diff(x), rounding=1e-14)
    assert lower < 1e-13
    assert upper >= 1


@pytest.mark.parametrize(
    ("difference", "variation"),
    [
        (np.zeros(3), np.zeros(3)),
        (np.zeros(1), np.zeros(0)),
        (np.zeros((2, 2)), np.zeros(1)),
        (np.array([0.0, np.nan]), np.zeros(1)),
        (np.zeros(2), np.array([np.inf])),
        (np.zeros(2), np.array([-1.0])),
    ],
)
def test_what_cannot_be_bounded_is_refused(difference, variation):
    with pytest.raises(ValueError, match="variations"):
        sup_bounds(difference, variation, rounding=1e-14)
