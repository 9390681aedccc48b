"""The loss of a net with two weights has a half-plane of bad local minima.

Slide: MLP Loss, with its speaker notes. The net is w2 relu(w1 x), without biases, and all inputs are positive. Every
w1 < 0 then switches the unit off for every sample: the output is zero, the loss changes with neither weight, and
gradient descent has nothing to follow. The linear net w2 w1 x, the control, has no such place.
"""

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

from claimlab import Certificate, Claim, Property, Rows, draw
from claimlab.parts import lift, parts
from claimlab.seeds import Seeds
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
    statement="For positive inputs the mean squared error of w2 relu(w1 x) is f + p (max(w1, 0) w2 - a)^2 with the "
    "least-squares slope a, its error f and the mean p of x^2. So the origin is a saddle, the global minima are the "
    "curve w1 w2 = a with w1 > 0, and every point with w1 < 0 is a (non-strict) local minimum with loss f + p a^2. "
    "Gradient descent from standard normal weights ends on that plateau from at least half of its starts.",
    reason="The saddle is there and the global minima are infinitely many. But half of all weight pairs, those with "
    "w1 < 0, are local minima with the loss of predicting zero, neither equal to the global ones nor joined to them.",
    scope="one hidden unit, no biases, positive inputs, a not zero; exact in rational arithmetic. Gradient descent: "
    "float32, 30 samples drawn like the slide's, 100 full-batch steps at learning rate .02",
    source="derived in the module; spurious minima of ReLU nets: Safran and Shamir 2018 (arXiv 1712.08968)",
    evidence=Property(examples=30),
)

Activation = Callable[[Fraction], Fraction]
Loss = Callable[[Fraction, Fraction], Fraction]


def relu(z: Fraction) -> Fraction:
    return max(z, Fraction(0))


def identity(z: Fraction) -> Fraction:
    return z


# -- the surface, in rational arithmetic --------------------------------------------------------------------------


@dataclass(frozen=True)
class World:
    """Samples (x, y) with x > 0, and a weight pair with w1 > 0; the surface is looked at there and at (-w1, w2)."""

    samples: tuple[tuple[Fraction, Fraction], ...]
    w1: Fraction
    w2: Fraction


def mean_squared_error(samples: tuple[tuple[Fraction, Fraction], ...], activation: Activation) -> Loss:
    """The loss of the net w2 activation(w1 x), as a function of its weights."""

    def loss(w1: Fraction, w2: Fraction) -> Fraction:
        return sum(((w2 * activation(w1 * x) - y) ** 2 for x, y in samples), Fraction(0)) / len(samples)

    return loss


def least_squares(samples: tuple[tuple[Fraction, Fraction], ...]) -> tuple[Fraction, Fraction, Fraction]:
    """The slope a that fits best through the origin, its mean squared error f, and the mean p of x^2."""
    power = Fraction(sum(x * x for x, _ in samples), len(samples))
    slope = Fraction(sum(x * y for x, y in samples), len(samples)) / power
    return slope, Fraction(sum((slope * x - y) ** 2 for x, y in samples), len(samples)), power


def is_flat(loss: Loss, w1: Fraction, w2: Fraction) -> bool:
    """Whether the loss is constant in a box around a point with w1 other than 0, which makes it a local minimum.

    The box reaches half way to w1 = 0, so in it the loss is a polynomial of degree two in w1 and in w2. Such a
    polynomial is constant if it takes one value on three by three points.
    """
    h = abs(w1) / 2
    return len({loss(w1 + i * h, w2 + j * h) for i, j in product((-1, 0, 1), repeat=2)}) == 1


def surface_is_as_stated(world: World, activation: Activation = relu) -> Certificate:
    """The formula, the saddle, the curve of global minima and the plateau of bad ones."""
    w1, w2 = world.w1, world.w2
    slope, floor, power = least_squares(world.samples)
    plateau = floor + power * slope**2
    loss = mean_squared_error(world.samples, activation)
    formula = all(loss(w, w2) == floor + power * (max(w, 0) * w2 - slope) ** 2 for w in (w1, Fraction(0), -w1))
    # From the origin, steps (r, r) and (r, -r) give the net the slopes r^2 and -r^2. With r^2 <= |a| one is nearer to a
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


def no_local_minimum_is_bad(activation: Activation = relu) -> Certificate:
    """Whether no weight pair from -3 to 3 (w1 not 0) lies in a flat place above the least loss."""
    samples = tuple((Fraction(x), Fraction(y)) for x, y in ((1, 3), (1, 1), (2, 4)))
    loss, floor = mean_squared_error(samples, activation), least_squares(samples)[1]
    pairs = [(Fraction(w1), Fraction(w2)) for w1, w2 in product(range(-3, 4), repeat=2) if w1]
    bad = [pair for pair in pairs if is_flat(loss, *pair) and loss(*pair) > floor]
    losses = sorted({float(loss(*pair)) for pair in bad})
    return Certificate(not bad, pairs=len(pairs), bad_minima=len(bad), their_loss=losses, least_loss=float(floor))


def quarters(low: int, high: int) -> st.SearchStrategy[Fraction]:
    return st.integers(4 * low, 4 * high).map(lambda count: Fraction(count, 4))


def worlds() -> st.SearchStrategy[World]:
    """One to five samples whose least-squares slope is not zero, and a weight pair with w1 > 0."""
    positive = quarters(0, 5).filter(bool)
    samples = st.lists(st.tuples(positive, quarters(-5, 5)), min_size=1, max_size=5).map(tuple)
    return st.builds(World, samples, positive, quarters(-5, 5)).filter(lambda world: least_squares(world.samples)[0])


def test_claim(judge):
    judge(surface_is_as_stated, given=worlds()).supports()


def test_control_linear_net(judge):
    """Without the ReLU the loss goes on changing where w1 < 0."""
    judge(surface_is_as_stated, given=worlds(), activation=identity).refutes()


@pytest.mark.exact
def test_deck_wording(judge):
    """Half of the weight pairs on a grid are local minima far above the least loss."""
    judge(no_local_minimum_is_bad).refutes()


@pytest.mark.exact
def test_linear_net_keeps_the_deck_wording(judge):
    """The same search finds no bad local minimum of the net without the ReLU."""
    judge(no_local_minimum_is_bad, activation=identity).supports()


# -- where gradient descent ends ----------------------------------------------------------------------------------

STARTS = 200
SHOWN = 4  # of them in the figure


def descent(seeds: Seeds, rectified: bool = True) -> Rows:
    """Gradient descent from 200 standard normal starts, on samples like the slide's, drawn anew for every seed.

    One half of the starts has w1 < 0 and lies on the plateau at once. Gradient flow keeps w1^2 - w2^2, so of the
    quarter with w1 > 0 > w2 it carries those with |w2| > w1, one half again, to w1 = 0. That is 5/8 in all, with a
    standard error of .034. A seed wins if at least half of its starts end where the output is zero for every sample,
    if the loss there is at least ten times the least one (33 times is expected), and if nine in ten of the other
    starts come within 1 % of the least loss, so that the descent works where it can.
    """
    x = (1 + seeds.normal("x", 30)).abs()
    y = 2 * x + seeds.normal("noise", 30) / 2
    starts = [seeds.normal("w1", STARTS), seeds.normal("w2", STARTS)]

    activate = lift(parts().relu if rectified else parts().identity)

    def net(weights: list[Tensor], x: Tensor) -> Tensor:
        """Outputs `[S, 30, STARTS]` for two weights `[S, STARTS]` and inputs `[S, 30, 1]`."""
        return weights[1][:, None] * activate([], weights[0][:, None] * x)

    def errors(outputs: Tensor, y: Tensor) -> Tensor:
        """The mean squared error of every start, `[S, STARTS]`."""
        return (outputs - y[..., None]).square().mean(dim=1)

    fit = train(
        seeds, net, starts, x[..., None], y,
        loss=lambda outputs, y: errors(outputs, y).sum(dim=1),
        optimizer=partial(parts().sgd, lr=0.02), epochs=100,
    )  # fmt: skip
    outputs = net(fit.parameters, x[..., None])
    slope = (x * y).sum(dim=1) / x.square().sum(dim=1)
    least = (slope[:, None] * x - y).square().mean(dim=1)
    stuck = (outputs == 0).all(dim=1)
    solved = errors(outputs, y) <= 1.01 * least[:, None]
    share_stuck, share_solved = (starts_that.to(seeds.dtype).mean(dim=1) for starts_that in (stuck, solved))
    ratio = y.square().mean(dim=1) / least
    return Rows(
        win=(share_stuck >= 0.5) & (ratio >= 10) & (share_solved >= 0.9 * (1 - share_stuck)),
        share_stuck=share_stuck,
        share_solved=share_solved,
        share_stuck_at_start=(starts[0] < 0).to(seeds.dtype).mean(dim=1),
        plateau_over_least_loss=ratio,
        slope=slope,
        starts=torch.stack(starts, dim=2)[:, :SHOWN],
        ends=torch.stack(fit.parameters, dim=2)[:, :SHOWN],
    )


@pytest.mark.statistical
def test_gradient_descent_is_stuck(judge):
    judge(descent).supports()


@pytest.mark.statistical
def test_control_gradient_descent_on_the_linear_net(judge):
    judge(descent, rectified=False).refutes()


def figure(measured: "Measured", ax: "Axes") -> None:
    """The surface, with the plateau, the saddle and the global minima, and where some of the runs of every seed went.

    In weights divided by sqrt(a) the excess loss, as a share of the plateau's, is (max(w1, 0) w2 - 1)^2 for all data.
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
