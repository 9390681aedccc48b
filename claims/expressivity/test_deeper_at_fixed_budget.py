"""For one budget of parameters, deeper nets can have more linear regions.

Slide: For a fixed param budget, deeper is better. The slide shows a shallow and a deep net with twenty hidden units
each (Montufar et al. 2014, Figure 1). Units are not parameters: on the plane those nets have 81 and 151. So here the
budget is in parameters, weights and biases, and a shallow net may have as many units as they pay for.

"Better" is the largest number of regions that a net of two inputs and one output can have. For one hidden layer it is
known exactly (Zaslavsky 1975). For more layers it lies between two bounds of Serra et al. 2018, and that is enough: at
151 and at 300 parameters the lower bound of some net with two, three and four hidden layers lies above the upper bound
of every net with one layer less. The bounds count activation regions, where the same units are active. Two nets that
attain the lower bound are built, and each of their activation regions is a linear region too, counted exactly.

A layer more pays as long as the layers can fold the plane. Push depth to the end of the budget and the layers have one
unit each: such a net cuts the plane into strips, at most one more with each layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

from claimlab import Certificate, Claim, Exact, draw
from claimlab.measure.count import mlp_parameters
from claimlab.measure.piecewise import Layer, parameters
from claimlab.measure.regions import (
    affine_functions,
    regions_on_polygon,
    serra_lower_bound,
    serra_upper_bound,
    square_folding_net,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="expressivity/deeper-at-a-fixed-parameter-budget",
    covers=("C7",),
    slide="For a fixed param budget, deeper is better",
    version=2,
    finding="scoped",
    says="With the same number of parameters, a deeper net is better: it can cut its input into more linear regions.",
    statement="Within one budget of parameters some ReLU net of two inputs and two hidden layers can have more linear "
    "regions than every net of one hidden layer, some net of three more than every net of two, and some net of four "
    "more than every net of three. Taken to the end, layers of one unit each, depth has far fewer.",
    reason="A layer that is wide enough to fold the plane multiplies the largest number of regions. The deck's "
    "picture compares 81 parameters with 151, but at equal budgets the order is the same. It turns round when the "
    "layers get too thin, and random or trained nets come nowhere near these numbers.",
    scope="two inputs, one output, biases, budgets of 81 to 1000 parameters; the largest number that any weights "
    "reach: what initialisation finds is a claim of its own, and the number of regions is not accuracy",
    source="Montufar et al. 2014 (arXiv 1402.1869), Figure 1 and Theorem 5; Serra et al. 2018 (arXiv 1711.02114), "
    "Theorems 1 and 6; Zaslavsky 1975",
    evidence=Exact(),
)

INPUTS, OUTPUTS = 2, 1
UNIT_SQUARE = ((0, 0), (1, 0), (1, 1), (0, 1))

LARGE_SQUARE = ((-64, -64), (64, -64), (64, 64), (-64, 64))

Widths = tuple[int, ...]
"""The hidden layers of a net."""

# Nets, found by chance, with as many regions as the upper bound allows: (4,), (2, 2), (2, 1, 1) and (1, 1, 1) units.
ATTAINING: list[list[Layer]] = [
    [([[1, 0], [0, 1], [1, 1], [1, -2]], [0, 0, 1, 3]), ([[1, 2, 4, 8]], [0])],
    [([[-2, 3], [-4, 1]], [1, -2]), ([[3, 3], [-4, -1]], [-4, 3]), ([[-2, 4]], [-1])],
    [([[-2, -3], [0, -3]], [3, 3]), ([[3, 2]], [-1]), ([[-3]], [3]), ([[-4]], [2])],
    [([[3, 4]], [2]), ([[-4]], [3]), ([[-1]], [2]), ([[2]], [-2])],
]

# For each budget a net with two, three, ... hidden layers: those within 151 and 300 with the largest lower bounds.
CHAINS: dict[int, list[Widths]] = {
    151: [(6, 16), (8, 6, 9), (6, 6, 6, 6)],
    300: [(6, 35), (16, 6, 18), (14, 6, 6, 15)],
    1000: [(28, 28)],
}


def size(widths: Widths) -> int:
    """The number of parameters of a net with these hidden layers."""
    return mlp_parameters((INPUTS, *widths, OUTPUTS))


def at_least(widths: Widths) -> int:
    """So many linear regions some net of these hidden layers has."""
    return serra_lower_bound(widths, INPUTS)


def at_most(widths: Widths) -> int:
    """No net of these hidden layers has more linear regions."""
    return serra_upper_bound(widths, INPUTS)


def within(budget: int, depth: int, begun: Widths = ()) -> Iterator[Widths]:
    """The nets of so many hidden layers, `begun` the first, whose last layer is as wide as the budget pays for.

    Those with a narrower last layer are left out: neither bound is larger for them.
    """
    to_come = depth - len(begun) - 1
    if not to_come:
        each = size((*begun, 1)) - size((*begun, 0))
        yield (*begun, (budget - size((*begun, 0))) // each)
        return
    width = 1
    while size((*begun, width, *[1] * to_come)) <= budget:
        yield from within(budget, depth, (*begun, width))
        width += 1


def most_at_depth(budget: int, depth: int) -> int:
    """No net of so many hidden layers within the budget has more linear regions."""
    return max(at_most(widths) for widths in within(budget, depth))


def deepest(budget: int) -> Widths:
    """The net of one unit a layer that has the most layers."""
    return (1,) * ((budget - 3) // 2)


def deeper_has_more(*, budgets: dict[int, list[Widths]], regions: Callable[[Widths], int] = at_least) -> Certificate:
    """Whether each net of a chain keeps within its budget and has more regions than every net of one depth less.

    The first of a chain is compared with all nets of one hidden layer, the others with all nets as deep as the one
    before it. The claim is shown with a lower bound on what such nets have, the control refuted with an upper one.
    """
    steps = [
        (budget, most_at_depth(budget, len(before)), regions(widths), size(widths) <= budget)
        for budget, chain in budgets.items()
        for before, widths in pairwise([(1,), *chain])
    ]
    return Certificate(
        all(fits and more > most for _, most, more, fits in steps),
        budget=[budget for budget, *_ in steps],
        shallower_at_most=[most for _, most, *_ in steps],
        deeper=[more for _, _, more, _ in steps],
    )


def unfolded_net(widths: Widths) -> list[Layer]:
    """The square-folding net with the signs taken off the weights that read its zigzags: what folded now only bends."""
    first, (rows, biases), *rest = square_folding_net(widths)
    return [first, ([[abs(weight) for weight in row] for row in rows], biases), *rest]


@cache
def counted(build: Callable[[Widths], list[Layer]], widths: Widths) -> tuple[int, int, int]:
    """The parameters of a net that is built, and its activation and linear regions on the unit square.

    Of the latter there are as many as affine functions at least.
    """
    net = build(widths)
    regions = regions_on_polygon(net, UNIT_SQUARE)
    return parameters(net), len(regions), affine_functions(regions)


def built_net_has_more(
    *, budgets: dict[int, Widths], build: Callable[[Widths], list[Layer]] = square_folding_net
) -> Certificate:
    """Whether nets that are built beat every net with one hidden layer within the budget, by an exact count."""
    sizes, activation, linear = zip(*(counted(build, widths) for widths in budgets.values()), strict=True)
    most = [most_at_depth(budget, depth=1) for budget in budgets]
    return Certificate(
        all(own <= budget for budget, own in zip(budgets, sizes, strict=True))
        and all(mine > theirs for mine, theirs in zip(linear, most, strict=True)),
        budget=list(budgets),
        parameters=sizes,
        activation_regions=activation,
        linear_regions=linear,
        one_layer_at_most=most,
    )


def counts_are(
    *, built: dict[Widths, tuple[int, int, int]], one_layer: dict[int, int], thin: dict[int, int]
) -> Certificate:
    """Whether built nets have that many parameters, activation and linear regions, and others so many at most.

    `one_layer` says it of one hidden layer by the budget, `thin` of the deepest net that the budget pays for.
    """
    counts = {widths: counted(square_folding_net, widths) for widths in built}
    most = {budget: most_at_depth(budget, 1) for budget in one_layer}
    most_of_thin = {budget: at_most(deepest(budget)) for budget in thin}
    return Certificate(
        counts == built and most == one_layer and most_of_thin == thin,
        built=list(counts.values()),
        one_layer=list(most.values()),
        thin=list(most_of_thin.values()),
    )


def bounds_stand(*, nets: Sequence[list[Layer]], folding: Sequence[Widths], room: int = 0) -> Certificate:
    """Whether no net has more activation regions than the upper bound, or than that less some `room`.

    And whether nets that fold the square have as many linear regions as the lower bound promises, or `room` more, and
    the lower bound nowhere promises more than the upper one allows, up to eight layers of six units.
    """
    most = [at_most(tuple(len(biases) for _, biases in net[:-1])) for net in nets]
    regions = [len(regions_on_polygon(net, LARGE_SQUARE)) for net in nets]
    promised = [at_least(widths) for widths in folding]
    folded = [counted(square_folding_net, widths)[2] for widths in folding]
    deep = [(6,) * layers for layers in range(1, 9)]
    return Certificate(
        all(at_least(widths) <= at_most(widths) for widths in deep)
        and all(count <= bound - room for count, bound in zip(regions, most, strict=True))
        and all(count >= bound + room for count, bound in zip(folded, promised, strict=True)),
        at_most=most,
        regions=regions,
        at_least=promised,
        folded=folded,
    )


def at_one_budget(*, shallow: Widths = (20,), deep: Widths = (10, 10)) -> Certificate:
    """Whether the two nets of the deck's picture, of twenty hidden units each, have as many parameters."""
    fewer, more = size(shallow), size(deep)
    return Certificate(fewer == more, shallow=fewer, deep=more)


def test_claim(judge):
    """Up to 151 and 300 parameters for L + 1 hidden layers against L = 1, 2 and 3, up to 1000 for two against one.

    Some net with the layer more has more linear regions than every net without it has activation regions.
    """
    judge(deeper_has_more, budgets=CHAINS).supports()


def test_built_net(judge):
    """On the unit square a net that is written down has more regions than one hidden layer can have on the whole plane.

    With 10 and 10 units, 151 parameters, it has 2016, where one hidden layer of as many has at most 704. With 6 and 6
    units, 67 parameters, it has 352, where one hidden layer of up to 81 parameters has at most 211.
    """
    judge(built_net_has_more, budgets={81: (6, 6), 151: (10, 10)}).supports()


def test_counts(judge):
    """67 and 151 parameters for 352 and 2016 regions; 211 and 704 at most in one layer, 75 in 74 layers of one unit."""
    built = {(6, 6): (67, 352, 352), (10, 10): (151, 2016, 2016)}
    judge(counts_are, built=built, one_layer={81: 211, 151: 704}, thin={151: 75}).supports()


def test_bounds_are_attained(judge):
    """Nets of one, two and three layers have just as many regions as the upper bound allows, and (6, 6) as the lower.

    So neither can be wrong in favour of the claim without a net to show it; and up to eight layers of six units none
    contradicts the other.
    """
    judge(bounds_stand, nets=ATTAINING, folding=[(6, 6)]).supports()


def test_deck_picture(judge):
    """The deck's two nets of twenty hidden units have 81 and 151 parameters: they are at no common budget."""
    judge(at_one_budget).refutes()


def test_control_layers_of_one_unit(judge):
    """The deepest nets that the budgets pay for: with 151 parameters 74 layers, which have at most 75 regions."""
    judge(deeper_has_more, budgets={budget: [deepest(budget)] for budget in CHAINS}, regions=at_most).refutes()


def test_control_bounds_that_leave_no_room(judge):
    """Bounds that are better by one region are wrong."""
    judge(bounds_stand, nets=ATTAINING, folding=[(6, 6)], room=1).refutes()


def test_control_without_folds(judge):
    judge(built_net_has_more, budgets={81: (6, 6), 151: (10, 10)}, build=unfolded_net).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """At each budget a layer more can have more regions: the most of any net or bounds on it, and nets built."""
    budgets = range(55, 212, 26)
    ax.set(yscale="log", ylim=(10, 1e6), xlabel="parameters", ylabel="linear regions, largest number")
    for depth in (3, 2):
        low = [max(at_least(widths) for widths in within(budget, depth)) or float("nan") for budget in budgets]
        high = [most_at_depth(budget, depth) for budget in budgets]
        draw.band(ax, budgets, low, high, f"{depth} hidden layers, bounds", style="C2" if depth == 3 else "C0")
    draw.curve(ax, budgets, lambda budget: most_at_depth(budget, 1), "1 hidden layer, exact", style="C0s-")
    thin = [at_most(deepest(budget)) for budget in budgets]
    draw.curve(ax, budgets, thin, "1 unit a layer, at most (control)")
    built = measured["built_net"]
    draw.curve(ax, built["parameters"], built["linear_regions"], "built and counted", style="blackD")
    ax.legend(loc="upper left", ncols=2, fontsize=9)
