"""A learning rate for each component mends bad conditioning, if the curvature lies along the axes of the components.

Slide: Conditioning Issues. The Hessian H of a loss is badly conditioned if its largest eigenvalue is many times its
smallest: their ratio κ is the condition number. The deck concludes that some components of the gradient want a higher
rate. Near a minimum a loss is a quadratic, and there all of it can be computed. A step of gradient descent with rates
d multiplies the error by I − diag(d) H.

- Eigenvectors along the axes, curvatures l: with one rate a the factors are 1 − a lᵢ. As
  l_max (1 − a l_min) + l_min (a l_max − 1) = l_max − l_min for all a, the larger of the two is at least
  (l_max − l_min) / (l_max + l_min) = (κ − 1) / (κ + 1), and it is that for a = 2 / (l_min + l_max). With the rates
  1 / lᵢ all factors are 0. A word that makes up a share p of the text has the curvature p: rare words want high rates.
- Turned by 45 degrees, two curvatures give both components the same curvature H₁₁ = H₂₂, as badly conditioned as
  before: no component has reason to a higher rate. Where diag(d) H has the eigenvalues m ≤ M,
  (M + m)² / (M m) = (d₁ + d₂)² (l₁ + l₂)² / (4 d₁ d₂ l₁ l₂) is least for d₁ = d₂, and so is M / m: no rates contract
  more than the best single one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from claimlab import Certificate, Claim, Property, draw
from claimlab.parts import parts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="conditioning/a-rate-for-each-component",
    covers=("E4",),
    slide="Conditioning Issues",
    version=1,
    finding="scoped",
    says="Where the Hessian is badly conditioned, the best learning rate is higher for some gradient components.",
    statement="On a quadratic of condition number κ with its curvatures along the axes, gradient descent with one rate "
    "shrinks the error at best by (κ − 1) / (κ + 1) a step; with a rate for each component, one over its curvature, it "
    "ends in the minimum after one. Turned by 45 degrees, no rates of two components beat a single one.",
    reason="Rates of the components are a diagonal matrix, which undoes a Hessian that is diagonal, as for words of "
    "different frequency. A Hessian can be badly conditioned with the same curvature in every component, and then no "
    "component wants a higher rate.",
    scope="quadratic losses, full gradients, no momentum; the turned case in two dimensions",
    source="derived in the module",
    evidence=Property(examples=60),
)

Matrix = Sequence[Sequence[Fraction]]


@dataclass(frozen=True)
class World:
    """Curvatures, not all the same if there are two, and a single rate."""

    curvatures: tuple[Fraction, ...]
    rate: Fraction


def best_of_one_rate(curvatures: Sequence[Fraction]) -> Fraction:
    """(κ − 1) / (κ + 1)."""
    low, high = min(curvatures), max(curvatures)
    return (high - low) / (high + low)


def contraction(curvatures: Sequence[Fraction], rate: Fraction) -> Fraction:
    """The factor by which the slowest component of the error shrinks in a step."""
    return max(abs(1 - rate * curvature) for curvature in curvatures)


def hessian(curvatures: Sequence[Fraction], *, turned: bool) -> Matrix:
    """The curvatures along the axes, or the first two turned by the angle whose cosine is 3/5 and whose sine 4/5."""
    n = len(curvatures)
    matrix = [[curvatures[i] if i == j else Fraction(0) for j in range(n)] for i in range(n)]
    if turned:
        (first, second), cosine, sine = curvatures[:2], Fraction(3, 5), Fraction(4, 5)
        matrix[0][0], matrix[1][1] = (cosine**2 * a + sine**2 * b for a, b in ((first, second), (second, first)))
        matrix[0][1] = matrix[1][0] = cosine * sine * (first - second)
    return matrix


def own_rates_are_needed_and_enough(world: World, *, turned: bool = False) -> Certificate:
    """Whether rates of the components end in the minimum after one step from anywhere, and no single rate does.

    I − diag(d) H is zero for no rates but d_j = 1 / H_jj, so these are tried. A single rate contracts as derived: by no
    less than (κ − 1) / (κ + 1), which the rate 2 / (l_min + l_max) reaches.
    """
    curvatures, matrix = world.curvatures, hessian(world.curvatures, turned=turned)
    n = len(curvatures)
    enough = all(matrix[i][j] / matrix[i][i] == (i == j) for i in range(n) for j in range(n))
    best, tuned = best_of_one_rate(curvatures), 2 / (min(curvatures) + max(curvatures))
    as_derived = contraction(curvatures, tuned) == best <= contraction(curvatures, world.rate)
    return Certificate(enough and as_derived and best > 0, enough=enough, as_derived=as_derived, one_rate=best)


def no_rates_beat_a_single_one(
    curvatures: tuple[Fraction, Fraction], rates: tuple[Fraction, Fraction], *, turned: bool
) -> Certificate:
    """Whether some step shrinks an error by (κ − 1) / (κ + 1) at most, be it turned by 45 degrees or not.

    All eigenvalues of diag(d) H, which are real, lie closer to 1 than r if and only if its characteristic polynomial
    is positive at 1 − r and at 1 + r and their mean lies in between.
    """
    (a, b), (d1, d2), r = curvatures, rates, best_of_one_rate(curvatures)
    own = ((a + b) / 2, (a + b) / 2, (a - b) / 2) if turned else (a, b, Fraction(0))
    trace, determinant = d1 * own[0] + d2 * own[1], d1 * d2 * (own[0] * own[1] - own[2] ** 2)
    positive = all(z * z - trace * z + determinant > 0 for z in (1 - r, 1 + r))
    return Certificate(not (positive and abs(trace / 2 - 1) < r), one_rate=r, trace=trace, determinant=determinant)


def beaten_by_none(world: tuple[World, Fraction, Fraction], *, turned: bool = True) -> Certificate:
    """The rates of the components are such shares of one over their curvature."""
    (first, second), (own, other) = world[0].curvatures[:2], world[1:]
    along = ((first + second) / 2,) * 2 if turned else (first, second)
    return no_rates_beat_a_single_one((first, second), (own / along[0], other / along[1]), turned=turned)


# -- words ----------------------------------------------------------------------------------------------------------


def rare_words_want_high_rates(*, counts: tuple[int, ...] = (840, 420, 280, 210, 168, 140, 120, 105)) -> Certificate:
    """Whether the rarest of some words wants five times the rate of the commonest, and one rate ten times the steps.

    A number is to be learned for each word, half its squared error averaged over the text. The curvature is measured,
    as what the gradient gains when the number grows by 1. Steps are counted until all errors are a hundredth.
    """
    text = sum(counts)

    def gradient(errors: Sequence[Fraction]) -> list[Fraction]:
        """Every occurrence of a word adds its error, which is 0 for all other words."""
        return [sum([error] * count, Fraction(0)) / text for error, count in zip(errors, counts, strict=True)]

    curvatures = [
        high - low for low, high in zip(*(gradient([Fraction(k)] * len(counts)) for k in (0, 1)), strict=True)
    ]
    best_rates = [1 / curvature for curvature in curvatures]
    tuned = [2 / (min(curvatures) + max(curvatures))] * len(counts)
    one_rate, own_rates = (steps_to_a_hundredth(curvatures, rates) for rates in (tuned, best_rates))
    ratio = max(best_rates) / min(best_rates)
    return Certificate(
        ratio >= 5 and one_rate >= 10 * own_rates > 0,
        best_rates=[float(rate) for rate in best_rates], steps_with_one_rate=one_rate, steps_with_own_rates=own_rates,
    )  # fmt: skip


def steps_to_a_hundredth(curvatures: Sequence[Fraction], rates: Sequence[Fraction]) -> int:
    errors, steps = [Fraction(1)] * len(curvatures), 0
    while max(map(abs, errors)) > Fraction(1, 100):
        errors = [(1 - r * c) * error for r, c, error in zip(rates, curvatures, errors, strict=True)]
        steps += 1
    return steps


# -- the optimizer itself -------------------------------------------------------------------------------------------

# In float64 a step rounds each number a few times, so 20 steps move nothing by more than 1e-13 of the start.
ROUNDING = 1e-12


def descends_so(*, turned: bool = False, kappa: float = 10.0, steps: int = 20) -> Certificate:
    """Whether gradient descent does what was derived, in float64: κ = 10, from an error of 1 along both curvatures."""
    basis = torch.eye(2, dtype=torch.float64)
    if turned:
        basis = torch.tensor([[1.0, -1.0], [1.0, 1.0]], dtype=torch.float64) / 2**0.5
    matrix = basis @ torch.tensor([kappa, 1.0], dtype=torch.float64).diag() @ basis.T
    start = basis.sum(dim=1)
    one = iterates(matrix, start, [2 / (1 + kappa)] * 2, steps)
    own = iterates(matrix, start, (1 / matrix.diagonal()).tolist(), steps)
    errors = torch.linalg.vector_norm(one, dim=1) / torch.linalg.vector_norm(start)
    derived = ((kappa - 1) / (kappa + 1)) ** torch.arange(steps + 1, dtype=torch.float64)
    off, left = (errors - derived).abs().max(), own[1].abs().max()
    return Certificate(
        bool(off <= ROUNDING and left <= ROUNDING),
        off=off, left_after_one_step=left, one_rate=one, own_rates=own, hessian=matrix,
    )  # fmt: skip


def iterates(matrix: Tensor, start: Tensor, rates: Sequence[float], steps: int) -> Tensor:
    """Where gradient descent goes on w H w / 2, each component with its rate and optimizer: `[steps + 1, 2]`."""
    components = [component.clone().requires_grad_() for component in start.split(1)]
    optimizers = [partial(parts().sgd, lr=rate)([own]) for own, rate in zip(components, rates, strict=True)]
    places = [start]
    for _ in range(steps):
        w = torch.cat(components)
        for own, gradient in zip(components, torch.autograd.grad(w @ matrix @ w / 2, components), strict=True):
            own.grad = gradient
        for optimizer in optimizers:
            optimizer.step()
        places.append(torch.cat(components).detach())
    return torch.stack(places)


# -- tests ----------------------------------------------------------------------------------------------------------


def fractions(low: int, high: int) -> st.SearchStrategy[Fraction]:
    return st.integers(4 * low, 4 * high).map(lambda count: Fraction(count, 4)).filter(bool)


def worlds(*, equal: bool = False) -> st.SearchStrategy[World]:
    """Two to five curvatures from 1/4 to 25, the first two apart, or all `equal`; a rate up to 2."""
    several = st.lists(fractions(0, 25), min_size=2, max_size=5).filter(lambda some: some[0] != some[1])
    same = st.builds(lambda one, count: [one] * count, fractions(0, 25), st.integers(2, 5))
    rates = st.integers(1, 200).map(lambda count: Fraction(count, 100))
    return st.builds(World, (same if equal else several).map(tuple), rates)


def with_rates() -> st.SearchStrategy[tuple[World, Fraction, Fraction]]:
    """Rates of the components from a quarter of one over their curvature to twice that, negative ones among them."""
    return st.tuples(worlds(), fractions(-1, 2), fractions(-1, 2))


UNEQUAL = World((Fraction(1), Fraction(4)), rate=Fraction(1, 4))
EQUAL = World((Fraction(4), Fraction(4)), rate=Fraction(1, 4))
OWN_RATES = (UNEQUAL, Fraction(1), Fraction(1))  # in units of one over the curvature


def test_claim(judge):
    """Two to five curvatures, in rational arithmetic: one step with the rates 1 / lᵢ; any single rate leaves more."""
    judge(own_rates_are_needed_and_enough, given=worlds()).supports()


def test_control_turned(judge):
    """Two of the curvatures turned: no rates of the components solve it in one step."""
    judge(own_rates_are_needed_and_enough, given=worlds(), example=UNEQUAL, turned=True).refutes()


def test_control_equal_curvatures(judge):
    """With κ = 1 a single rate is enough."""
    judge(own_rates_are_needed_and_enough, given=worlds(equal=True), example=EQUAL).refutes()


def test_turned_by_45_degrees_no_rates_help(judge):
    """Two curvatures and any two rates, in rational arithmetic: none contracts more than the best single one."""
    judge(beaten_by_none, given=with_rates()).supports()


def test_control_not_turned(judge):
    judge(beaten_by_none, given=with_rates(), example=OWN_RATES, turned=False).refutes()


@pytest.mark.exact
def test_rare_words(judge):
    """Eight words of Zipf's frequencies: one rate takes 19 steps to a hundredth of every error, own rates 1."""
    judge(rare_words_want_high_rates).supports()


@pytest.mark.exact
def test_control_equally_frequent_words(judge):
    judge(rare_words_want_high_rates, counts=(210,) * 8).refutes()


@pytest.mark.exact
def test_descent(judge):
    """Curvatures 10 and 1, 20 steps in float64: errors shrink by 9/11 a step, or are gone after one, to 1e-12."""
    judge(descends_so).supports()


@pytest.mark.exact
def test_control_descent_turned(judge):
    """Turned by 45 degrees, one over the curvature of the components is the best single rate."""
    judge(descends_so, turned=True).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Along the axes own rates jump into the minimum; turned by 45 degrees they zigzag like a single rate."""
    import numpy as np

    aside = 4.0
    for test, place, name in (("descent", 0.0, "along the axes"), ("control_descent_turned", aside, "turned by 45°")):
        numbers = {key: np.asarray(measured[test][key], dtype=float) for key in ("one_rate", "own_rates", "hessian")}
        x, y = np.meshgrid(np.linspace(-1.6, 1.6, 80), np.linspace(-1.6, 1.6, 80))
        matrix = numbers["hessian"]
        bowl = (matrix[0, 0] * x * x + 2 * matrix[0, 1] * x * y + matrix[1, 1] * y * y) / 2
        ax.contour(x + place, y, bowl, [0.1, 0.5, 1.5, 3.5], colors="0.75", linewidths=0.8)
        draw.curve(
            ax, numbers["one_rate"][:, 0] + place, numbers["one_rate"][:, 1], "one rate", style="C1s-", marks=True
        )
        draw.curve(
            ax, numbers["own_rates"][:, 0] + place, numbers["own_rates"][:, 1], "a rate for each component",
            style="C0o--", marks=True,
        )  # fmt: skip
        ax.text(place, -1.9, name, ha="center")
    draw.names(ax.xaxis, [], at=[])
    draw.names(ax.yaxis, [], at=[])
    ax.set(xlabel="first component", ylabel="second component", aspect="equal", ylim=(-2.1, 1.7))
    draw.key(ax)
