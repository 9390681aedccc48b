"""Region counts against brute force: linear programs over all activation patterns, and exact univariate functions."""

from fractions import Fraction
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from claimlab.measure.piecewise import parameters
from claimlab.measure.regions import (
    affine_functions,
    along_segment,
    count_on_segments,
    montufar_lower_bound,
    most_regions_of_one_layer,
    regions_on_polygon,
    serra_lower_bound,
    serra_upper_bound,
    square_folding_net,
)
from claimlab.nets import MLP
from claimlab.parts import parts
from claimlab.seeds import Seeds

exact = settings(database=None, derandomize=True, max_examples=25)

SQUARE = [(-4, -4), (4, -4), (4, 4), (-4, 4)]
UNIT_SQUARE = [(0, 0), (1, 0), (1, 1), (0, 1)]
numbers = st.sampled_from(sorted({Fraction(n, d) for d in (1, 2, 3) for n in range(-2 * d, 2 * d + 1)}, key=abs))


@st.composite
def nets(draw, inputs=2, most=3):
    """ReLU nets of one output with one or two hidden layers of up to `most` units, rational weights."""
    widths = [inputs, *draw(st.lists(st.integers(1, most), min_size=1, max_size=2)), 1]
    rows = [st.lists(numbers, min_size=width, max_size=width) for width in widths]
    return [
        (draw(st.lists(rows[layer], min_size=fan_out, max_size=fan_out)), draw(rows[layer + 1]))
        for layer, fan_out in enumerate(widths[1:])
    ]


def patterns_by_linear_programming(layers, *, half_width=4):
    """How many patterns of active units have an interior in the square: one linear program for each of the 2^units.

    It looks for a point that keeps a distance from every unit's line, on the side that the pattern says, and from the
    square's edge. A unit that sees a constant is on where that is positive.
    """
    hidden = layers[:-1]
    found = 0
    for pattern in product((1, -1), repeat=sum(len(biases) for _, biases in hidden)):
        signs, matrix, constant = iter(pattern), np.eye(2), np.zeros(2)
        sides, bounds, possible = [], [], True
        for weights, biases in hidden:
            matrix = np.array(weights, float) @ matrix
            constant = np.array(weights, float) @ constant + np.array(biases, float)
            on = np.array([next(signs) for _ in biases])
            for row, shift, side in zip(matrix, constant, on, strict=True):
                if np.allclose(row, 0):
                    possible &= (shift > 1e-12) == (side > 0)
                else:
                    sides.append([*(-side * row), np.linalg.norm(row)])
                    bounds.append(side * shift)
            matrix, constant = matrix * (on > 0)[:, None], constant * (on > 0)
        box = [(-half_width, half_width)] * 2
        if possible and not sides:
            found += 1
        elif possible:
            edges = [[1, 0, 1], [-1, 0, 1], [0, 1, 1], [0, -1, 1]]
            program = linprog(
                [0, 0, -1], A_ub=[*sides, *edges], b_ub=[*bounds, *[half_width] * 4], bounds=[*box, (None, 1)]
            )
            found += program.status == 0 and -program.fun > 1e-6
    return found


@exact
@given(nets())
def test_as_many_regions_as_patterns_with_an_interior(layers):
    regions = regions_on_polygon(layers, SQUARE)
    assert len(regions) == patterns_by_linear_programming(layers)
    assert affine_functions(regions) <= len(regions)
    assert len(regions) <= serra_upper_bound(tuple(len(biases) for _, biases in layers[:-1]), 2)


@exact
@given(nets(most=5))
def test_regions_tile_the_polygon_and_say_what_the_net_computes(layers):
    regions = regions_on_polygon(layers, SQUARE)
    assert sum(area(region.corners) for region in regions) == 64
    for region in regions:
        a, b, c = region.function
        assert all(a * x + b * y + c == run(layers, (x, y)) for x, y in region.corners)  # the net is continuous


def area(corners):
    """The shoelace formula."""
    turned = [*corners[1:], corners[0]]
    return sum(x * v - u * y for (x, y), (u, v) in zip(corners, turned, strict=True)) / 2


def run(layers, x):
    """The net at one point, with nothing of the instrument in it."""
    for depth, (weights, biases) in enumerate(layers):
        x = [max(value, 0) for value in x] if depth else x
        x = [sum(w * v for w, v in zip(row, x, strict=True)) + b for row, b in zip(weights, biases, strict=True)]
    return x[0]


@exact
@given(nets(inputs=3, most=5), st.tuples(numbers, numbers, numbers), st.tuples(numbers, numbers, numbers))
def test_along_a_segment_is_the_net_on_it(layers, start, end):
    f = along_segment(layers, start, end)
    for t in (Fraction(0), Fraction(1, 7), Fraction(1, 2), Fraction(1)):
        assert f(t) == run(layers, [a + t * (b - a) for a, b in zip(start, end, strict=True)])


@pytest.mark.parametrize("widths", [(2, 12, 1), (3, 8, 8, 1), (1, 6, 6, 6, 1)])
def test_counting_on_a_segment_finds_the_switches_that_exact_arithmetic_finds(widths):
    """Pieces of the exact net that reads every unit of its last layer, plus switches that leave this layer alone."""
    seeds = Seeds("tests/regions", 1, "tests", tuple(range(8)), dtype=torch.float64)
    net = MLP(widths)
    parameters = net.init(seeds, parts().torch_init)
    start, end = seeds.normal("start", widths[0]), seeds.normal("end", widths[0])
    counted = count_on_segments(parameters, start, end).tolist()
    for member, count in enumerate(counted):
        layers = [
            (fractions(weight[member].T), fractions(bias[member])[0])
            for weight, bias in zip(parameters[::2], parameters[1::2], strict=True)
        ]
        ends = fractions(start[member : member + 1])[0], fractions(end[member : member + 1])[0]
        assert count == 1 + len(switches(layers, *ends))


def fractions(matrix):
    """The numbers that floats are, exactly."""
    return [[Fraction(number) for number in row] for row in matrix.tolist()]


def switches(layers, start, end):
    """Where in (0, 1) some unit of the net passes through 0 on the segment: a unit is a net that ends with it."""
    places = set()
    for depth, (weights, biases) in enumerate(layers[:-1]):
        for row, bias in zip(weights, biases, strict=True):
            before = along_segment([*layers[:depth], ([row], [bias])], start, end)
            nodes = [Fraction(0), *(t for t in before.breakpoints if 0 < t < 1), Fraction(1)]
            for s, t in pairwise(nodes):
                u, v = before(s), before(t)
                if u * v < 0:
                    places.add(s + (t - s) * u / (u - v))
    return places


def test_a_count_ends_at_the_most_regions_asked_for():
    seeds = Seeds("tests/regions", 1, "tests", (0,), dtype=torch.float64)
    net = MLP((1, 40, 1))
    end = torch.full((1, 1), 9.0, dtype=torch.float64)
    parameters = net.init(seeds, parts().torch_init)
    assert count_on_segments(parameters, -end, end, most=3).tolist() == [3]
    assert count_on_segments(parameters, -end, end).item() > 3


def test_units_that_switch_at_one_place_are_one_switch():
    """Two equal units, and in the next layer one that switches with them, being 0 where they are off, and one later."""
    first = torch.tensor([[[4.0, 4.0]]]), torch.tensor([[[-1.0, -1.0]]])
    second = torch.tensor([[[1.0, 1.0], [1.0, 1.0]]]), torch.tensor([[[0.0, -2.0]]])
    last = torch.tensor([[[1.0], [1.0]]]), torch.tensor([[[0.0]]])
    assert count_on_segments([*first, *second, *last], torch.tensor([[0.0]]), torch.tensor([[1.0]])).tolist() == [3]


@pytest.mark.parametrize("widths", [(6,), (6, 6), (7, 8), (10, 10)])
def test_a_square_folding_net_has_the_regions_that_the_theorem_promises(widths):
    net = square_folding_net(widths)
    regions = regions_on_polygon(net, UNIT_SQUARE)
    assert [len(biases) for _, biases in net] == [*widths, 1]
    assert len(regions) == affine_functions(regions) == serra_lower_bound(widths, 2)


def test_known_values():
    assert most_regions_of_one_layer(20, 2) == 211
    assert most_regions_of_one_layer(37, 2) == 704
    assert most_regions_of_one_layer(3, 5) == 8  # fewer units than inputs: every pattern
    assert montufar_lower_bound((10, 10), 2) == 1400
    assert serra_lower_bound((10, 10), 2) == 2016
    assert serra_upper_bound((10, 10), 2) == 3136
    assert serra_upper_bound((20,), 2) == 211  # tight for one layer
    assert serra_upper_bound((4, 5, 3), 1) == 5 * 6 * 4  # in one dimension the product of n_l + 1
    assert parameters(square_folding_net((10, 10))) == 151


@given(st.lists(st.integers(1, 9), min_size=1, max_size=3).map(tuple), st.integers(1, 3))
@exact
def test_bounds_are_in_order(widths, inputs):
    lowest, low, high = (
        bound(widths, inputs) for bound in (montufar_lower_bound, serra_lower_bound, serra_upper_bound)
    )
    assert lowest <= high
    assert low <= high


@given(st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple), st.integers(1, 3))
@exact
def test_the_upper_bound_is_the_sum_in_the_theorem(widths, inputs):
    total = 0
    for off in product(*(range(width + 1) for width in widths)):
        left = [inputs, *(width - j for width, j in zip(widths, off, strict=True))]
        if all(j <= min(left[: layer + 1]) for layer, j in enumerate(off)):
            total += int(np.prod([comb_(width, j) for width, j in zip(widths, off, strict=True)]))
    assert total == serra_upper_bound(widths, inputs)


def comb_(n, k):
    """n choose k by Pascal's rule."""
    return 1 if k in (0, n) else comb_(n - 1, k - 1) + comb_(n - 1, k)
