"""Exact piecewise-linear functions against brute force: a slow, independent evaluation on grids that miss no kink."""

import doctest
from fractions import Fraction
from itertools import groupby, pairwise
from operator import itemgetter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claimlab.measure import piecewise
from claimlab.measure.piecewise import (
    PiecewiseLinear,
    constant,
    crossings,
    function_of,
    hidden_units,
    identity,
    integral,
    l1_distance,
    lipschitz,
    parameters,
    peaks,
    pieces,
    relu,
    sup_distance,
    through,
    weighted_sum,
)

exact = settings(database=None, derandomize=True, max_examples=60)

# Simple fractions of size at most 4, simplest first (drawing from a list is ten times as fast as st.fractions).
rationals = st.sampled_from(sorted({Fraction(n, d) for d in range(1, 9) for n in range(-4 * d, 4 * d + 1)}, key=abs))
functions = st.builds(
    lambda points, left, right: through(sorted(points.items()), left=left, right=right),
    st.dictionaries(rationals, rationals, min_size=1, max_size=6),
    rationals,
    rationals,
)
layer_widths = st.lists(st.integers(1, 3), max_size=3)


@st.composite
def nets(draw):
    """ReLU nets of one input and one output with up to three hidden layers: their layers of weights and biases."""
    widths = [1, *draw(layer_widths), 1]
    row = [st.lists(rationals, min_size=width, max_size=width) for width in widths]
    return [
        (draw(st.lists(row[layer], min_size=fan_out, max_size=fan_out)), draw(row[layer + 1]))
        for layer, fan_out in enumerate(widths[1:])
    ]


def run(layers, x):
    """A net's output at one number, with nothing of the instrument in it."""
    values = [x]
    for depth, (weights, biases) in enumerate(layers):
        if depth:
            values = [max(value, Fraction(0)) for value in values]
        values = [
            sum((w * v for w, v in zip(row, values, strict=True)), b) for row, b in zip(weights, biases, strict=True)
        ]
    return values[0]


# Brute force. `ys` are heights at x = 0, 1, ..., 6, whole numbers from 0 to 6, and the slope is 1 outside. All slopes
# are then whole numbers up to 6 in size, so that two such functions composed bend at multiples of 1/60 alone, and
# outside [-12, 18] they run above or below all those heights. Numbers here count sixtieths, x and heights alike, and
# nothing is shared with the instrument.
GRID = range(-13 * 60, 19 * 60 + 1)
heights = st.lists(st.integers(0, 6), min_size=7, max_size=7)


def zigzag(ys):
    return through(enumerate(ys), left=1, right=1)


def height(ys, x):
    """`zigzag(ys)` at x, both in sixtieths."""
    if x < 0:
        return 60 * ys[0] + x
    if x >= 360:
        return 60 * ys[6] + x - 360
    left = x // 60
    return 60 * ys[left] + (ys[left + 1] - ys[left]) * (x - 60 * left)


def composed(ys, zs):
    """Heights on the grid of `zigzag(ys)(zigzag(zs))`, in sixtieths."""
    return [height(ys, height(zs, x)) for x in GRID]


def sixtieth(n):
    return Fraction(n, 60)


# -- computing with functions -------------------------------------------------------------------------------------


@exact
@given(functions, functions, rationals, rationals)
def test_arithmetic_is_pointwise(f, g, c, x):
    assert (f + g)(x) == f(x) + g(x)
    assert (f - g)(x) == f(x) - g(x)
    assert (c * f)(x) == (f * c)(x) == c * f(x)
    assert (c + f)(x) == (f + c)(x) == c + f(x)
    assert (c - f)(x) == c - f(x)
    assert (f - c)(x) == f(x) - c
    assert weighted_sum((c, 2, 0), (f, g, f), 3)(x) == c * f(x) + 2 * g(x) + 3


@exact
@given(functions, rationals)
def test_relu_and_abs_are_pointwise(f, x):
    assert relu(f)(x) == relu(f(x)) == max(f(x), 0)
    assert abs(f)(x) == abs(f(x))


@exact
@given(functions, functions, rationals)
def test_composition_is_pointwise(f, g, x):
    assert f(g)(x) == f(g(x))


@exact
@given(functions, functions, functions)
def test_composition_is_associative(f, g, h):
    assert f(g)(h) == f(g(h))


@exact
@given(st.dictionaries(rationals, rationals, min_size=1, max_size=6), rationals, rationals)
def test_through_meets_its_points_and_outer_slopes(points, left, right):
    f = through(sorted(points.items()), left=left, right=right)
    low, high = min(points), max(points)
    assert all(f(x) == y for x, y in points.items())
    assert f(low - 2) == points[low] - 2 * left
    assert f(high + 2) == points[high] + 2 * right
    for s, t in pairwise(sorted(points)):
        assert f((s + t) / 2) == (points[s] + points[t]) / 2


@exact
@given(functions, functions)
def test_canonical_form_makes_equal_functions_equal(f, g):
    assert f + g - g == f
    assert f - f == constant(0)
    assert relu(f) - relu(-f) == f
    assert f(identity()) == identity()(f) == f
    assert all(bend for _, bend in (f + g).kinks)
    assert all(a[0] != b[0] for a, b in pairwise(f.lines))
    assert hash(f + g) == hash(g + f)
    rebuilt = (
        through(zip(f.breakpoints, f.values, strict=True), left=f.lines[0][0], right=f.lines[-1][0]) if f.kinks else f
    )
    assert rebuilt == f


def test_a_form_that_is_not_canonical_is_refused():
    zero, one = Fraction(0), Fraction(1)
    for kinks in (((zero, zero),), ((one, one), (zero, one)), ((one, one), (one, one))):
        with pytest.raises(ValueError, match="Kinks"):
            PiecewiseLinear(zero, one, kinks)


def test_floats_are_refused():
    with pytest.raises(TypeError):
        identity()(0.5)  # ty: ignore
    with pytest.raises(TypeError):
        0.5 * identity()  # ty: ignore
    with pytest.raises(TypeError):
        identity() + 0.5  # ty: ignore


def test_numpy_integers_do_not_wrap_around():
    large: Any = np.int64(2**62)
    assert (constant(large) * 4).intercept == (large * identity())(4) == 2**64


# -- nets ---------------------------------------------------------------------------------------------------------


@exact
@given(nets(), st.lists(rationals, min_size=1, max_size=5))
def test_the_function_of_a_net_is_what_the_net_computes(layers, xs):
    f = function_of(layers)
    assert all(f(x) == run(layers, x) for x in xs)
    assert parameters(layers) == sum(len(biases) * (len(weights[0]) + 1) for weights, biases in layers)


@exact
@given(nets())
def test_a_net_bends_only_where_a_unit_does(layers):
    places = {t for units in hidden_units(layers[:-1]) for unit in units for t in unit.breakpoints}
    assert set(function_of(layers).breakpoints) <= places


@exact
@given(nets())
def test_a_net_without_activation_is_affine(layers):
    assert pieces(function_of(layers, activation=lambda f: f)) == 1


# -- measuring functions, against grids that miss no kink ---------------------------------------------------------


@exact
@given(heights, heights)
def test_pieces_of_a_composition_are_those_counted_on_a_grid(ys, zs):
    f, values = zigzag(ys)(zigzag(zs)), composed(ys, zs)
    bent = [(GRID[i], values[i]) for i in range(1, len(GRID) - 1) if values[i - 1] + values[i + 1] != 2 * values[i]]
    assert list(f.breakpoints) == [sixtieth(x) for x, _ in bent]
    assert list(f.values) == [sixtieth(y) for _, y in bent]
    assert pieces(f) == len(bent) + 1
    assert pieces(f, 1, 4) == sum(60 < x < 240 for x, _ in bent) + 1
    assert lipschitz(f) == max(abs(b - a) for a, b in pairwise(values))


@exact
@given(heights, heights)
def test_distances_are_those_of_a_grid(ys, zs):
    f, g = zigzag(ys)(zigzag(zs)), zigzag(zs)
    gaps = [y - height(zs, x) for x, y in zip(GRID, composed(ys, zs), strict=True) if 0 <= x <= 360]
    # The integral over a step of the grid, where the gap runs straight from u to v: two triangles if it changes sign.
    areas = [Fraction(u * u + v * v, abs(u) + abs(v)) if u * v < 0 else abs(u + v) for u, v in pairwise(gaps)]
    assert sup_distance(f, g, 0, 6) == sixtieth(max(map(abs, gaps)))
    assert l1_distance(f, g, 0, 6) == sum(areas) / Fraction(2 * 60 * 60)
    assert integral(f - g, 0, 6) == Fraction(sum(u + v for u, v in pairwise(gaps)), 2 * 60 * 60)


@exact
@given(functions, functions, st.tuples(rationals, rationals).map(sorted))
def test_distances_on_any_interval(f, g, interval):
    low, high = interval
    sup, area = sup_distance(f, g, low, high), l1_distance(f, g, low, high)
    samples = [low + (high - low) * Fraction(i, 16) for i in range(17)]
    assert sup == sup_distance(g, f, low, high) >= max(abs(f(x) - g(x)) for x in samples)
    assert abs(integral(f - g, low, high)) <= area <= sup * (high - low)
    assert (area == 0) == (sup == 0 or low == high)


@exact
@given(heights, heights, st.integers(0, 6))
def test_crossings_are_the_changes_of_side_on_a_grid(ys, zs, level):
    f = zigzag(ys)(zigzag(zs))
    sides = [(y > 60 * level) - (y < 60 * level) for y in composed(ys, zs)]
    found = crossings(f, level)
    assert all(f(x) == level for x in found)
    assert found == sorted(set(found))
    assert len(found) == sum(a != b for a, b in pairwise(side for side in sides if side))


@exact
@given(heights, heights)
def test_peaks_are_the_local_maxima_on_a_grid(ys, zs):
    runs = [next(run) for _, run in groupby(zip(GRID, composed(ys, zs), strict=True), key=itemgetter(1))]
    tops = [b for a, b, c in zip(runs, runs[1:], runs[2:], strict=False) if a[1] < b[1] > c[1]]
    assert peaks(zigzag(ys)(zigzag(zs))) == [(sixtieth(x), sixtieth(y)) for x, y in tops]


def test_flat_tops_touching_and_lines():
    table = through([(0, 0), (1, 1), (2, 1), (3, 0)])
    assert peaks(table) == [(1, 1)]
    assert crossings(table, Fraction(1, 2)) == [Fraction(1, 2), Fraction(5, 2)]
    assert crossings(table, 1) == crossings(table, 0) == []
    assert crossings(through([(0, 0), (1, 0)], left=1, right=1), 0) == [0]
    assert crossings(identity() - 5, -2) == [3]
    assert peaks(constant(1)) == peaks(identity()) == crossings(constant(1), 1) == []
    assert pieces(constant(1)) == pieces(identity()) == 1
    assert lipschitz(identity() * -3) == 3


def test_the_docstring_is_true():
    assert doctest.testmod(piecewise).failed == 0
