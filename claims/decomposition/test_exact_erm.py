"""The exact minimum of the training error of one ReLU unit, found by trying every cell, and missed by gradient descent.

Slide: Decomposition of the Error. The deck says that empirical risk minimisation can be intractable when the objective
is not convex. Known are worst cases: to train three threshold units is NP-complete (Blum & Rivest 1992), and so is to
fit a single ReLU unit by least squares when the inputs have many dimensions (Goel et al. 2021). No experiment shows
that; what can be shown is where the cost comes from, and that gradient descent does not get around it.

Take one input and the net c + v relu(w x + b). It is flat on one side of its kink t = -b / w and a line on the other:
n points cut the problem into n + 1 cells (where the kink lies) for each of two sides (where it is flat).

Why closed forms are enough. In one cell the net is a constant c on the flat points and a line of slope s on the others,
free but for one condition: the two must meet at a kink within the cell. For each sign of s the c, s, s t that obey it
form a closed convex cone, on which the squared error has a minimum. It is that of the constant and the line fitted
freely, if these happen to meet within the cell, and else it lies on the boundary of the cone: s is 0, or the kink is at
a data point, and there c and s are a regression on relu(x - t), which includes s = 0. With a single point on the line
the free fit has no slope of its own; it is equalled with the kink at the neighbouring point.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import partial
from itertools import product
from math import comb
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from claimlab import Certificate, Claim, Rows, Seeds, Statistical, draw
from claimlab.parts import lift, parts
from claimlab.train import train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="decomposition/exact-minimum-of-one-relu-unit",
    covers=("A4",),
    slide="Decomposition of the Error",
    version=2,
    finding="scoped",
    says="Finding the exact minimum of the training error can be intractable when the objective is not convex.",
    statement=(
        "For one input and one ReLU unit a handful of closed-form fits for each point, tried one by one, gives the "
        "exact minimum of the squared error. Gradient descent finds it from some starts and comes to rest well above "
        "it from many. Without the unit, a convex problem, that does not happen. With every further unit the cases to "
        "try multiply."
    ),
    reason=(
        "One unit on a line is easy to solve exactly and gradient descent still misses the solution. The cases grow as "
        "a power of the points, with the width as exponent, and with the input dimension the problem is NP-hard even "
        "for one unit; both are about worst cases, and wide nets reach zero training error all the same (D6)."
    ),
    scope="one input, one unit, squared error, normal starts; the hardness theorems are cited, not tested",
    source="Blum & Rivest 1992; Arora, Basu, Mianjy & Mukherjee 2018 (arXiv 1611.01491); Goel et al. 2021 (2011.13550)",
    evidence=Statistical(block=11, dtype="float64"),
)

# A start misses the minimum when it is off by a tenth of what the best constant leaves.
MISSED = 0.10

# The unit is off on all of [−1, 1] where b < −|w|: a quarter of all starts with normal weights, and these cannot move.
# A tenth leaves a seed's 64 starts room for chance.
SHARE = 0.10


Number = int | Fraction
Sample = tuple[Sequence[Number], Sequence[Number]]
"""Inputs, ascending and all different, and their targets."""


def regression(z: Sequence[Number], y: Sequence[Number]) -> tuple[Fraction, Fraction, Fraction]:
    """Intercept, slope and sum of squared residuals of the best line; of the best constant when all z are the same."""
    n = len(z)
    sum_z, sum_y = sum(z), sum(y)
    spread = n * sum(a * a for a in z) - sum_z * sum_z
    joint = n * sum(a * b for a, b in zip(z, y, strict=True)) - sum_z * sum_y
    total = n * sum(b * b for b in y) - sum_y * sum_y
    slope = Fraction(joint, spread) if spread else Fraction(0)
    return (sum_y - slope * sum_z) / n, slope, (total - slope * joint) / n


Fit = tuple[Fraction, Fraction, Fraction, Number]
"""The sum of squared residuals of c + s relu(x - t), then c, s and t."""


def kinked_at(t: Number, x: Sequence[Number], y: Sequence[Number]) -> Fit:
    """The best c and s for a given kink."""
    c, s, residual = regression([max(a - t, 0) for a in x], y)
    return residual, c, s, t


def fits_that_meet(x: Sequence[Number], y: Sequence[Number]) -> Iterator[Fit]:
    """A constant left and a line right of each cell, fitted freely, where the two meet in the cell."""
    intercept, slope, residual = regression(x, y)
    yield residual, intercept + slope * x[0], slope, x[0]  # the kink is at or left of all points
    for cut in range(1, len(x) - 1):
        c, _, left = regression([0] * cut, y[:cut])
        intercept, slope, right = regression(x[cut:], y[cut:])
        if slope and x[cut - 1] <= (c - intercept) / slope <= x[cut]:
            yield left + right, c, slope, (c - intercept) / slope


def exact_fit(sample: Sample, *, sides: int = 2, at_points: bool = True) -> tuple[Fraction, tuple[Number, ...]]:
    """The least mean squared error of c + v relu(w x + b), over all weights, and weights (c, v, w, b) that have it.

    Flat on the right is flat on the left of the mirrored sample. The controls leave out one of the two `sides`, or the
    fits with the kink `at_points`.
    """
    fits: list[tuple[Fit, int]] = []
    for w, (x, y) in [(1, sample), (-1, mirrored(sample))][:sides]:
        fits += [(fit, w) for fit in fits_that_meet(x, y)]
        if at_points:
            fits += [(kinked_at(t, x, y), w) for t in x]
    (residual, c, v, t), w = min(fits)
    return residual / len(sample[0]), (c, v, w, -t)


def exact_minimum(sample: Sample) -> Fraction:
    """The least mean squared error of c + v relu(w x + b)."""
    return exact_fit(sample)[0]


def mirrored(sample: Sample) -> Sample:
    """The sample with right and left exchanged."""
    x, y = sample
    return [-a for a in reversed(x)], list(reversed(y))


def exact_minimum_of_a_line(sample: Sample) -> Fraction:
    """The least mean squared error of c + w x."""
    x, y = sample
    return regression(x, y)[2] / len(x)


# -- gradient descent ---------------------------------------------------------------------------------------------


def relu_unit(parameters: list[Tensor], x: Tensor) -> Tensor:
    """Outputs `[S, N, K]` of K nets, one a start, for inputs `[S, N, 1]`; the parameters are `[S, 1, K]` each."""
    c, v, w, b = parameters
    return c + v * lift(parts().relu)([], torch.addcmul(b, x, w))


def line(parameters: list[Tensor], x: Tensor) -> Tensor:
    """The same without the unit: c + w x, a convex problem."""
    c, w = parameters
    return torch.addcmul(c, x, w)


def squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean squared error of each start, `[S, K]`."""
    return (outputs - targets[..., None]).square().mean(dim=1)


def trial(
    seeds: Seeds,
    *,
    net: Callable[[list[Tensor], Tensor], Tensor] = relu_unit,
    weights: int = 4,
    minimum: Callable[[Sample], Fraction] = exact_minimum,
    starts: int = 64,
    steps: int = 500,
    rate: float = 0.1,
) -> Rows:
    """A seed draws the targets 2 relu(x) + N(0, 1) / 4 at 16 equispaced points, and its starts.

    Inputs are multiples of 1/16 and targets are rounded to multiples of 1/64, so that the exact minimum is that of the
    very numbers trained on. `missing` is the share of starts that miss it and stand still (gradient below 1e-4). The
    premise is that some start comes within a hundredth of the targets' variance, and none below: errors are sums of 16
    squares below 100, so rounding is below 1e-12.
    """
    x = torch.arange(-15, 16, 2, dtype=seeds.dtype, device=seeds.device) / 16
    y = (64 * (2 * x.relu() + seeds.normal("noise", len(x)) / 4)).round() / 64
    least = torch.tensor([least_error(x, targets, minimum) for targets in y], dtype=y.dtype, device=y.device)
    start = [seeds.normal(f"init.{name}", 1, starts) for name in range(weights)]
    inputs = x[:, None].expand(len(seeds), -1, 1)
    fit = train(
        seeds, net, start, inputs, y,
        loss=lambda outputs, targets: squared_error(outputs, targets).sum(dim=1),
        optimizer=partial(parts().sgd, lr=rate), epochs=steps,
    )  # fmt: skip
    errors, gradient = error_and_gradient(net, fit.parameters, inputs, y)
    above = (errors - least[:, None]) / y.var(dim=1, keepdim=True, correction=0)
    missing = ((above > MISSED) & (gradient < 1e-4)).double().mean(dim=1)
    nearest = above.amin(dim=1)
    reached = (nearest < 0.01) & (nearest > -1e-9)
    return Rows(win=missing >= SHARE, premise=reached, missing=missing, above=above, minimum=least)


def least_error(x: Tensor, y: Tensor, minimum: Callable[[Sample], Fraction]) -> float:
    """The exact minimum for inputs in sixteenths and targets in sixty-fourths; whole numbers are the faster fractions.

    Inputs may be stretched, since w can be: the minimum stays the same.
    """
    whole = [int(16 * a) for a in x.tolist()], [int(64 * b) for b in y.tolist()]
    return float(minimum(whole) / 64**2)


def error_and_gradient(
    net: Callable[[list[Tensor], Tensor], Tensor], parameters: list[Tensor], x: Tensor, y: Tensor
) -> tuple[Tensor, Tensor]:
    """The squared error of every start and the norm of its gradient, `[S, K]` each."""
    leaves = [parameter.detach().requires_grad_() for parameter in parameters]
    errors = squared_error(net(leaves, x), y)
    gradients = torch.autograd.grad(errors.sum(), leaves)
    return errors.detach(), torch.cat(gradients, dim=1).norm(dim=1)


# -- the certificate ----------------------------------------------------------------------------------------------


def sorted_samples() -> st.SearchStrategy[list[tuple[int, int]]]:
    targets = st.dictionaries(st.sampled_from(range(-9, 10, 3)), st.integers(-9, 9), min_size=3, max_size=6)
    return targets.map(lambda of_inputs: sorted(of_inputs.items()))


def is_the_minimum(world: list[tuple[int, int]], *, sides: int = 2, at_points: bool = True) -> Certificate:
    """Whether the weights have the error they are said to have, and no kink on a grid does better.

    Inputs are multiples of 3 and the grid is the integers, so it has the points themselves and two or more places in
    each gap between them.
    """
    x, y = zip(*world, strict=True)
    least, (c, v, w, b) = exact_fit((x, y), sides=sides, at_points=at_points)
    error = Fraction(sum((c + v * max(w * p + b, 0) - q) ** 2 for p, q in world)) / len(world)
    grid = range(x[0] - 1, x[-1] + 1)
    best = min(min(kinked_at(t, x, y), kinked_at(-t, *mirrored((x, y)))) for t in grid)[0] / len(world)
    return Certificate(error == least <= best, minimum=least, error=error, best_on_grid=best)


def patterns(n: int, units: int) -> int:
    """How many on-off patterns a layer of units can have on n points of a line, counted one by one.

    A unit is on right or left of its kink, which lies in one of n + 1 gaps; the outer gaps give the same patterns. So
    do two layers whose units have changed places.
    """
    unit = [
        tuple(side * (2 * point - kink) > 0 for point in range(n)) for side in (-1, 1) for kink in range(-1, 2 * n, 2)
    ]
    return len({tuple(sorted(layer)) for layer in product(unit, repeat=units)})


def patterns_grow_as(
    *,
    growth: Callable[[int, int], int],
    sizes: Sequence[tuple[int, int]] = ((2, 1), (2, 2), (2, 3), (4, 1), (4, 2), (4, 3), (8, 1), (8, 2)),
) -> Certificate:
    """Whether the number of patterns of n points and so many units is what `growth` says."""
    counts = [patterns(n, units) for n, units in sizes]
    return Certificate(
        counts == [growth(n, units) for n, units in sizes],
        points=[n for n, _ in sizes], units=[units for _, units in sizes], patterns=counts,
    )  # fmt: skip


def test_claim(judge):
    """16 points, 64 standard normal starts, 500 steps at rate 0.1: a tenth of the starts come to rest high up.

    High up is a tenth or more of the targets' variance above the exact minimum, of which some start comes within a
    hundredth; at rest is a gradient below 1e-4.
    """
    judge(trial).supports()


def test_control_without_the_unit(judge):
    """c + w x is a convex problem, and every start reaches its exact minimum."""
    judge(trial, net=line, weights=2, minimum=exact_minimum_of_a_line).refutes()


@pytest.mark.property
def test_enumeration_finds_the_minimum(judge):
    """For n = 3 to 6 points the least of at most 4n − 2 fits is attained, and no kink on a grid does better."""
    judge(is_the_minimum, given=sorted_samples()).supports()


@pytest.mark.property
@pytest.mark.parametrize("left_out", [{"sides": 1}, {"at_points": False}], ids=["one_side", "kinks_at_points"])
def test_control_enumeration_without(judge, left_out):
    """Without the cells of the other side, or the fits with a kink at a data point, the enumeration is not exact."""
    judge(is_the_minimum, given=sorted_samples(), example=[(-3, 0), (0, 2), (3, 1)], **left_out).refutes()


@pytest.mark.exact
def test_patterns_multiply_with_the_units(judge):
    """On n = 2, 4, 8 points w = 1 to 3 units have (2n + w − 1 choose w) on-off patterns, at least (2n / w)^w."""
    judge(patterns_grow_as, growth=lambda n, units: comb(2 * n + units - 1, units)).supports()


@pytest.mark.exact
@pytest.mark.parametrize(
    "growth",
    [lambda n, units: 2 * n * units, lambda n, units: (2 * n) ** units],
    ids=["they_add", "units_told_apart"],
)
def test_control_patterns(judge, growth):
    """They do not add; and they are fewer than (2n)^w, which counts layers whose units have changed places."""
    judge(patterns_grow_as, growth=growth).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """From many starts one ReLU unit comes to rest far above its exact minimum, and a line from none."""
    for test, name in (("claim", "one ReLU unit"), ("control_without_the_unit", "a line (control)")):
        above = np.sort(measured[test]["above"])
        draw.runs(ax, range(1, above.shape[1] + 1), above, name, marks=False)
    draw.level(ax, MISSED, "missed above this line", where="right")
    ax.set(xlabel="starts, best first (one line a seed)", ylabel="error above the exact minimum\n(share of variance)")
    ax.legend(loc="upper left")
