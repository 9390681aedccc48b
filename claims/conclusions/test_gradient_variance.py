"""Noise in the gradient keeps descent from arriving, and can send it to a better place.

Slide: Conclusions. The deck says that variance in the gradient can help generalisation and hurt the final convergence.
The hurt is known exactly for a quadratic of curvature l with noise of variance s² that is there at the minimum too. A
step of rate η maps the mean square distance V to (1 - η l)² V + η² s², which ends at η s² / (l (2 - η l)): a floor that
falls with the rate. Rates 1 / (l t) at step t make the weight the mean of what the noise told it, and the floor goes as
s² / (l² t). Where all labels can be fitted there is no noise at the minimum, and no floor; that minibatches do this is
measured with linear regression. Noise that grows with the distance instead sets a largest rate (H5).

The help needs a choice among solutions. In the net f(x) = <u² - v², x> with twice as many inputs as samples, descent
without noise finds a solution that spreads over all inputs. Noise on the labels, drawn anew for every step and zero on
average, is multiplied with the weights on its way into the gradient, and weights that are not needed come to rest near
zero, where there is least of it: if the truth depends on one input, noise finds it (HaoChen et al.). It pays the floor
for that, and annealing the rate gets it back. If the truth depends on all inputs alike, there is nothing to find.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Literal

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from claimlab import Certificate, Claim, Rows, Seeds, Statistical, draw
from claimlab.parts import parts
from claimlab.train import train
from claimlab.train.loop import Net

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="conclusions/gradient-variance-cuts-both-ways",
    covers=("I6",),
    slide="Conclusions",
    version=1,
    finding="holds",
    says="Variance in the gradient can help generalisation, and can hurt final convergence.",
    statement="On a quadratic of curvature l, gradient noise of variance s² keeps descent at rate η a mean square of "
    "η s² / (l (2 − η l)) from the minimum; rates that fall as one over the steps remove it. Minibatches leave such a "
    "floor if labels are noisy, none if they can be fitted. In a net of squared weights, noise halves the error where "
    "one input counts.",
    reason="Noise at the minimum keeps the weights moving, in proportion to the rate. Where many solutions fit, it "
    "moves them on to one where there is less of it. That is the better one if the truth is like that.",
    scope="noise of one size, or of labels, drawn anew for every step; linear regression, and one net with one weight "
    "pair for each input, float32. What minibatches do to common nets is another entry (H20)",
    source="derived here; HaoChen, Wei, Lee & Ma 2021 (arXiv 2006.08680) on noisy labels and sparse truths",
    evidence=Statistical(block=11),
)


# -- a quadratic, in rational arithmetic ------------------------------------------------------------------------------


@dataclass(frozen=True)
class World:
    """Rate, curvature, size of the noise, and the start."""

    rate: Fraction
    curvature: Fraction
    noise: Fraction
    start: Fraction


def floor_of(world: World) -> Fraction:
    """Where the mean square ends."""
    return world.rate * world.noise**2 / (world.curvature * (2 - world.rate * world.curvature))


def mean_square(world: World, rates: list[Fraction], *, shrinking: bool = False) -> Fraction:
    """The mean of x² after a step at each of the rates, over all signs of the noise; it may shrink with x."""
    paths = [world.start]
    for rate in rates:
        sizes = [world.noise * (x if shrinking else 1) for x in paths]
        paths = [x - rate * (world.curvature * x + sign * size)
                 for x, size in zip(paths, sizes, strict=True) for sign in (1, -1)]  # fmt: skip
    return sum((x * x for x in paths), Fraction(0)) / len(paths)


def nears_the_floor(world: World, *, steps: int = 3, shrinking: bool = False) -> Certificate:
    """Whether what the mean square has above the floor shrinks by (1 - η l)² in a step, from above or from below."""
    floor = floor_of(world)
    mean = mean_square(world, [world.rate] * steps, shrinking=shrinking)
    derived = floor + (1 - world.rate * world.curvature) ** (2 * steps) * (world.start**2 - floor)
    return Certificate(mean == derived and floor > 0, floor=float(floor), mean_square=float(mean))


def decay_removes_it(world: World, *, steps: int = 5, falling: bool = True) -> Certificate:
    """Whether rates 1 / (l t), from t = 1, leave a mean square of s² / (l² t) after any number of steps t."""
    rates = [1 / (world.curvature * (t if falling else 1)) for t in range(1, steps + 1)]
    means = [mean_square(world, rates[:t]) for t in range(1, steps + 1)]
    derived = [(world.noise / world.curvature) ** 2 / t for t in range(1, steps + 1)]
    return Certificate(means == derived, mean_squares=[float(mean) for mean in means])


def worlds() -> st.SearchStrategy[World]:
    """Rates below 2 / l, so that descent does not explode; noise, and a start on either side."""
    parts_of = partial(st.builds, Fraction, denominator=st.integers(1, 8))
    positive = parts_of(st.integers(1, 24))
    shares = st.integers(1, 15).map(lambda count: Fraction(count, 8))
    return st.builds(
        lambda share, curvature, noise, start: World(share / curvature, curvature, noise, start),
        shares, positive, positive, parts_of(st.integers(-24, 24)),
    )  # fmt: skip


USUAL = World(rate=Fraction(1, 2), curvature=Fraction(1), noise=Fraction(1), start=Fraction(2))


@pytest.mark.property(examples=25)
def test_floor(judge):
    """Three steps, eight paths; rates up to 15/8 over the curvature, fractions of eighths and larger parts."""
    judge(nears_the_floor, given=worlds()).supports()


@pytest.mark.property(examples=25)
def test_decay_removes_the_floor(judge):
    """One to five steps at rates 1 / (l t): exactly s² / (l² t), from any start."""
    judge(decay_removes_it, given=worlds()).supports()


@pytest.mark.property(examples=25)
def test_control_noise_that_shrinks(judge):
    """Noise in proportion to the distance leaves no floor."""
    judge(nears_the_floor, given=worlds(), example=USUAL, shrinking=True).refutes()


@pytest.mark.property(examples=25)
def test_control_without_decay(judge):
    judge(decay_removes_it, given=worlds(), example=USUAL, falling=False).refutes()


# -- minibatches of linear regression ---------------------------------------------------------------------------------

RATES = (0.2, 0.05)


def minibatches(
    seeds: Seeds,
    *,
    noise: float = 0.5,
    samples: int = 32,
    features: int = 4,
    problems: int = 16,
    epochs: int = 20,
    asked: Literal["floor", "none"] = "floor",
) -> Rows:
    """A seed draws sixteen problems, which share the order of the samples; two samples a step, at both rates.

    A win is a floor, as the excess of the training loss over its minimum, on average over the problems, falls at least
    in proportion to the rate; or none, as neither rate has left a ten-thousandth of the excess at the start. The
    premise is that a twentieth is not left at the lower rate.

    In proportion is what noise that is independent from step to step would give. In a shuffled order much of an epoch's
    noise cancels at its end, and the floor falls faster than the rate.
    """
    x = seeds.normal("x", samples, problems, features)
    y = (x * seeds.normal("w", 1, problems, features)).sum(dim=-1)
    y = y + noise * seeds.normal("noise", samples, problems)
    # Both rates at once: that of the optimizer is 1, and the losses are weighted.
    weights = torch.tensor(RATES, dtype=seeds.dtype, device=seeds.device)[:, None]

    def net(parameters: list[Tensor], x: Tensor) -> Tensor:
        """`[S, N, rates, problems]` from weights `[S, rates, problems, features]`."""
        return (x[:, :, None] * parameters[0][:, None]).sum(dim=-1)

    def loss(outputs: Tensor, y: Tensor) -> Tensor:
        return ((outputs - y[:, :, None]).square().mean(dim=1) / 2 * weights).sum(dim=(1, 2))

    start = torch.zeros(len(seeds), len(RATES), problems, features, dtype=seeds.dtype, device=seeds.device)
    fit = train(
        seeds, net, [start], x, y, loss=loss, optimizer=partial(parts().sgd, lr=1.0), epochs=epochs, batch=2,
    )  # fmt: skip
    best = torch.linalg.lstsq(x.transpose(1, 2), y.transpose(1, 2)[..., None]).solution[..., 0]
    excess, before = (
        (net([w], x) - net([best[:, None]], x)).square().mean(dim=(1, 3)) for w in (fit.parameters[0], start)
    )
    left = excess / before
    win = left[:, 0] >= 4 * left[:, 1] if asked == "floor" else left.amax(dim=1) < 1e-4
    return Rows(win=win, premise=left[:, 1] < 0.05, left=left)


def test_minibatches_leave_a_floor(judge):
    """Regression on 32 samples of four features, noise of deviation .5, rates .2 and .05, 20 epochs of 16 steps.

    The excess training loss, averaged over sixteen problems, is at least four times as large at the higher rate.
    """
    judge(minibatches).supports()


def test_no_floor_without_noise(judge):
    """The same with labels that a solution fits: less than a ten-thousandth is left at either rate."""
    judge(minibatches, noise=0.0, asked="none").supports()


def test_control_labels_that_can_be_fitted(judge):
    judge(minibatches, noise=0.0).refutes()


def test_control_noisy_labels_leave_something(judge):
    judge(minibatches, asked="none").refutes()


# -- a choice among solutions ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NoisyLabels:
    """The nets <u² - v², x>, `[S, N, arms, problems]`, from weights `[S, arms, 2, problems, d]`, with noisy labels.

    To take noise `[S, steps, N, arms, problems]` off the labels of a step is to add it to the outputs.
    """

    noise: Tensor

    def __call__(self, parameters: list[Tensor], x: Tensor) -> Tensor:
        squares = parameters[0].square()
        return torch.einsum("sapd,snpd->snap", squares[:, :, 0] - squares[:, :, 1], x)

    def at_step(self, seeds: Seeds, step: int) -> Net:
        return lambda parameters, x: self(parameters, x) + self.noise[:, step - 1]


def finds_the_truth(
    seeds: Seeds,
    *,
    noise: float = 1.5,
    relevant: int = 1,
    samples: int = 12,
    features: int = 24,
    problems: int = 24,
    size: float = 0.3,
    rate: float = 0.15,
    steps: tuple[int, int] = (260, 30),
) -> Rows:
    """A seed draws twenty-four problems of twelve samples, whose labels depend on the `relevant` ones of 24 inputs.

    Two arms start alike and make the same full steps, one with noise on the labels; then the rate falls to a tenth. A
    win: with noise the error on new inputs, the median of the problems, is at most half of what it is without. The
    premise is that both arms have learned the labels: a tenth of their mean square is not left at the end.
    """
    x = seeds.normal("x", samples, problems, features)
    truth = torch.zeros(features, dtype=seeds.dtype, device=seeds.device)
    truth[:relevant] = relevant**-0.5
    y = x @ truth
    signs = 2 * seeds.integers("signs", sum(steps), samples, 1, problems, high=2) - 1
    sizes = torch.tensor([0.0, noise], dtype=seeds.dtype, device=seeds.device)[:, None]
    first, last = (NoisyLabels(sizes * part) for part in signs.split(steps, dim=1))

    def errors(outputs: Tensor, y: Tensor) -> Tensor:
        """The mean squared error of every arm and problem."""
        return (outputs - y[:, :, None]).square().mean(dim=1)

    weights = [torch.full((len(seeds), 2, 2, problems, features), size, dtype=seeds.dtype, device=seeds.device)]
    left = []
    for net, lr in ((first, rate), (last, rate / 10)):
        weights = train(
            seeds, net, weights, x, y, loss=lambda outputs, y: errors(outputs, y).sum(dim=(1, 2)) / 2,
            optimizer=partial(parts().sgd, lr=lr), epochs=net.noise.shape[1],
        ).parameters  # fmt: skip
        left.append((errors(net(weights, x), y) / y.square().mean(dim=1)[:, None]).mean(dim=2))
    squares = weights[0].square()
    # New inputs are standard normal, so that the error is the squared distance of the coefficients.
    error = (squares[:, :, 0] - squares[:, :, 1] - truth).square().sum(dim=-1).median(dim=-1).values
    return Rows(
        win=2 * error[:, 1] <= error[:, 0], premise=(left[-1] < 0.1).all(dim=1),
        error=error, left=torch.stack(left, dim=2),
    )  # fmt: skip


def test_claim(judge):
    """24 inputs, twelve samples, a truth of one input: 260 steps at rate .15, 30 at .015; noise of 1.5 on labels.

    The error on new inputs, the median of 24 problems, is at most half of what it is without the noise.
    """
    judge(finds_the_truth).supports()


def test_control_truth_of_all_inputs(judge):
    judge(finds_the_truth, relevant=24).refutes()


def test_control_little_noise(judge):
    judge(finds_the_truth, noise=0.05).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Noise on the labels lowers the error where one input counts, and raises it where all do. A line is a seed."""
    tests = {
        "one input counts": "claim",
        "all count\n(control)": "control_truth_of_all_inputs",
        "little noise\n(control)": "control_little_noise",
    }
    for place, test in enumerate(tests.values()):
        error = measured[test]["error"]
        draw.runs(ax, (place - 0.2, place + 0.2), error, style="0.6-")
        draw.dots(ax, place - 0.2, error[:, 0], "without noise", width=0)
        draw.dots(ax, place + 0.2, error[:, 1], "with noise", style="C1s", width=0)
    draw.names(ax.xaxis, tests)
    ax.set(ylabel="error on new inputs", ylim=(0, None))
    draw.key(ax)
