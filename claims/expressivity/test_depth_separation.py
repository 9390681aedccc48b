"""A narrow deep net makes oscillations that shallower nets can follow only with exponentially many units.

Slide: Depth and Parametric Cost. The function is the deck's tent composed K times: on [0, 1] a sawtooth f of n = 2^K
laps. A ReLU net of K hidden layers with two units each computes it exactly, one layer a tent. What can a net g with
few pieces do? The answer takes three steps, for one input, where it is stronger than the theorem that the deck cites.

1. *A net of L hidden layers with N units has at most (1 + N/L)^L pieces.* Take a layer of m units, whose inputs are
straight on each of P intervals. A unit is then straight on each of these but for one bend, so that the outputs of the
layer are straight on P (1 + m) intervals. The product of the (1 + m) is largest for equal m. (Telgarsky has (2N/L)^L.)

2. *A function g with P pieces and no jumps is at L1 distance (1 - P/n) / 4 at least from f on [0, 1].* The distance is
the integral over all heights y of the length D(y) of the places where one of f and g reaches y and the other does not.
Take y between 0 and 1. Of the two sets {f >= y} and {f < y} let R be the smaller; its length is m = min(y, 1 - y). Let
w = 1 on R and w = -m / (1 - m) elsewhere. The integral W(x) of w from 0 to x is 0 at x = 0 and x = 1; in between it
rises on R and falls off it, always back and forth between -m/n and m/n. Let G be the places where g is on the side of
y on which f is in R. Then D(y) = m - |R and G| + |G without R| >= m - (integral of w over G). Each piece of g passes y
once at most, so that G has at most P ends inside [0, 1], and the integral is a sum of as many values of W and -W. So
D(y) >= m - P m/n, and the integral of m over y is 1/4.

3. *Labels 0 and 1 in turn at the points 0, 1/n, ..., 1 - 1/n.* A classifier that changes its mind at most P times is
wrong on (n - P - 1) / 2 of them at least. Here the least is computed, for all classifiers, by dynamic programming.

By 1 and 2, k layers of 2^k units in all come no nearer than 1/8 to the sawtooth that k^2 + 2 layers of two units make.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache, reduce
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import strategies as st

from claimlab import Certificate, Claim, Exact, draw
from claimlab.measure.piecewise import Layer, function_of, l1_distance, parameters, pieces
from claimlab.measure.sawtooth import TENT, best_fits, sawtooth, sawtooth_net

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="expressivity/depth-separates",
    covers=("C5",),
    slide="Depth and Parametric Cost",
    version=2,
    finding="scoped",
    says="There are functions that a ReLU net with on the order of k³ layers and a constant number of units "
    "approximates, and that nets with on the order of k layers do not approximate without on the order of 2^k units.",
    statement="K hidden layers of two ReLU units compute a sawtooth of 2^K laps. If K ≥ k² + 2, all nets of at most k "
    "hidden layers and 2^k units stay 1/8 away from it in L1, and so do those of one hidden layer and fewer than "
    "2^(K−1) units; one hidden layer computes it with 2^K units, and no fewer.",
    reason="The separation is a theorem, with two amendments. The constant number of units is one of units a layer, "
    "not in all. And it is about some functions and large k: in one hidden layer the sawtooth takes as few units as "
    "in K for K = 1 and 2, and 2^k units are more than the 2 (k² + 2) of the deep net only from k = 7 on.",
    scope="one input, ReLU, the sawtooth; what nets can represent, not what training finds. Telgarsky's theorem has "
    "any number of inputs, other units too, k³ in place of k², and 1/64 in place of 1/8.",
    source="Telgarsky 2016 (arXiv 1602.04485); Telgarsky 2015 (arXiv 1509.08101), Theorem 1.1",
    evidence=Exact(),
)

EIGHTH = Fraction(1, 8)


# -- the deep net -------------------------------------------------------------------------------------------------


def error_of_a_narrow_net(depth: int) -> Fraction:
    """The distance of the net of so many hidden layers of two units from as many tents composed."""
    tents = reduce(lambda composed, _: TENT(composed), range(depth - 1), TENT)
    return l1_distance(tents, function_of(sawtooth_net([2] * depth)), 0, 1)


def two_units_a_tent_are_exact(
    *, most: int = 8, error: Callable[[int], Fraction] = error_of_a_narrow_net
) -> Certificate:
    """Whether 2K units compute the tent composed K times, K up to `most`; in K layers they have 6K + 1 parameters."""
    depths = range(1, most + 1)
    errors = [error(depth) for depth in depths]
    counts = [parameters(sawtooth_net([2] * depth)) for depth in depths]
    return Certificate(
        not any(errors) and counts == [6 * depth + 1 for depth in depths],
        errors=[float(e) for e in errors],
        parameters=counts,
    )


def test_narrow_nets_are_exact(judge):
    """K hidden layers of two units, 6K + 1 parameters, are the sawtooth of 2^K laps on [0, 1], K = 1 to 8."""
    judge(two_units_a_tent_are_exact).supports()


def test_control_width_instead_of_depth(judge):
    """As many units in one layer do not compute it from K = 3 on."""
    judge(two_units_a_tent_are_exact, error=least_error_in_one_layer).refutes()


# -- every net that is less deep ----------------------------------------------------------------------------------


class Nets(NamedTuple):
    """All nets of at most so many hidden layers and units in all, which are to come near the sawtooth of 2^depth laps.

    `depth` is also the number of layers, of two units each, in which the deep net computes it.
    """

    depth: int
    layers: int
    units: int


THEOREM = [Nets(depth=k * k + 2, layers=k, units=2**k) for k in range(1, 13)]
ONE_LAYER = [Nets(depth=K, layers=1, units=2 ** (K - 1) - 1) for K in range(2, 9)]


def most_pieces(units: int, layers: int) -> int:
    """The pieces that a net of so many hidden layers, or fewer, has at most: (1 + N/L)^L with whole numbers."""
    width, wider = divmod(units, layers)
    return (width + 2) ** wider * (width + 1) ** (layers - wider)


def least_distance(count: int, depth: int) -> Fraction:
    """What is proved above of a function with so many pieces and the sawtooth of 2^depth laps."""
    return max(Fraction(0), (1 - Fraction(count, 2**depth)) / 4)


def least_error(nets: Nets) -> Fraction:
    """A lower bound on the L1 distance of all of them."""
    return least_distance(most_pieces(nets.units, nets.layers), nets.depth)


def least_error_in_one_layer(depth: int) -> Fraction:
    """The same for as many units as the deep net has, in one hidden layer."""
    return least_error(Nets(depth, layers=1, units=2 * depth))


def least_mistakes(nets: Nets) -> Fraction:
    """A lower bound on their share of mistakes on labels 0, 1, 0, 1, ... at the points i / 2^depth.

    `least[s]` are the fewest mistakes so far of the classifiers that changed their mind s times and last said 0 or 1.
    """
    points, changes = 2**nets.depth, most_pieces(nets.units, nets.layers)
    least = [(0, 0)] * (changes + 1)  # starting with either is free
    for label in (0, 1) * (points // 2):
        stayed_or_changed = zip(least, [(points, points), *least], strict=False)
        least = [(min(a, d) + label, min(b, c) + 1 - label) for (a, b), (c, d) in stayed_or_changed]
    return Fraction(min(map(min, least)), points)


def error_of_a_sawtooth_net(nets: Nets) -> Fraction:
    """An upper bound on the best one's L1 distance: layers that make 2^(depth / layers) laps of each lap before."""
    each, more = divmod(nets.depth, nets.layers)
    folds = [2 ** (each + 1)] * more + [2**each] * (nets.layers - more)
    assert sum(folds) <= nets.units
    return l1_distance(sawtooth(2**nets.depth), function_of(sawtooth_net(folds)), 0, 1)


def stay_away(
    *, nets: Sequence[Nets], error: Callable[[Nets], Fraction] = least_error, margin: Fraction = EIGHTH
) -> Certificate:
    """Whether all these nets miss their sawtooth by the margin.

    The claim is shown with a lower bound on the error of all nets of a size, and refuted with the error of one.
    """
    errors = [error(of_size) for of_size in nets]
    return Certificate(
        min(errors) >= margin,
        errors=[float(e) for e in errors],
        units=[of_size.units for of_size in nets],
        units_of_the_deep_net=[2 * of_size.depth for of_size in nets],
    )


def one_hidden_layer_is_exact(*, most: int = 8, fewer: int = 0) -> Certificate:
    """Whether one hidden layer of 2^K units, or a few `fewer`, computes the sawtooth of 2^K laps, K up to `most`.

    Its 2^K - 1 bends take a unit each. If there is no other unit, then at x = 0 the output rises by minus the sum of
    the bends whose units open to the left. All bends being multiples of 2 * 2^K, it does not rise by 2^K as it should.
    """
    enough, errors = [], []
    for depth in range(1, most + 1):
        f, units = sawtooth(2**depth), 2**depth - fewer
        (rise, _), bends = f.lines[1], [bend for t, bend in f.kinks if 0 < t < 1]
        enough.append(units >= len(bends) + all(bend % (2 * rise) == 0 for bend in bends))
        errors.append(l1_distance(f, function_of(sawtooth_net([units])), 0, 1))
    return Certificate(all(enough) and not any(errors), enough=enough, errors=[float(e) for e in errors])


def test_claim(judge):
    """k hidden layers and 2^k units against K = k² + 2 tents, k = 1 to 12: 1/8 away or more."""
    judge(stay_away, nets=THEOREM).supports()


def test_one_hidden_layer_stays_away(judge):
    """One hidden layer of 2^(K−1) − 1 units, K = 2 to 8: 1/8 away or more."""
    judge(stay_away, nets=ONE_LAYER).supports()


def test_one_hidden_layer_mislabels_a_quarter(judge):
    """The same nets are wrong on a quarter or more of 2^K alternating labels, K = 2 to 6."""
    judge(stay_away, nets=ONE_LAYER[:5], error=least_mistakes, margin=Fraction(1, 4)).supports()


def test_one_hidden_layer_is_exact_with_a_unit_a_lap(judge):
    """2^K units compute the sawtooth, and no fewer do, K = 1 to 8."""
    judge(one_hidden_layer_is_exact).supports()


def test_control_k_plus_3_times_the_units(judge):
    """With (k + 3) 2^k units k layers compute the sawtooth exactly, k = 1 and 2."""
    many = [nets._replace(units=(nets.layers + 3) * nets.units) for nets in THEOREM[:2]]
    judge(stay_away, nets=many, error=error_of_a_sawtooth_net).refutes()


def test_control_one_hidden_layer_of_a_unit_a_lap(judge):
    laps = [nets._replace(units=2**nets.depth) for nets in ONE_LAYER]
    judge(stay_away, nets=laps, error=error_of_a_sawtooth_net).refutes()


def test_control_a_mind_changed_at_every_point(judge):
    """Classifiers with a piece for each point make no mistake."""
    points = [nets._replace(units=2**nets.depth) for nets in ONE_LAYER[:5]]
    judge(stay_away, nets=points, error=least_mistakes, margin=Fraction(1, 4)).refutes()


def test_control_a_unit_fewer_than_laps(judge):
    """One unit for each bend is not enough."""
    judge(one_hidden_layer_is_exact, fewer=1).refutes()


# -- the two bounds, held against functions that are there --------------------------------------------------------


@cache
def pieces_and_distances_of_best_fits(depth: int) -> list[tuple[int, Fraction]]:
    """Of the best fits of 1, 2, ..., 2^depth pieces to the sawtooth of as many laps."""
    f, heights = sawtooth(2**depth), [Fraction(i, 8) for i in range(-2, 11)]
    fits = best_fits(f, cells=2 ** (depth + 1), heights=heights, pieces=2**depth)
    return [(pieces(g, 0, 1), l1_distance(f, g, 0, 1)) for g in fits]


def best_fits_stay_away(*, depths: Sequence[int] = (2, 3, 4), fewer: int = 0) -> Certificate:
    """Whether no fit on a grid, best for its number of pieces, beats the bound; or the bound of a few pieces `fewer`.

    The fits, on half laps and eighths of the height, are adversaries: others may be nearer yet.
    """
    fits = {depth: pieces_and_distances_of_best_fits(depth) for depth in depths}
    beaten = [
        (depth, count)
        for depth, measured in fits.items()
        for count, distance in measured
        if distance < least_distance(count - fewer, depth)
    ]
    distances = {f"of_{2**depth}_laps": [float(apart) for _, apart in measured] for depth, measured in fits.items()}
    return Certificate(not beaten, beaten=beaten, **distances)


NUDGES = st.sampled_from([Fraction(i, 8) for i in (0, 0, 1, -1, 3, -3, 8, -8, 16)])


@st.composite
def nudged_nets(draw: st.DrawFn, *, layers: int = 3) -> list[Layer]:
    """Sawtooth nets of up to three units a layer with every weight and bias nudged: nets of many pieces."""
    folds = draw(st.lists(st.integers(2, 3), min_size=1, max_size=layers))
    return [
        ([[weight + draw(NUDGES) for weight in row] for row in weights], [bias + draw(NUDGES) for bias in biases])
        for weights, biases in sawtooth_net(folds)
    ]


# Three units fold a segment into four: z = 10 - 3a + 2b - 2c runs four times between 0 and 2. The next layer bends each
# run at z = 1/2, 1 and 3/2, or at 1/2 and 3/2 with a unit fewer, and the net bends too where z turns.
FOLDING: Layer = ([[1], [1], [-1]], [-1, -3, 5])
SIXTEEN_PIECES: list[Layer] = [FOLDING, ([[-6, 4, -4], [-3, 2, -2], [6, -4, 4]], [19, 9, -17]), ([[1, 1, 3]], [0])]
TWELVE_PIECES: list[Layer] = [FOLDING, ([[-6, 4, -4], [6, -4, 4]], [19, -17]), ([[1, 2]], [0])]


def pieces_that_add(units: int, layers: int) -> int:
    """What one layer has at most, whatever the layers."""
    return units + 1


def obeys_the_bounds(
    net: list[Layer], *, bound: Callable[[int, int], int] = most_pieces, depth: int = 3
) -> Certificate:
    """Whether a net has no more pieces than the bound for its size, and is as far away as that number says."""
    f = function_of(net)
    widths = [len(biases) for _, biases in net[:-1]]
    count, most = pieces(f), bound(sum(widths), len(widths))
    apart = l1_distance(sawtooth(2**depth), f, 0, 1)
    return Certificate(count <= most and apart >= least_distance(count, depth), pieces=count, bound=most, apart=apart)


def test_best_fits_stay_away(judge):
    """The best fits of 1, 2, ... pieces to 4, 8 and 16 laps, with corners on a grid."""
    judge(best_fits_stay_away).supports()


@pytest.mark.property(examples=40)
def test_drawn_nets_obey_the_bounds(judge):
    """Forty sawtooth nets of up to three layers of up to three units, with every weight and bias nudged."""
    judge(obeys_the_bounds, given=nudged_nets()).supports()


def test_six_units_in_two_layers_attain_the_bound(judge):
    """3 and 3 units have 16 pieces, which are as many as the bound allows."""
    judge(obeys_the_bounds, net=SIXTEEN_PIECES).supports()


def test_five_units_in_two_layers_attain_the_bound(judge):
    """3 and 2 units have 12 pieces, which are as many as the bound allows."""
    judge(obeys_the_bounds, net=TWELVE_PIECES).supports()


def test_control_a_bound_two_pieces_better(judge):
    """The bound leaves little room: what it says of P − 2 pieces, fits of P pieces beat."""
    judge(best_fits_stay_away, fewer=2).refutes()


def test_control_pieces_that_add(judge):
    """In one layer a unit adds one piece at most, in several layers more: six units have 16, not 7."""
    judge(obeys_the_bounds, net=SIXTEEN_PIECES, bound=pieces_that_add).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Fits of few pieces stay above the bound, and near it; the deep nets have the pieces it takes to be exact."""
    fits = measured["best_fits_stay_away"]
    draw.numbers(ax.xaxis, [1, 2, 4, 8, 16, 32], log=True)
    for colour, depth in zip(("C0", "C2", "C5"), (2, 3, 4), strict=True):
        laps = 2**depth
        counts = [laps ** (step / 50) for step in range(51)]
        bound = [(1 - count / laps) / 4 for count in counts]
        draw.curve(ax, counts, bound, f"bound, {laps} laps", style=f"{colour}-")
        draw.curve(ax, range(1, laps + 1), fits[f"of_{laps}_laps"], style=f"{colour}o")
        ax.plot(laps, 0, "*", color=colour, markersize=13, clip_on=False, zorder=3)
    ax.plot([], [], "o", color="0.4", markersize=4, label="best fit on a grid")
    ax.plot([], [], "*", color="0.4", markersize=11, label="K layers of 2 units")
    ax.set(
        xlabel="linear pieces on [0, 1] (one hidden layer: units + 1 at most)",
        ylabel="L1 distance from the sawtooth",
        ylim=(0, None),
    )
    ax.legend(fontsize=8)
