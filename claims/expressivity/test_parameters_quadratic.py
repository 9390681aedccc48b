"""The parameters of a deep net grow with the square of its units, if it grows in width.

Slide: Depth and Parametric Cost, the note under the theorem. A layer of w units on top of one as wide has w^2 weights,
so that nets of a fixed number of layers, two hidden ones at least, have a number of parameters quadratic in the units.
Nets that grow otherwise do not. Among those are the nets of the theorem itself, which grow deep at a constant width.

How fast a family grows is read off exactly. The units and the parameters of its member t are polynomials in t, of
degree 3 at most: each layer counts (fan-in + 1) * fan-out, both of which are linear in t or constant, and there are as
many layers of a kind as is linear in t or constant. Of such a polynomial the values at t = 1, ..., 8 are enough to know
its degree, from their differences. With degrees p and u the parameters grow like units^(p/u).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from claimlab import Certificate, Claim, Exact, draw
from claimlab.measure.count import mlp_parameters
from claimlab.measure.piecewise import parameters
from claimlab.measure.sawtooth import sawtooth_net

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="expressivity/parameters-quadratic-in-units",
    covers=("C6",),
    slide="Depth and Parametric Cost",
    version=1,
    finding="scoped",
    says="A deep net typically has a number of parameters that is quadratic in its number of units.",
    statement="The parameters of a fully connected net with two or more hidden layers of equal width, their number "
    "fixed, grow like the square of its units. With one hidden layer they grow in proportion to the units, as they do "
    "with growing depth at a fixed width, and for nets as deep as wide like units^(3/2).",
    reason="It holds for nets that grow in width at a fixed depth of two hidden layers or more. The net of the "
    "theorem beside it grows in depth at a constant width, and its parameters grow in proportion to its units.",
    scope="fully connected nets with biases; hidden layers of equal width, their number fixed and at least two",
    source="counted; Telgarsky 2016 (arXiv 1602.04485) for the net of fixed width",
    evidence=Exact(),
)

Family = Callable[[int], list[int]]
"""The widths of the hidden layers of the t-th net."""

Ends = tuple[int, int]
"""Inputs and outputs."""

ENDS: tuple[Ends, ...] = ((1, 1), (2, 1), (784, 10))


def fixed_depth(layers: int) -> Family:
    return lambda t: [t] * layers


def fixed_width(width: int) -> Family:
    return lambda t: [width] * t


def square(t: int) -> list[int]:
    """As many hidden layers as units in each."""
    return [t] * t


def degree(values: Sequence[int]) -> int:
    """The degree of the polynomial with these values at 1, 2, ...: how many differences leave something, not zeros."""
    steps = 0
    while any(values):
        values = [after - before for before, after in pairwise(values)]
        steps += 1
    return steps - 1


def growth(family: Family, inputs: int, outputs: int, *, members: int) -> Fraction:
    """The exponent of the units that the parameters grow with, from so many members of the family."""
    nets = [family(t) for t in range(1, members + 1)]
    return Fraction(
        degree([mlp_parameters((inputs, *hidden, outputs)) for hidden in nets]),
        degree([sum(hidden) for hidden in nets]),
    )


def grow_like(
    *, families: Sequence[Family], exponent: Fraction | int = 2, ends: Sequence[Ends] = ENDS, members: int = 8
) -> Certificate:
    """Whether the parameters of all these families grow with that power of the units, whatever the ends."""
    exponents = [growth(family, *of_net, members=members) for family in families for of_net in ends]
    return Certificate(set(exponents) == {exponent}, exponents=exponents)


def narrow_nets_have_three_a_unit(*, n: int = 8) -> Certificate:
    """Whether the nets of k hidden layers of two units that compose k tents have 3 (2k) + 1 parameters, k up to n."""
    ks = range(1, n + 1)
    counts = [parameters(sawtooth_net([2] * k)) for k in ks]
    as_mlp = [mlp_parameters((1, *[2] * k, 1)) for k in ks]
    return Certificate(counts == as_mlp == [3 * (2 * k) + 1 for k in ks], parameters=counts)


def test_claim(judge):
    """2, 3 and 5 hidden layers, with 1 input and 1 output, 2 and 1, and 784 and 10: like units², by counting."""
    judge(grow_like, families=[fixed_depth(layers) for layers in (2, 3, 5)]).supports()


def test_one_hidden_layer_is_linear(judge):
    """One hidden layer, with the same inputs and outputs: like units."""
    judge(grow_like, families=[fixed_depth(1)], exponent=1).supports()


def test_fixed_width_is_linear(judge):
    """Layers of 2, 16 and 256 units, ever more of them: like units."""
    judge(grow_like, families=[fixed_width(width) for width in (2, 16, 256)], exponent=1).supports()


def test_as_deep_as_wide_lies_between(judge):
    """t hidden layers of t units: like units^(3/2)."""
    judge(grow_like, families=[square], exponent=Fraction(3, 2)).supports()


def test_nets_of_the_theorem_are_linear(judge):
    """The nets of two units a layer that compose up to eight tents have 3u + 1 parameters for u units."""
    judge(narrow_nets_have_three_a_unit).supports()


@pytest.mark.parametrize(
    "family", [fixed_depth(1), fixed_width(2), square], ids=["one hidden layer", "fixed width", "as deep as wide"]
)
def test_control_other_ways_to_grow(judge, family):
    judge(grow_like, families=[family]).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Only nets that grow in width, at two hidden layers, reach slope 2 (the nets have 2 inputs and 1 output)."""
    powers = [2**i for i in range(1, 11)]
    families = {
        "2 hidden layers": [[t] * 2 for t in powers],
        "as deep as wide (control)": [[t] * t for t in range(2, 46, 3)],
        "1 hidden layer (control)": [[2 * t] for t in powers],
        "2 units a layer (control)": [[2] * t for t in powers],
    }
    ax.set(xscale="log", yscale="log", xlabel="hidden units", ylabel="parameters")
    for name, nets in families.items():
        draw.curve(ax, map(sum, nets), [mlp_parameters((2, *hidden, 1)) for hidden in nets], name)
    ax.legend()
