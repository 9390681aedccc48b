"""Off the ridge descent leaves a saddle in logarithmic time; on it, only noise across the ridge helps.

Slide: Non-convex Optimization. Its animation shows six optimizers near a saddle, and one stays: plain gradient descent.
The saddle here is (x² − y²)/2 + y⁴/4, its ridge the line y = 0, and descent has left when |y| is 1/2.

Next to the ridge, rate η and momentum β multiply y by λ with every step, the larger root of λ² − (1 + β + η) λ + β. So
each start ten times nearer takes log 10 / log λ steps more. With δ = λ − 1 the root is δ = η / (1 − β + δ − η), and as
δ is at least η, momentum gains at most a factor of 1 / (1 − β), which it nearly does where η is far below (1 − β)².
(One saddle is not many: Du et al. 2017 build a function whose saddles take descent exponential time.)

Does the noise of single samples help? Where it has a part across the ridge. The deck's own net w₂ relu(w₁ x) is one
where it has none: on the ridge of its saddle, w₂ = −w₁, the gradient of every sample is c (w₂, w₁), which points along
the ridge, and on its plateau, w₁ < 0, there is none at all. Larger nets have such sets as well, where units vanish or
are alike, and Chen et al. find that noise can even draw SGD to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from math import log, sqrt
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
    id="optimization/sgd-leaves-saddles",
    covers=("D8",),
    slide="Non-convex Optimization",
    version=1,
    finding="scoped",
    says="SGD, with momentum, seems to evade saddles quite easily.",
    statement="Near a strict saddle, descent leaves in a time that grows only with the logarithm of how close to the "
    "ridge it starts, and momentum shortens it. On the ridge it stays for good, momentum or not. The noise of single "
    "samples helps if it has a part across the ridge. That of the deck's own net has none, on its ridge as on its "
    "plateau, and SGD stays.",
    reason="A random start is off the ridge and so leaves soon; that is what makes it look easy. Neither SGD nor "
    "momentum is the cause: both keep to a ridge that all samples share.",
    scope="one strict saddle, of curvature −1 across the ridge; the deck's net with one hidden unit and no biases, "
    "positive inputs and targets. Many saddles can take far longer",
    source="Lee et al. 2016 (arXiv 1602.04915); Jin et al. 2017 (arXiv 1703.00887); Du et al. 2017 (arXiv 1705.10412); "
    "Chen et al. 2023 (arXiv 2306.04251)",
    evidence=Property(examples=40),
)

LEFT = 0.5
"""The distance from the ridge at which descent has left; the minima are at 1."""

# -- how long it takes -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Descent:
    """A learning rate and a momentum."""

    rate: float
    momentum: float = 0.0

    @property
    def growth(self) -> float:
        """What a step multiplies a small distance from the ridge by."""
        total = 1 + self.momentum + self.rate
        return (total + sqrt(total**2 - 4 * self.momentum)) / 2


def steps_to_leave(y: float, descent: Descent, *, strict: bool = True, most: int = 10**6) -> int:
    """The steps from a distance y to LEFT. Without the term −y²/2 the saddle is not strict: x²/2 − y⁴/4."""
    velocity = 0.0
    for step in range(most):
        if abs(y) >= LEFT:
            return step
        slope = y**3 - y if strict else -(y**3)
        velocity = descent.momentum * velocity + slope
        y -= descent.rate * velocity
    return most


def leaves_in_logarithmic_time(
    descent: Descent, *, strict: bool = True, exponents: Sequence[float] = range(-12, -1)
) -> Certificate:
    """Whether a start nearer by some factor takes log factor / log λ steps more, to 1.5 steps.

    One step is for counting in whole ones, half a step for y⁴/4, which near the ridge takes next to nothing off the
    growth: in all less than y²/2 of it until y is reached.
    """
    steps = [steps_to_leave(10.0**exponent, descent, strict=strict) for exponent in exponents]
    decade = log(10) / log(descent.growth)
    more = [decade * (exponents[-1] - exponent) for exponent in exponents]
    right = [abs(took - steps[-1] - extra) <= 1.5 for took, extra in zip(steps, more, strict=True)]
    return Certificate(all(right), exponents=list(exponents), steps=steps, steps_per_decade=decade)


def momentum_divides_the_time(*, rate: float, momentum: float = 0.9, exponent: int = -12) -> Certificate:
    """Whether momentum gains at least four fifths of the factor 1 / (1 − β), and not more than it."""
    without, with_it = (steps_to_leave(10.0**exponent, Descent(rate, each)) for each in (0.0, momentum))
    gain, limit = without / with_it, 1 / (1 - momentum)
    return Certificate(0.8 * limit <= gain <= limit, steps=[without, with_it], gain=gain, limit=limit)


def descents() -> st.SearchStrategy[Descent]:
    """Rates from 0.01 to 0.5, momenta from 0 to 0.95."""
    return st.builds(Descent, st.integers(1, 50).map(lambda n: n / 100), st.integers(0, 19).map(lambda n: n / 20))


def test_claim(judge):
    """Eleven starts from 10⁻¹² to 10⁻² beside the ridge, rates from 0.01 to 0.5, momenta from 0 to 0.95."""
    judge(leaves_in_logarithmic_time, given=descents()).supports()


@pytest.mark.exact
def test_without_momentum(judge):
    """At rate 0.1, from the same starts."""
    judge(leaves_in_logarithmic_time, descent=Descent(0.1)).supports()


@pytest.mark.exact
def test_with_momentum(judge):
    """At rate 0.1 and momentum 0.9, from the same starts."""
    judge(leaves_in_logarithmic_time, descent=Descent(0.1, 0.9)).supports()


@pytest.mark.exact
def test_control_saddle_that_is_not_strict(judge):
    """No direction has a negative curvature, and the time grows with the square of the inverse distance."""
    judge(leaves_in_logarithmic_time, descent=Descent(0.1), strict=False, exponents=(-1.5, -1.25, -1, -0.75)).refutes()


@pytest.mark.exact
def test_momentum_gains_a_factor(judge):
    """At rate 0.002 momentum 0.9 makes descent from 10⁻¹² leave eight to ten times sooner."""
    judge(momentum_divides_the_time, rate=0.002).supports()


@pytest.mark.exact
def test_control_momentum_at_a_large_rate(judge):
    """At rate 0.5 momentum hardly helps."""
    judge(momentum_divides_the_time, rate=0.5).refutes()


# -- on the ridge ----------------------------------------------------------------------------------------------------


def saddle(weights: Tensor) -> Tensor:
    """(x² − y²)/2 + y⁴/4 at weights `[..., 2]`."""
    x, y = weights.unbind(-1)
    return (x.square() - y.square()) / 2 + y**4 / 4


def ends_on_the_saddle(
    *, optimizer: str = "sgd", momentum: float = 0.0, beside: float = 0.0, rate: float = 0.1, steps: int = 300
) -> Certificate:
    """Whether descent from (1, `beside`) comes within 0.01 of the saddle. On the ridge y is 0, and nothing rounds that.

    A part that takes no momentum is one that has its own.
    """
    options = {"momentum": momentum} if momentum else {}
    weights = torch.tensor([[1.0, beside]], dtype=torch.float64, requires_grad=True)
    optim = parts().named(optimizer)([weights], lr=rate, **options)
    for _ in range(steps):
        optim.zero_grad()
        saddle(weights).sum().backward()
        optim.step()
    x, y = weights.detach()[0].tolist()
    return Certificate(max(abs(x), abs(y)) < 0.01, x=x, y=y)


@pytest.mark.exact
def test_on_the_ridge(judge):
    """From (1, 0), 300 steps of plain descent at rate 0.1 end on the saddle."""
    judge(ends_on_the_saddle).supports()


@pytest.mark.exact
def test_on_the_ridge_with_momentum(judge):
    """The same with momentum 0.9."""
    judge(ends_on_the_saddle, momentum=0.9).supports()


@pytest.mark.exact
def test_on_the_ridge_with_adam(judge):
    """Adam divides a zero by its small constant: it stays as well, from (1, 0), 300 steps at rate 0.1."""
    judge(ends_on_the_saddle, optimizer="adam").supports()


@pytest.mark.exact
def test_control_beside_the_ridge(judge):
    """A millionth beside it."""
    judge(ends_on_the_saddle, beside=1e-6).refutes()


# -- noise -----------------------------------------------------------------------------------------------------------


def noise_leaves(
    seeds: Seeds,
    *,
    along: float = 0.1,
    across: float = 0.1,
    momentum: float = 0.9,
    samples: int = 300,
    rate: float = 0.05,
) -> Rows:
    """SGD from (1, 0), one sample a step. A sample's loss is the saddle's and a slope of its own, drawn at random.

    `along` and `across` are the noise's standard deviations in x and y. The premise is that the steps are at work: x,
    whose start is 1, is nearer than 1/2.
    """
    slopes = seeds.normal("slopes", samples, 2) * torch.tensor([along, across], dtype=seeds.dtype, device=seeds.device)
    start = torch.tensor([1.0, 0.0], dtype=seeds.dtype, device=seeds.device).repeat(len(seeds), 1, 1)
    fit = train(
        seeds, lambda weights, slopes: saddle(weights[0]) + (weights[0] * slopes).sum(dim=2), [start], slopes,
        slopes[..., 0],
        loss=lambda losses, _: losses.mean(dim=1), optimizer=partial(parts().sgd, lr=rate, momentum=momentum),
        epochs=1, batch=1,
    )  # fmt: skip
    x, y = fit.parameters[0][:, 0].abs().unbind(-1)
    return Rows(win=y >= LEFT, premise=x < LEFT, x=x, y=y)


@pytest.mark.statistical
def test_noise_leaves_the_ridge(judge):
    """Slopes of standard deviation 0.1, 300 steps at rate 0.05 and momentum 0.9: SGD is at least 1/2 off the ridge."""
    judge(noise_leaves).supports()


@pytest.mark.statistical
def test_control_noise_along_the_ridge(judge):
    """As much noise, none of it across."""
    judge(noise_leaves, across=0.0).refutes()


# -- the deck's own net ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """A sample x, y > 0 and a rate, and the weights w₁ = ±w and w₂ at which SGD takes a step on that sample."""

    x: Fraction
    y: Fraction
    w: Fraction
    w2: Fraction
    rate: Fraction


STEP = Step(x=Fraction(1), y=Fraction(1), w=Fraction(1), w2=Fraction(2), rate=Fraction(1, 8))


def steps() -> st.SearchStrategy[Step]:
    """A rate that is small enough for descent on the sample: half of 1 / (2 x (w² x + y))."""
    quarters = st.integers(1, 16).map(lambda count: Fraction(count, 4))

    def at(x: Fraction, y: Fraction, w: Fraction, w2: Fraction, part: Fraction) -> Step:
        return Step(x, y, w, w2, part / (4 * x * (w * w * x + y)))

    return st.builds(at, quarters, quarters, quarters, quarters, st.sampled_from([Fraction(1), Fraction(1, 10)]))


def stepped(w1: Fraction, w2: Fraction, step: Step) -> tuple[Fraction, Fraction]:
    """The weights after a step on the squared error of w₂ relu(w₁ x) on the sample."""
    hidden = max(w1 * step.x, Fraction(0))
    slope = 2 * (w2 * hidden - step.y)
    w1_slope = slope * w2 * step.x if hidden else Fraction(0)
    return w1 - step.rate * w1_slope, w2 - step.rate * slope * hidden


def stays_on_the_ridge(step: Step, *, beside: Fraction = Fraction(0)) -> Certificate:
    """Whether a step on any sample, from w₂ = −w₁ < 0, stays on that line, and comes nearer to the saddle at 0.

    What holds of one step from anywhere on it holds of all.
    """
    w1, w2 = stepped(step.w, beside - step.w, step)
    return Certificate(w1 + w2 == beside and 0 < w1 < step.w, w1=w1, w2=w2)


def stays_on_the_plateau(step: Step, *, side: int = -1) -> Certificate:
    """Whether a step on any sample, from w₁ = −w, changes nothing."""
    before = side * step.w, step.w2
    after = stepped(*before, step)
    return Certificate(after == before, before=before, after=after)


def test_the_net_stays_on_its_ridge(judge):
    """One sample with x, y > 0, any of them: SGD comes nearer to the saddle and no nearer to a minimum."""
    judge(stays_on_the_ridge, given=steps()).supports()


def test_control_the_net_beside_its_ridge(judge):
    judge(stays_on_the_ridge, given=steps(), example=STEP, beside=Fraction(1, 100)).refutes()


def test_the_net_stays_on_its_plateau(judge):
    """One sample with x > 0, any of them."""
    judge(stays_on_the_plateau, given=steps()).supports()


def test_control_the_other_side_of_the_plateau(judge):
    """With w₁ > 0 samples have gradients."""
    judge(stays_on_the_plateau, given=steps(), example=STEP, side=1).refutes()


def net_leaves(
    seeds: Seeds,
    *,
    start: tuple[float, float] = (0.01, 0.01),
    samples: int = 30,
    rate: float = 0.002,
    momentum: float = 0.9,
    epochs: int = 6,
) -> Rows:
    """SGD on the deck's net, one sample a step, samples like the slide's. A win halves the loss of the start.

    The premise is that SGD does so from (1, 1), which is neither near the saddle nor on the plateau.
    """
    x = (1 + seeds.normal("x", samples)).abs()
    y = 2 * x + seeds.normal("noise", samples) / 2
    activate = lift(parts().relu)

    def net(weights: list[Tensor], x: Tensor) -> Tensor:
        return weights[1] * activate([], weights[0] * x)

    def ratio(w1: float, w2: float) -> Tensor:
        """The loss at the end as a share of that at the start."""
        weights = [torch.full((len(seeds), 1), w, dtype=seeds.dtype, device=seeds.device) for w in (w1, w2)]
        fit = train(
            seeds, net, weights, x, y, loss=error, optimizer=partial(parts().sgd, lr=rate, momentum=momentum),
            epochs=epochs, batch=1,
        )  # fmt: skip
        return error(net(fit.parameters, x), y) / error(net(weights, x), y)

    def error(outputs: Tensor, y: Tensor) -> Tensor:
        return (outputs - y).square().mean(dim=1)

    left, elsewhere = ratio(*start), ratio(1.0, 1.0)
    return Rows(win=left < 0.5, premise=elsewhere < 0.5, loss_ratio=left, loss_ratio_elsewhere=elsewhere)


@pytest.mark.statistical
def test_the_net_leaves_from_beside_its_saddle(judge):
    """From (0.01, 0.01), six epochs of thirty samples at rate 0.002 and momentum 0.9: the loss is less than half."""
    judge(net_leaves).supports()


@pytest.mark.statistical
def test_control_the_net_on_its_plateau(judge):
    """As near to the saddle, from (−0.01, 0.01): noise of samples everywhere else, and none here."""
    judge(net_leaves, start=(-0.01, 0.01)).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """A start ten times nearer the ridge costs a few steps more; without negative curvature it costs a hundredfold."""
    series = {
        "strict saddle": "without_momentum",
        "with momentum 0.9": "with_momentum",
        "not strict (control)": "control_saddle_that_is_not_strict",
    }
    ax.set(xscale="log")
    for label, test in series.items():
        draw.curve(ax, 10.0 ** measured[test]["exponents"], measured[test]["steps"], label)
    ax.set(xlabel="distance from the ridge at the start", ylabel="steps to leave", ylim=(0, 600))
    draw.key(ax)
