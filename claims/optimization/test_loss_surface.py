"""The loss of a net with two weights has a half-plane of bad local minima.

Slide: MLP Loss, with its speaker notes. The net is w₂ relu(w₁ x), without biases, and all inputs are positive. Every
w₁ < 0 then switches the unit off for every sample: the output is zero, the loss changes with neither weight, and
gradient descent has nothing to follow. The linear net w₂ w₁ x, the control, has no such place.

Both halves of the module are one argument. That such minima exist, on half of all weight pairs, is exact; that they are
bad is about training, which ends there more often than it starts there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import product
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from claimlab import Certificate, Claim, Property, Rows, Seeds, draw
from claimlab.parts import lift, parts
from claimlab.train import train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="optimization/two-weight-net-has-bad-local-minima",
    covers=("D2",),
    slide="MLP Loss",
    version=1,
    finding="false",
    says="The loss of a net with one hidden ReLU unit has a saddle at the origin and infinitely many local minima, all "
    "equal and connected; none of them is bad.",
    statement="For positive inputs the mean squared error of the net w₂ relu(w₁ x) has a saddle at the origin, its "
    "global minima are a curve on which w₁ > 0, and every point with w₁ < 0 is a (non-strict) local minimum with the "
    "loss of predicting zero. There gradient descent ends from at least half of its standard normal starts.",
    reason="The saddle is there and the global minima are infinitely many. But half of all weight pairs, those with "
    "w₁ < 0, are local minima with the loss of predicting zero, neither equal to the global ones nor joined to them.",
    scope="one hidden unit, no biases, positive inputs, a least-squares slope that is not zero; exact in rational "
    "arithmetic. Gradient descent: float32, samples drawn like the slide's",
    source="derived in the module; spurious minima of ReLU nets: Safran and Shamir 2018 (arXiv 1712.08968)",
    evidence=Property(examples=30),
)

Activation = Callable[[Fraction], Fraction]
Loss = Callable[[Fraction, Fraction], Fraction]


def relu(z: Fraction) -> Fraction:
    return max(z, Fraction(0))


def identity(z: Fraction) -> Fraction:
    return z


# -- the surface, in rational arithmetic -----------------------------------------------------------------------------


@dataclass(frozen=True)
class World:
    """Samples (x, y) with x > 0, and a weight pair with w₁ > 0; the surface is looked at there and at (−w₁, w₂)."""

    samples: tuple[tuple[Fraction, Fraction], ...]
    w1: Fraction
    w2: Fraction


def mean_squared_error(samples: tuple[tuple[Fraction, Fraction], ...], activation: Activation) -> Loss:
    """The loss of the net w₂ activation(w₁ x), as a function of its weights."""

    def loss(w1: Fraction, w2: Fraction) -> Fraction:
        return sum(((w2 * activation(w1 * x) - y) ** 2 for x, y in samples), Fraction(0)) / len(samples)

    return loss


def least_squares(samples: tuple[tuple[Fraction, Fraction], ...]) -> tuple[Fraction, Fraction, Fraction]:
    """The slope a that fits best through the origin, its mean squared error f, and the mean p of x²."""
    power = Fraction(sum(x * x for x, _ in samples), len(samples))
    slope = Fraction(sum(x * y for x, y in samples), len(samples)) / power
    return slope, Fraction(sum((slope * x - y) ** 2 for x, y in samples), len(samples)), power


def is_flat(loss: Loss, w1: Fraction, w2: Fraction) -> bool:
    """Whether the loss is constant in a box around a point with w₁ other than 0, which makes it a local minimum.

    The box reaches half way to w₁ = 0, so in it the loss is a polynomial of degree two in w₁ and in w₂. Such a
    polynomial is constant if it takes one value on three by three points.
    """
    h = abs(w1) / 2
    return len({loss(w1 + i * h, w2 + j * h) for i, j in product((-1, 0, 1), repeat=2)}) == 1


def surface_is_as_stated(world: World, *, activation: Activation = relu) -> Certificate:
    """The formula, the saddle, the curve of global minima and the plateau of bad ones."""
    w1, w2 = world.w1, world.w2
    slope, floor, power = least_squares(world.samples)
    plateau = floor + power * slope**2
    loss = mean_squared_error(world.samples, activation)
    formula = all(loss(w, w2) == floor + power * (max(w, 0) * w2 - slope) ** 2 for w in (w1, Fraction(0), -w1))
    # From the origin, steps (r, r) and (r, −r) give the net the slopes r² and −r². With r² ≤ |a| one is nearer to a
    # than 0 is, the other farther.
    r = min(w1, abs(slope), Fraction(1))
    towards = r if slope > 0 else -r
    saddle = loss(r, towards) < loss(Fraction(0), Fraction(0)) < loss(r, -towards)
    global_minimum = loss(w1, slope / w1) == floor
    bad_minimum = is_flat(loss, -w1, w2) and loss(-w1, w2) == plateau > floor
    return Certificate(
        formula and saddle and global_minimum and bad_minimum,
        formula=formula, saddle=saddle, global_minimum=global_minimum, bad_minimum=bad_minimum,
    )  # fmt: skip


def no_local_minimum_is_bad(*, activation: Activation = relu, reach: int = 3) -> Certificate:
    """Whether no pair of whole numbers up to `reach` in size, w₁ not 0, lies in a flat place above the least loss."""
    samples = tuple((Fraction(x), Fraction(y)) for x, y in ((1, 3), (1, 1), (2, 4)))
    loss, floor = mean_squared_error(samples, activation), least_squares(samples)[1]
    pairs = [(Fraction(w1), Fraction(w2)) for w1, w2 in product(range(-reach, reach + 1), repeat=2) if w1]
    bad = [pair for pair in pairs if is_flat(loss, *pair) and loss(*pair) > floor]
    losses = sorted({float(loss(*pair)) for pair in bad})
    return Certificate(not bad, pairs=len(pairs), bad_minima=len(bad), their_loss=losses, least_loss=float(floor))


def quarters(low: int, high: int) -> st.SearchStrategy[Fraction]:
    return st.integers(4 * low, 4 * high).map(lambda count: Fraction(count, 4))


def worlds() -> st.SearchStrategy[World]:
    """One to five samples whose least-squares slope is not zero, and a weight pair with w₁ > 0."""
    positive = quarters(0, 5).filter(bool)
    samples = st.lists(st.tuples(positive, quarters(-5, 5)), min_size=1, max_size=5).map(tuple)
    return st.builds(World, samples, positive, quarters(-5, 5)).filter(lambda world: least_squares(world.samples)[0])


@pytest.mark.exact
def test_deck_wording(judge):
    """Half of the 42 weight pairs on a grid, three samples, are local minima far above the least loss."""
    judge(no_local_minimum_is_bad).refutes()


def test_claim(judge):
    """With the least-squares slope a, its error f and the mean p of x² the loss is f + p (max(w₁, 0) w₂ − a)².

    The global minima are the curve w₁ w₂ = a with w₁ > 0; the plateau has the loss f + p a². One to five samples.
    """
    judge(surface_is_as_stated, given=worlds()).supports()


def test_control_linear_net(judge):
    """Without the ReLU the loss goes on changing where w₁ < 0."""
    judge(
        surface_is_as_stated,
        given=worlds(),
        example=World(((Fraction(1), Fraction(1)),), w1=Fraction(1), w2=Fraction(0)),
        activation=identity,
    ).refutes()


@pytest.mark.exact
def test_linear_net_keeps_the_deck_wording(judge):
    """The same search finds no bad local minimum of the net without the ReLU."""
    judge(no_local_minimum_is_bad, activation=identity).supports()


# -- where gradient descent ends -------------------------------------------------------------------------------------


def descent(
    seeds: Seeds,
    *,
    rectified: bool = True,
    samples: int = 30,
    starts: int = 200,
    rate: float = 0.02,
    steps: int = 100,
    shown: int = 4,
) -> Rows:
    """Gradient descent from standard normal starts, on samples like the slide's, drawn anew for every seed.

    One half of the starts has w₁ < 0 and lies on the plateau at once. Gradient flow keeps w₁² − w₂², so of the quarter
    with w₁ > 0 > w₂ it carries those with |w₂| > w₁, one half again, to w₁ = 0. That is 5/8 in all, with a standard
    error of 0.034. A seed wins if at least half of its starts end where the output is zero for every sample, and if
    the loss there is at least ten times the least one (33 times is expected). The premise is that descent works where
    it can: nine in ten of the other starts come within 1 % of the least loss. The figure has `shown` of the runs.
    """
    x = (1 + seeds.normal("x", samples)).abs()
    y = 2 * x + seeds.normal("noise", samples) / 2
    first = [seeds.normal("w1", starts), seeds.normal("w2", starts)]

    activate = lift(parts().relu if rectified else parts().identity)

    def net(weights: list[Tensor], x: Tensor) -> Tensor:
        """Outputs `[S, samples, starts]` for two weights `[S, starts]` and inputs `[S, samples, 1]`."""
        return weights[1][:, None] * activate([], weights[0][:, None] * x)

    def errors(outputs: Tensor, y: Tensor) -> Tensor:
        """The mean squared error of every start, `[S, starts]`."""
        return (outputs - y[..., None]).square().mean(dim=1)

    fit = train(
        seeds, net, first, x[..., None], y,
        loss=lambda outputs, y: errors(outputs, y).sum(dim=1),
        optimizer=partial(parts().sgd, lr=rate), epochs=steps,
    )  # fmt: skip
    outputs = net(fit.parameters, x[..., None])
    slope = (x * y).sum(dim=1) / x.square().sum(dim=1)
    least = (slope[:, None] * x - y).square().mean(dim=1)
    stuck = (outputs == 0).all(dim=1)
    solved = errors(outputs, y) <= 1.01 * least[:, None]
    share_stuck, share_solved = (starts_that.to(seeds.dtype).mean(dim=1) for starts_that in (stuck, solved))
    ratio = y.square().mean(dim=1) / least
    return Rows(
        win=(share_stuck >= 0.5) & (ratio >= 10),
        premise=share_solved >= 0.9 * (1 - share_stuck),
        share_stuck=share_stuck,
        share_solved=share_solved,
        share_stuck_at_start=(first[0] < 0).to(seeds.dtype).mean(dim=1),
        plateau_over_least_loss=ratio,
        slope=slope,
        starts=torch.stack(first, dim=2)[:, :shown],
        ends=torch.stack(fit.parameters, dim=2)[:, :shown],
    )


@pytest.mark.statistical
def test_gradient_descent_is_stuck(judge):
    """Thirty samples, 200 starts a seed, 100 full-batch steps at rate 0.02: half of them end where nothing moves."""
    judge(descent).supports()


@pytest.mark.statistical
def test_control_gradient_descent_on_the_linear_net(judge):
    judge(descent, rectified=False).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Descent ends on the curve of global minima or on the plateau: some runs of every seed, on the excess loss.

    In weights divided by √a it is (max(w₁, 0) w₂ − 1)², as a share of the plateau's, for all data.
    """
    import numpy as np

    runs, side = measured["gradient_descent_is_stuck"], 2.2
    scale = np.sqrt(runs["slope"])[:, None, None]
    starts, ends = (np.concatenate(runs[name] / scale) for name in ("starts", "ends"))
    stuck = ends[:, 0] < 0
    w1, w2 = np.meshgrid(np.linspace(0, side, 56), np.linspace(-side, side, 111))
    ax.contour(w1, w2, (w1 * w2 - 1) ** 2, [0.1, 0.4, 0.8, 1.2, 2, 4, 8, 16], colors="0.75", linewidths=0.8)
    ax.axvspan(-side, 0, color="0.92")
    ax.text(-side / 2, 0.85 * side, "plateau: the output is zero", ha="center")
    ax.quiver(*starts.T, *(ends - starts).T, angles="xy", scale_units="xy", scale=1, width=0.003, color="0.4")
    draw.curve(ax, np.linspace(1 / side, side, 50), lambda w1: 1 / w1, "global minima", style="C2-")
    draw.dots(ax, *ends[~stuck].T, "runs that end there", style="C2o")
    draw.dots(ax, *ends[stuck].T, "runs that end on the plateau", style="C0x")
    draw.dots(ax, [0], [0], "saddle", style="C1D")
    ax.set(xlim=(-side, side), ylim=(-side, side), xlabel="first weight / √a", ylabel="second weight / √a")
    draw.key(ax)
