"""Linear regions of ReLU nets: exact counts on a polygon and on a segment, and how many there can be at most.

Two things are called a linear region. An *activation region* is a set of inputs on which the same units are active
(Hanin & Rolnick 2019b; Serra et al. 2018 count these). A *linear region* is a largest connected set on which the net is
one affine function. Each of the second kind is made of one or more of the first, since a unit may switch where nothing
behind it listens; for nets with weights in general position and a live output the two counts agree.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import comb, gcd, lcm, prod
from typing import TYPE_CHECKING, Any

from claimlab.measure.piecewise import Layer, PiecewiseLinear, Rational, function_of

if TYPE_CHECKING:
    from torch import Tensor

Point = tuple[Fraction, Fraction]
Polygon = Sequence[tuple[Rational, Rational]]
"""The corners of a convex polygon, one after the other."""

Triple = tuple[int, int, int]
"""A point (x / w, y / w) as (x, y, w) with w > 0, or an affine form a x + b y + c w as (a, b, c)."""


# -- how many there can be ----------------------------------------------------------------------------------------


def most_regions_of_one_layer(units: int, inputs: int) -> int:
    """The most regions of a net with one hidden layer: sum_{j <= d} C(n, j), attained by n hyperplanes in general
    position (Zaslavsky 1975). It is a maximum for activation regions and for linear regions."""
    return sum(comb(units, j) for j in range(inputs + 1))


def montufar_lower_bound(widths: Sequence[int], inputs: int) -> int:
    """So many linear regions some net of these hidden widths has, at least.

    Montufar, Pascanu, Cho & Bengio 2014 (arXiv 1402.1869), Theorem 5: each layer but the last folds every input axis
    floor(n_l / n_0) times. The theorem asks for widths of at least n_0; below, this is 0 and says nothing.
    """
    *folding, last = widths
    return prod((width // inputs) ** inputs for width in folding) * most_regions_of_one_layer(last, inputs)


def serra_lower_bound(widths: Sequence[int], inputs: int) -> int:
    """The same with one fold more on each axis, and 0 where a layer has fewer than 3 n_0 units, which it asks for.

    Serra, Tjandraatmadja & Ramalingam 2018 (arXiv 1711.02114), Theorem 6.
    """
    *folding, last = widths
    if min(widths) < 3 * inputs:
        return 0
    return prod((width // inputs + 1) ** inputs for width in folding) * most_regions_of_one_layer(last, inputs)


def serra_upper_bound(widths: Sequence[int], inputs: int) -> int:
    """No net of these hidden widths has more activation regions, hence no more linear regions.

    Serra, Tjandraatmadja & Ramalingam 2018 (arXiv 1711.02114), Theorem 1: sum of prod_l C(n_l, j_l) over all
    (j_1, ..., j_L) with 0 <= j_l <= min(n_0, n_1 - j_1, ..., n_{l-1} - j_{l-1}, n_l). Here it is summed layer by layer,
    over the dimensions min(n_0, n_1 - j_1, ...) that are left of a region behind a layer. Tight for one layer.
    """
    regions = {inputs: 1}  # how many, by the dimensions that are left
    for width in widths:
        cut: dict[int, int] = {}
        for dimensions, count in regions.items():
            for off in range(min(dimensions, width) + 1):
                left = min(dimensions, width - off)
                cut[left] = cut.get(left, 0) + count * comb(width, off)
        regions = cut
    return sum(regions.values())


def square_folding_net(widths: Sequence[int]) -> list[Layer]:
    """A net of two inputs, one output and these hidden widths that has `serra_lower_bound` regions on the unit square.

    Each layer but the last folds the unit square onto itself as one folds a map: with p = n_l // 2 units for each axis
    the coordinate goes through a zigzag of p + 1 pieces, each from 0 to 1 or back. The last layer cuts the square along
    n_L tangents of the parabola y = x^2; those at a and b meet inside it, at ((a + b) / 2, a b), and never three in one
    point. At a point below the parabola the tangents at a between two numbers pass above it, and all others below, so
    that with alternating signs some unit is on everywhere, and the net is not constant anywhere. The output's weights
    are powers of two, so that regions next to each other differ. Needs widths of at least 6; a unit too many is idle.
    """
    *folding, last = widths
    layers: list[Layer] = []
    point: Layer = ([[1, 0], [0, 1]], [0, 0])  # how the next layer finds the coordinates: as inputs, or folded
    for width in folding:
        units, folded = _fold(width)
        layers.append(_merged(point, units))
        point = folded
    return [*layers, _merged(point, _tangents(last)), ([[2**i for i in range(last)]], [0])]


def _fold(width: int) -> tuple[Layer, Layer]:
    """The units of a folding layer, and the two outputs that read the folded point off them.

    The zigzag's slopes are 2s, -s, s, -s, ... with s = p + 1/2, and it turns where it has reached 1 or 0. The third
    unit looks to the left, which gives the first piece its slope: so p units make p + 1 pieces of which none is flat.
    """
    p, idle = width // 2, [0] * (width % 2)
    s = p + Fraction(1, 2)
    turns = [(i + Fraction(1, 2)) / s for i in range(p)]
    looks = [-1 if i == 2 else 1 for i in range(p)]
    bends = [-3 * s, *(2 * s * (-1) ** i for i in range(p - 1))]
    none = [0] * p
    rows = [*([look, 0] for look in looks), *([0, look] for look in looks), *([0, 0] for _ in idle)]
    shifts = [-look * turn for look, turn in zip(looks, turns, strict=True)]
    start = 2 * s * turns[2]  # what the third unit is at 0, taken away
    return (rows, [*shifts, *shifts, *idle]), ([[*bends, *none, *idle], [*none, *bends, *idle]], [start, start])


def _tangents(count: int) -> Layer:
    """Units whose lines are y = 2 a x - a^2 for equispaced a in (0, 1), active above and below in turn."""
    sided = [((-1) ** i, Fraction(i + 1, count + 1)) for i in range(count)]
    return [[-2 * a * side, side] for side, a in sided], [a * a * side for side, a in sided]


def _merged(inner: Layer, outer: Layer) -> Layer:
    """Two linear layers with nothing in between, as one."""
    (matrix, constants), (rows, biases) = inner, outer
    columns = [*zip(*matrix, strict=True)]
    shifts = [bias + _dot(row, constants) for row, bias in zip(rows, biases, strict=True)]
    return [[_dot(row, column) for column in columns] for row in rows], shifts


def _dot(u: Iterable[Any], v: Iterable[Any]) -> Any:
    return sum(a * b for a, b in zip(u, v, strict=True))


# -- on the plane -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Region:
    """An activation region inside a polygon: its corners, and the net there as (a, b, c) of a x + b y + c."""

    corners: tuple[Point, ...]
    function: tuple[Fraction, Fraction, Fraction]


def regions_on_polygon(layers: Sequence[Layer], polygon: Polygon) -> list[Region]:
    """The activation regions of a net of two inputs and one output that have an interior inside a convex polygon.

    Exact for int and Fraction weights, and for floats read as the fractions that they are: the polygon is cut cell by
    cell and unit by unit, in integers. A line that only touches a cell does not cut it. On the whole plane there are at
    least as many. The number of linear regions lies between `affine_functions` of these regions and their number.
    """
    *hidden, last = _in_integers(layers)
    cells = [([_point(corner) for corner in polygon], [(1, 0, 0), (0, 1, 0)])]
    for layer in hidden:
        cells = [
            (corners, [form if on else (0, 0, 0) for form, on in zip(forms, active, strict=True)])
            for whole, inputs in cells
            for forms in [_forms(layer, inputs)]
            for corners, active in _cut(whole, forms)
        ]
    scale = prod(_denominator(layer) for layer in layers)
    return [Region(_places(corners), _scaled(_forms(last, inputs)[0], scale)) for corners, inputs in cells]


def affine_functions(regions: Sequence[Region]) -> int:
    """How many different affine functions the net is on these regions: at most its number of linear regions there."""
    return len({region.function for region in regions})


def _cut(cell: list[Triple], forms: list[Triple]) -> list[tuple[list[Triple], tuple[bool, ...]]]:
    """The pieces into which the lines form = 0 cut a convex cell, each with which forms are positive on it."""
    pieces: list[tuple[list[Triple], tuple[bool, ...]]] = [(cell, ())]
    for form in forms:
        pieces = [
            (part, (*active, on))
            for corners, active in pieces
            for part, on in _halves(corners, [_value(form, corner) for corner in corners])
        ]
    return pieces


def _halves(corners: list[Triple], values: list[int]) -> Iterator[tuple[list[Triple], bool]]:
    """The part of a convex cell where a form, of these values at the corners, is positive, and the part where not."""
    if min(values) >= 0 or max(values) <= 0:
        yield corners, max(values) > 0
        return
    for on, sign in ((True, 1), (False, -1)):
        part: list[Triple] = []
        ends = [*zip(corners, values, strict=True)]
        for (p, u), (q, v) in pairwise([*ends, ends[0]]):
            if sign * u >= 0:
                part.append(p)
            if u * v < 0:
                part.append(_reduced([abs(v) * a + abs(u) * b for a, b in zip(p, q, strict=True)]))
        yield part, on


def _forms(layer: tuple[list[list[int]], list[int]], inputs: list[Triple]) -> list[Triple]:
    """What the units of a layer compute before their activation, given what their inputs are."""
    weights, biases = layer
    a, b, c = zip(*inputs, strict=True)
    return [(_dot(row, a), _dot(row, b), _dot(row, c) + bias) for row, bias in zip(weights, biases, strict=True)]


def _in_integers(layers: Sequence[Layer]) -> list[tuple[list[list[int]], list[int]]]:
    """The net with each layer multiplied by its common denominator, and its biases by those of the layers before too.

    A ReLU commutes with a positive factor, so that the regions stay where they are.
    """
    scaled, before = [], 1
    for weights, biases in layers:
        denominator = _denominator((weights, biases))
        rows = [[int(Fraction(weight) * denominator) for weight in row] for row in weights]
        before *= denominator
        scaled.append((rows, [int(Fraction(bias) * before) for bias in biases]))
    return scaled


def _denominator(layer: Layer) -> int:
    weights, biases = layer
    return lcm(*(Fraction(number).denominator for row in [*weights, biases] for number in row))


def _value(form: Triple, point: Triple) -> int:
    return form[0] * point[0] + form[1] * point[1] + form[2] * point[2]


def _point(corner: tuple[Rational, Rational]) -> Triple:
    x, y = (Fraction(number) for number in corner)
    w = lcm(x.denominator, y.denominator)
    return int(x * w), int(y * w), w


def _reduced(point: list[int]) -> Triple:
    x, y, w = point
    common = gcd(x, y, w)
    return x // common, y // common, w // common


def _places(corners: list[Triple]) -> tuple[Point, ...]:
    return tuple((Fraction(x, w), Fraction(y, w)) for x, y, w in corners)


def _scaled(form: Triple, scale: int) -> tuple[Fraction, Fraction, Fraction]:
    a, b, c = form
    return Fraction(a, scale), Fraction(b, scale), Fraction(c, scale)


# -- on a segment -------------------------------------------------------------------------------------------------


def along_segment(layers: Sequence[Layer], start: Sequence[Rational], end: Sequence[Rational]) -> PiecewiseLinear:
    """The net of any number of inputs and one output along start + t (end - start), exact, as a function of t.

    `pieces(along_segment(...), 0, 1)` is its number of linear regions on the segment.
    """
    segment = ([[b - a] for a, b in zip(start, end, strict=True)], start)
    return function_of([_merged(segment, layers[0]), *layers[1:]])


def count_on_segments(parameters: "list[Tensor]", start: "Tensor", end: "Tensor", *, most: int = 10_000) -> "Tensor":
    """The number of activation regions that S nets meet on a segment each, int64 `[S]`.

    `parameters` are those of a `claimlab.nets.MLP` with bias, `start` and `end` are `[S, inputs]`. It is counted layer
    by layer: between two neighbouring switches of the layers below, what a unit sees is straight, so that its values at
    the two tell whether it switches in between, and where. In float64 this can only err where switches are so close
    that rounding confuses their order; the tests compare it with `along_segment`, which is exact. Counting ends when
    all have `most` regions: there are at least as many.
    """
    import torch

    hidden = [(w.double(), b.double()) for w, b in zip(parameters[:-2:2], parameters[1:-2:2], strict=True)]
    start, end = start[:, None].double(), end[:, None].double()
    switches = start.new_tensor([[0.0, 1.0]]).expand(len(start), 2)  # the two ends of the segment among them
    counts = torch.ones(len(start), dtype=torch.int64, device=start.device)
    for depth in range(len(hidden)):
        seen = start + switches[..., None] * (end - start)
        for layer, (weight, bias) in enumerate(hidden[: depth + 1]):
            seen = torch.baddbmm(bias, seen.relu() if layer else seen, weight)
        here, there = seen[:, :-1], seen[:, 1:]
        zero = switches[:, :-1, None] + switches.diff(dim=1)[..., None] * here / (here - there)
        found = torch.where(here * there < 0, zero, 1)
        switches = torch.cat([switches, found.flatten(1)], dim=1).sort(dim=1).values
        counts = (switches.diff(dim=1) > 0).sum(dim=1)
        if (counts >= most).all():
            break
        switches = switches[:, : (switches < 1).sum(dim=1).max() + 1]  # the rest is 1, again and again
    return counts.clamp(max=most)
