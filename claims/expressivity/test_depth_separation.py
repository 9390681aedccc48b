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

from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import cache, partial, reduce
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from claimlab import Certificate, Claim, Exact, Rows
from claimlab.measure.piecewise import Layer, PiecewiseLinear, function_of, l1_distance, parameters, pieces
from claimlab.measure.sawtooth import TENT, best_fits, sawtooth, sawtooth_net
from claimlab.nets import MLP
from claimlab.parts import parts
from claimlab.seeds import Seeds
from claimlab.train import train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="expressivity/depth-separates",
    covers=("C5",),
    slide="Depth and Parametric Cost",
    version=1,
    finding="scoped",
    says="There are functions that a ReLU net with on the order of k^3 layers and a constant number of units "
    "approximates, and that nets with on the order of k layers do not approximate without on the order of 2^k units.",
    statement="The sawtooth of 2^K laps on [0, 1] is computed by K hidden layers of 2 ReLU units, with 6K + 1 "
    "parameters (checked exactly for K = 1 to 8). Every ReLU net with at most k hidden layers and 2^k units is at L1 "
    "distance 1/8 or more from it as soon as K >= k^2 + 2 (k = 1 to 12), and every net with one hidden layer of fewer "
    "than 2^(K-1) units (K = 2 to 8), which is also wrong on a quarter of 2^K alternating labels (K = 2 to 6). One "
    "hidden layer computes it with 2^K units and with no fewer (K = 1 to 8). All in rational arithmetic.",
    reason="The separation is a theorem, with two amendments. The constant number of units is one of units a layer, "
    "not in all. And it is about some functions and large k: in one hidden layer the sawtooth takes as few units as "
    "in K for K = 1 and 2, and 2^k units are more than the 2 (k^2 + 2) of the deep net only from k = 7 on.",
    scope="one input, ReLU, the sawtooth; what nets can represent, not what training finds. Telgarsky's theorem has "
    "any number of inputs, other units too, k^3 in place of k^2, and 1/64 in place of 1/8.",
    source="Telgarsky 2016 (arXiv 1602.04485); Telgarsky 2015 (arXiv 1509.08101), Theorem 1.1",
    evidence=Exact(),
)

EIGHTH = Fraction(1, 8)

Size = Callable[[int], int]
"""A number as a function of k."""
Error = Callable[[int, int, int], Fraction]
"""Of depth K, layers and units: how far nets with so many layers and units are from the sawtooth of 2^K laps."""


def most_pieces(units: int, layers: int) -> int:
    """The pieces that a net of so many hidden layers, or fewer, has at most: (1 + N/L)^L with whole numbers."""
    width, wider = divmod(units, layers)
    return (width + 2) ** wider * (width + 1) ** (layers - wider)


def least_distance(count: int, depth: int) -> Fraction:
    """What is proved above of a function with so many pieces and the sawtooth of 2^depth laps."""
    return max(Fraction(0), (1 - Fraction(count, 2**depth)) / 4)


def least_error_of_any_net(depth: int, layers: int, units: int) -> Fraction:
    """A lower bound on the L1 distance of every net of that size."""
    return least_distance(most_pieces(units, layers), depth)


def least_mistakes_of_any_net(depth: int, layers: int, units: int) -> Fraction:
    """The same for the share of mistakes on labels 0, 1, 0, 1, ... at the points i / 2^depth.

    `least[s]` are the fewest mistakes so far of the classifiers that changed their mind s times and last said 0 or 1.
    """
    points, changes = 2**depth, most_pieces(units, layers)
    least = [(0, 0)] * (changes + 1)  # starting with either is free
    for label in (0, 1) * (points // 2):
        stayed_or_changed = zip(least, [(points, points), *least], strict=False)
        least = [(min(a, d) + label, min(b, c) + 1 - label) for (a, b), (c, d) in stayed_or_changed]
    return Fraction(min(map(min, least)), points)


def error_of_a_sawtooth_net(depth: int, layers: int, units: int) -> Fraction:
    """An upper bound on the best net's L1 distance: layers that make 2^(depth / layers) laps of each lap before."""
    each, more = divmod(depth, layers)
    folds = [2 ** (each + 1)] * more + [2**each] * (layers - more)
    if sum(folds) > units:
        raise ValueError(f"{folds} are more than {units} units")
    return l1_distance(sawtooth(2**depth), function_of(sawtooth_net(folds)), 0, 1)


def shallow_nets_stay_away(
    *,
    ks: Iterable[int] = range(1, 13),
    depth: Size = lambda k: k * k + 2,
    layers: Size = lambda k: k,
    units: Size = lambda k: 2**k,
    error: Error = least_error_of_any_net,
    margin: Fraction = EIGHTH,
) -> Certificate:
    """Whether for every k the nets of so many layers and units miss the sawtooth of 2^depth laps by the margin.

    The claim is shown with a lower bound on the error of all nets of the size, and refuted with the error of one.
    """
    sizes = [(depth(k), layers(k), units(k)) for k in ks]
    errors = [error(*size) for size in sizes]
    return Certificate(
        min(errors) >= margin,
        errors=[float(e) for e in errors],
        units=[size[2] for size in sizes],
        units_of_the_deep_net=[2 * size[0] for size in sizes],
    )


def one_hidden_layer_stays_away(
    *, units: Size, ks: Iterable[int] = range(2, 9), error: Error = least_error_of_any_net, margin: Fraction = EIGHTH
) -> Certificate:
    """The same for one hidden layer and the sawtooth of 2^k laps."""
    return shallow_nets_stay_away(ks=ks, depth=lambda k: k, layers=lambda k: 1, units=units, error=error, margin=margin)


def one_hidden_layer_mislabels_a_quarter(*, units: Size) -> Certificate:
    """The same for mistakes on alternating labels; what is computed is the fewest of all classifiers."""
    return one_hidden_layer_stays_away(
        units=units, ks=range(2, 7), error=least_mistakes_of_any_net, margin=Fraction(1, 4)
    )


def error_of_a_narrow_net(depth: int) -> Fraction:
    """The distance of the net of so many hidden layers of two units from as many tents composed."""
    tents = reduce(lambda composed, _: TENT(composed), range(depth - 1), TENT)
    return l1_distance(tents, function_of(sawtooth_net([2] * depth)), 0, 1)


def two_units_a_tent_are_exact(*, error: Callable[[int], Fraction] = error_of_a_narrow_net) -> Certificate:
    """Whether 2 K units compute the tent composed K times, K = 1 to 8; in K layers they have 6 K + 1 parameters."""
    errors = [error(depth) for depth in range(1, 9)]
    counts = [parameters(sawtooth_net([2] * depth)) for depth in range(1, 9)]
    return Certificate(
        not any(errors) and counts == [6 * depth + 1 for depth in range(1, 9)],
        errors=[float(e) for e in errors],
        parameters=counts,
    )


def one_hidden_layer_is_exact(*, width: Size = lambda depth: 2**depth) -> Certificate:
    """Whether one hidden layer of so many units computes the sawtooth of 2^K laps, K = 1 to 8.

    Its 2^K - 1 bends take a unit each. If there is no other unit, then at x = 0 the output rises by minus the sum of
    the bends whose units open to the left. All bends being multiples of 2 * 2^K, it does not rise by 2^K as it should.
    """
    enough, errors = [], []
    for depth in range(1, 9):
        f, units = sawtooth(2**depth), width(depth)
        (rise, _), bends = f.lines[1], [bend for t, bend in f.kinks if 0 < t < 1]
        enough.append(units >= len(bends) + all(bend % (2 * rise) == 0 for bend in bends))
        errors.append(l1_distance(f, function_of(sawtooth_net([units])), 0, 1))
    return Certificate(all(enough) and not any(errors), enough=enough, errors=[float(e) for e in errors])


def best_fits_stay_away(*, fewer: int = 0) -> Certificate:
    """Whether no fit on a grid, best for its number of pieces, beats the bound; or the bound of a few pieces `fewer`.

    The fits, on half laps and eighths of the height, are adversaries: others may be nearer yet.
    """
    fits = {depth: pieces_and_distances_of_best_fits(depth) for depth in (2, 3, 4)}
    beaten = [
        (depth, count)
        for depth, measured in fits.items()
        for count, distance in measured
        if distance < least_distance(count - fewer, depth)
    ]
    distances = {f"of_{2**depth}_laps": [float(apart) for _, apart in measured] for depth, measured in fits.items()}
    return Certificate(not beaten, beaten=beaten, **distances)


@cache
def pieces_and_distances_of_best_fits(depth: int) -> list[tuple[int, Fraction]]:
    """Of the best fits of 1, 2, ..., 2^depth pieces to the sawtooth of as many laps."""
    f, heights = sawtooth(2**depth), [Fraction(i, 8) for i in range(-2, 11)]
    fits = best_fits(f, cells=2 ** (depth + 1), heights=heights, pieces=2**depth)
    return [(pieces(g, 0, 1), l1_distance(f, g, 0, 1)) for g in fits]


NUDGES = st.sampled_from([Fraction(i, 8) for i in (0, 0, 1, -1, 3, -3, 8, -8, 16)])


@st.composite
def nets(draw: st.DrawFn, *, layers: tuple[int, int] = (1, 3)) -> list[Layer]:
    """Sawtooth nets of up to three units a layer with every weight and bias nudged: nets of many pieces."""
    folds = draw(st.lists(st.integers(2, 3), min_size=layers[0], max_size=layers[1]))
    return [
        ([[weight + draw(NUDGES) for weight in row] for row in weights], [bias + draw(NUDGES) for bias in biases])
        for weights, biases in sawtooth_net(folds)
    ]


def obeys_the_bounds(
    net: list[Layer], *, bound: Callable[[int, int], int] = most_pieces, depth: int = 3
) -> Certificate:
    """Whether a net has no more pieces than the bound for its size, and is as far away as that number says."""
    f = function_of(net)
    widths = [len(biases) for _, biases in net[:-1]]
    count, most = pieces(f), bound(sum(widths), len(widths))
    apart = l1_distance(sawtooth(2**depth), f, 0, 1)
    return Certificate(count <= most and apart >= least_distance(count, depth), pieces=count, bound=most, apart=apart)


LAPS = 4  # what nets are trained on: the sawtooth of K = 2


def trained_stay_away(seeds: Seeds, *, units: int = LAPS // 2 - 1) -> Rows:
    """One hidden layer is trained on the sawtooth of 4 laps; a win ends at least 1/8 away, and has learned something.

    Learned means nearer than 3/8: the net that is 0 is 1/2 away, the best constant 1/4. Distances are those of the
    function that the trained weights, floats and so rational numbers, compute in exact arithmetic. Training starts
    with steep units that bend each in its own share of [0, 1].
    """
    f = sawtooth(LAPS)
    grid = torch.linspace(0, 1, 16 * LAPS + 1, dtype=seeds.dtype, device=seeds.device)
    x = grid.expand(len(seeds), -1)[..., None]
    y = 1 - (grid * LAPS % 2 - 1).abs().expand(len(seeds), -1)
    net = MLP((1, units, 1))
    steep, _, out, bias = net.init(seeds)
    steep = LAPS * steep
    bends = (torch.arange(units, device=seeds.device) + seeds.uniform("bends", 1, units)) / units
    start = [steep, -steep * bends, out, bias]
    fit = train(seeds, net, start, x, y, loss=mean_distance, optimizer=partial(parts().adam, lr=0.02), epochs=300)
    members = zip(*(parameter.double().cpu() for parameter in fit.parameters), strict=True)
    trained = [exact_function(*member) for member in members]
    distance = torch.tensor([float(l1_distance(f, g, 0, 1)) for g in trained])
    counts = torch.tensor([pieces(g, 0, 1) for g in trained])
    return Rows(win=(distance >= 1 / 8) & (distance < 3 / 8), distance=distance, pieces=counts)


def mean_distance(outputs: Tensor, targets: Tensor) -> Tensor:
    """The mean of |output - target|, `[S]`, of outputs `[S, N, 1]` and targets `[S, N]`."""
    return (outputs[..., 0] - targets).abs().mean(dim=1)


def exact_function(w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> PiecewiseLinear:
    """The function of one member's weights `[1, h]`, `[1, h]`, `[h, 1]` and `[1, 1]`."""
    (into,), (biases,), ((bias,),) = w1.tolist(), b1.tolist(), b2.tolist()
    hidden = [[Fraction(weight)] for weight in into], [Fraction(bias) for bias in biases]
    return function_of([hidden, ([[Fraction(weight) for (weight,) in w2.tolist()]], [Fraction(bias)])])


def test_claim(judge):
    judge(shallow_nets_stay_away).supports()


def test_narrow_nets_are_exact(judge):
    judge(two_units_a_tent_are_exact).supports()


def test_one_hidden_layer_stays_away(judge):
    judge(one_hidden_layer_stays_away, units=lambda k: 2 ** (k - 1) - 1).supports()


def test_one_hidden_layer_mislabels_a_quarter(judge):
    judge(one_hidden_layer_mislabels_a_quarter, units=lambda k: 2 ** (k - 1) - 1).supports()


def test_one_hidden_layer_is_exact_with_a_unit_a_lap(judge):
    judge(one_hidden_layer_is_exact).supports()


def test_best_fits_stay_away(judge):
    judge(best_fits_stay_away).supports()


@pytest.mark.property(examples=40)
def test_drawn_nets_obey_the_bounds(judge):
    judge(obeys_the_bounds, given=nets()).supports()


@pytest.mark.statistical(block=11)
def test_trained_nets_stay_away(judge):
    judge(trained_stay_away).supports()


def test_control_k_plus_3_times_the_units(judge):
    """With (k + 3) 2^k units k layers compute the sawtooth exactly."""
    judge(shallow_nets_stay_away, ks=(1, 2), units=lambda k: (k + 3) * 2**k, error=error_of_a_sawtooth_net).refutes()


def test_control_one_hidden_layer_of_a_unit_a_lap(judge):
    judge(one_hidden_layer_stays_away, units=lambda k: 2**k, error=error_of_a_sawtooth_net).refutes()


def test_control_a_mind_changed_at_every_point(judge):
    """Classifiers with a piece for each point make no mistake."""
    judge(one_hidden_layer_mislabels_a_quarter, units=lambda k: 2**k).refutes()


def test_control_width_instead_of_depth(judge):
    """As many units in one layer do not compute it from K = 3 on."""
    judge(two_units_a_tent_are_exact, error=lambda depth: least_error_of_any_net(depth, 1, 2 * depth)).refutes()


def test_control_a_unit_fewer_than_laps(judge):
    """One unit for each bend is not enough."""
    judge(one_hidden_layer_is_exact, width=lambda depth: 2**depth - 1).refutes()


def test_control_a_bound_two_pieces_better(judge):
    """The bound leaves little room: what it says of P - 2 pieces, fits of P pieces beat."""
    judge(best_fits_stay_away, fewer=2).refutes()


@pytest.mark.property
def test_control_pieces_that_add(judge):
    """In one layer a unit adds one piece at most, in several layers more."""
    judge(obeys_the_bounds, given=nets(layers=(3, 3)), bound=lambda units, layers: units + 1).refutes()


@pytest.mark.statistical(block=11)
def test_control_trained_wide_net(judge):
    """With 24 units, six for each lap, the same training comes nearer."""
    judge(trained_stay_away, units=6 * LAPS).refutes()


def figure(measured: "Measured", ax: "Axes") -> None:
    """The L1 distance against the number of pieces: the bound, the best fits on a grid, and trained nets."""
    fits = measured["best_fits_stay_away"]
    for color, depth in zip(("C0", "C2", "C3"), (2, 3, 4), strict=True):
        laps = 2**depth
        counts = [laps ** (step / 50) for step in range(51)]
        ax.plot(counts, [(1 - count / laps) / 4 for count in counts], color=color, label=f"bound, {laps} laps")
        ax.plot(range(1, laps + 1), fits[f"of_{laps}_laps"], "o", color=color, markersize=4)
        ax.plot(laps, 0, "*", color=color, markersize=13, clip_on=False, zorder=3)
    ax.plot([], [], "o", color="0.4", markersize=4, label="best fit on a grid")
    ax.plot([], [], "*", color="0.4", markersize=11, label="K layers of 2 units")
    one, wide = measured["trained_nets_stay_away"], measured["control_trained_wide_net"]
    ax.plot(one["pieces"], one["distance"], "x", color="C0", label="trained, 1 unit, 4 laps")
    ax.plot(wide["pieces"], wide["distance"], "x", color="C1", label="trained, 24 units, 4 laps")
    ax.set(
        xscale="log",
        xlabel="linear pieces on [0, 1] (one hidden layer: units + 1 at most)",
        ylabel="L1 distance from the sawtooth",
        ylim=(0, None),
    )
    ax.set_xticks([1, 2, 4, 8, 16, 32], ["1", "2", "4", "8", "16", "32"])
    ax.minorticks_off()
    ax.legend(fontsize=8)
