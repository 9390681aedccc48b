"""Composing the tent map once more doubles its oscillations.

Slides: Efficient Oscillations with Composition (four plots of one, two, three and four tents, one inside the other).

The tent rises from 0 to 1 on [0, 1/2], falls back to 0 on [1/2, 1] and is 0 elsewhere. Each half of it maps onto all of
[0, 1], so a function fed with the tent's output is run through twice, once forwards and once backwards.

What is a layer? The deck writes the tent as a ReLU of a difference of two ReLUs: two hidden layers, of two units and of
one. The outer ReLU only clips the tent at 0 for x > 1, and the two ReLUs of the next tent clip there anyway; without it
the one linear map that is left merges into the next layer, and a net gains a tent with each hidden layer of two units.
All functions here are computed exactly, in rational arithmetic, from the weights of the nets.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING

from claimlab import Certificate, Claim, Exact, draw
from claimlab.measure.piecewise import (
    Layer,
    PiecewiseLinear,
    crossings,
    hidden_units,
    identity,
    parameters,
    peaks,
    pieces,
    sup_distance,
    weighted_sum,
)
from claimlab.measure.sawtooth import TENT, sawtooth_net

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="expressivity/composition-doubles",
    covers=("C2", "C3"),
    slide="Efficient Oscillations with Composition",
    version=1,
    finding="scoped",
    says="Composing the tent map once more, and so adding one layer, doubles the number of oscillations.",
    statement="Composing the tent map with itself once more doubles its peaks, its linear pieces and its crossings of "
    "the level 1/2 on [0, 1]. For each doubling a ReLU net needs two units and six parameters more: in one more "
    "hidden layer if tents are merged, in two as the deck codes them. Tents side by side only add peaks.",
    reason="Each composition doubles the count as the deck says. One more hidden layer does so only when the linear "
    "parts of neighbouring tents are merged; as the deck codes the tent it is two ReLU layers, and the oscillations "
    "double with every second layer.",
    scope="the tent map, of one input, composed up to ten times; a doubling with every hidden layer only in the "
    "merged net",
    source="Telgarsky 2016 (arXiv 1602.04485); Telgarsky 2015 (arXiv 1509.08101)",
    evidence=Exact(),
)

Family = Callable[[int], list[PiecewiseLinear]]
"""The first n functions of a family that grows."""


@cache  # for the three tests that look at it
def composed(n: int) -> list[PiecewiseLinear]:
    """tent, tent(tent), tent(tent(tent)), ..."""
    functions = [TENT]
    while len(functions) < n:
        functions.append(TENT(functions[-1]))
    return functions


def side_by_side(n: int) -> list[PiecewiseLinear]:
    """As many tents, added instead of composed: the k-th function has k tents of width 1/k next to each other."""
    return [weighted_sum([1] * k, [TENT(k * identity() - place) for place in range(k)]) for k in range(1, n + 1)]


# FIRST has the units relu(2x) and relu(4x - 2), whose difference is the tent but for x > 1, and NEXT has the same two
# units of the difference of the two before. CLIP takes that difference: it is the readout, or with the deck's outer
# ReLU a hidden layer of its own.
FIRST, NEXT, CLIP = sawtooth_net([2, 2])


def merged(n: int) -> list[PiecewiseLinear]:
    """The nets with 1, 2, ..., n hidden layers, each of two units."""
    return ended_after_each([FIRST, *[NEXT] * (n - 1)])


def literal(n: int) -> list[PiecewiseLinear]:
    """The nets with 1, 2, ..., n hidden layers when a tent takes two, as in the deck's code."""
    return ended_after_each(([FIRST, CLIP] * n)[:n])


def literal_tent_by_tent(n: int) -> list[PiecewiseLinear]:
    """The same nets, of 2, 4, ..., 2n hidden layers."""
    return literal(2 * n)[1::2]


def ended_after_each(hidden: list[Layer]) -> list[PiecewiseLinear]:
    """What a net computes when its output is read after each of its layers: two units less one another, or the one."""
    return [weighted_sum([1, -1][: len(units)], units) for units in hidden_units(hidden)]


def doubles(*, family: Family, n: int = 10, level: Fraction = Fraction(1, 2)) -> Certificate:
    """Whether the k-th function goes up and down 2^(k-1) times between 0 and 1 on [0, 1], for every k up to n."""
    functions = family(n)
    tops = [[height for _, height in peaks(f)] for f in functions]
    on_unit_interval = [pieces(f, 0, 1) for f in functions]
    crossed = [len(crossings(f, level)) for f in functions]
    return Certificate(
        tops == [[1] * 2**k for k in range(n)] and on_unit_interval == crossed == [2 ** (k + 1) for k in range(n)],
        peaks=[len(heights) for heights in tops],
        pieces_on_unit_interval=on_unit_interval,
        crossings_of_one_half=crossed,
    )


def adds_two_pieces_outside(*, n: int = 10) -> Certificate:
    """Whether the composition is two more pieces on the whole line: it is 0 left and right of [0, 1]."""
    counts = [pieces(f) for f in composed(n)]
    return Certificate(counts == [2**k + 2 for k in range(1, n + 1)], pieces=counts)


def merged_net_is_the_composition(*, n: int = 10) -> Certificate:
    """Equal for k = 1 on [0, 1] (a last tent is not clipped), for k > 1 on the whole line, with 6k + 1 parameters."""
    (first, *deeper), (tent, *compositions) = merged(n), composed(n)
    apart = sup_distance(first, tent, 0, 1)
    size = [parameters([FIRST, *[NEXT] * (k - 1), CLIP]) for k in range(1, n + 1)]  # CLIP's weights are the readout
    return Certificate(
        apart == 0 and deeper == compositions and size == [6 * k + 1 for k in range(1, n + 1)],
        sup_distance_of_the_first=apart,
        equal_on_the_line=[net == f for net, f in zip(deeper, compositions, strict=True)],
        parameters=size,
    )


def test_claim(judge):
    """k tents composed, k = 1 to 10: exactly 2^(k−1) peaks, all of height 1, 2^k pieces and crossings on [0, 1]."""
    judge(doubles, family=composed).supports()


def test_two_more_pieces_on_the_whole_line(judge):
    """2^k + 2 linear pieces on the real line, k = 1 to 10."""
    judge(adds_two_pieces_outside).supports()


def test_each_hidden_layer_doubles_in_the_merged_net(judge):
    """The same counts for the net of k hidden layers of width 2, with linear output and biases, k = 1 to 8."""
    judge(doubles, family=merged, n=8).supports()


def test_merged_net_is_the_composition(judge):
    """It equals k tents on [0, 1], for k > 1 on the whole line, and has 6k + 1 parameters, k = 1 to 10."""
    judge(merged_net_is_the_composition).supports()


def test_every_second_hidden_layer_doubles_in_the_deck_net(judge):
    """With two hidden layers a tent, of two units and of one, the counts double with every second layer, k = 1 to 8."""
    judge(doubles, family=literal_tent_by_tent, n=8).supports()


def test_control_each_hidden_layer_in_the_deck_net(judge):
    """As the deck codes it a tent is two hidden layers, and only one of them doubles."""
    judge(doubles, family=literal).refutes()


def test_control_tents_added_instead_of_composed(judge):
    """k tents in one layer have k peaks: pieces add."""
    judge(doubles, family=side_by_side).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """One tent more doubles the peaks and the pieces: one, two, three and four tents composed, one above the other."""
    bases = [4.5, 3, 1.5, 0]
    for k, (base, f) in enumerate(zip(bases, composed(4), strict=True), start=1):
        xs = [Fraction(-3, 10), *f.breakpoints, Fraction(13, 10)]
        draw.curve(ax, xs, [base + float(f(x)) for x in xs], style="-")
        ax.text(1.35, base + 0.15, f"k = {k}\npeaks: {len(peaks(f))}\npieces on [0, 1]: {pieces(f, 0, 1)}", fontsize=9)
    draw.names(ax.yaxis, "01" * 4, at=[base + height for base in bases for height in (0, 1)])
    ax.set(xlabel="x", ylabel="tent composed k times", xlim=(-0.3, 1.95), xticks=[0, 0.5, 1])
