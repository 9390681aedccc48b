"""Gradient descent chooses among the solutions: the nearest one, the one with the largest margin, the flatter path.

Slide: Conclusions. The deck says that (stochastic) gradient descent has a regularizer built in. Where many weights fit
the samples equally well the loss does not choose between them, so whatever does is the algorithm's. In three cases it
is known exactly what that is.

- Least squares with more weights than samples. A step adds a combination of the inputs to the weights. So what is added
  in all is orthogonal to every change of weights that the samples do not see, and the one such solution is the nearest
  to the start; from zero, the one of least norm. It makes no difference whether a step sees all samples or one.
- Logistic loss on samples that a plane separates. The weights grow for ever, and their direction tends to that of the
  largest margin (Soudry et al.). In the worlds below, turned in the plane, samples (1, p) and (1, -q) have it along
  (1, 0), and samples (2, 2) pull elsewhere at first. Along it the weights grow as the logarithm of the steps. Across it
  they come to rest where both gradients cancel, p exp(-p b) = q exp(q b), so at b = log(p / q) / (p + q). Hence the
  angle falls as one over the logarithm of the steps: to halve what a thousand leave takes a thousand times as many.
- Any smooth net, one small step of rate η. Descent does not follow the flow of the loss L, but up to an order of η more
  that of L + η/4 |∇L|² (Barrett & Dherin): as if large gradients were penalised, by more at larger rates.

The deck's brackets are well placed: no test here needs a random step. And which solution is chosen depends on the
algorithm and its start: AdaGrad and Adam are controls, and whether their choice is worse is another entry (I2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import permutations
from math import cos, sin
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import softplus

from claimlab import Certificate, Claim, Property, draw
from claimlab.measure.draws import Draws
from claimlab.nets import MLP
from claimlab.parts import parts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="conclusions/descent-regularises-implicitly",
    covers=("I4",),
    slide="Conclusions",
    version=1,
    finding="scoped",
    says="(Stochastic) gradient descent has a regularizer built in.",
    statement="Of all weights of a linear model that fit the samples, gradient descent finds those nearest to its "
    "start, with all samples a step or with one. Under logistic loss its direction nears the largest margin's, as one "
    "over the logarithm of the steps. On a smooth net a small step of rate η follows the flow of L + η/4 |∇L|² more "
    "closely than L's, by an order.",
    reason="In linear models it is known what descent prefers, and that it is descent's preference and not the loss's: "
    "AdaGrad and Adam end elsewhere. It takes no random step. Of nets only the first order of a small step is known.",
    scope="linear models, the margin on four samples in the plane; single small steps on small tanh nets, and which "
    "solution of a net is preferred in the end is not judged; float64",
    source="Soudry, Hoffer, Nacson, Gunasekar & Srebro 2018 (arXiv 1710.10345); Barrett & Dherin 2021 (arXiv "
    "2009.11162), modified loss; Zhang, Zou & Cao 2024 (arXiv 2406.10650) on Adam",
    evidence=Property(examples=15),
)


def descend(
    loss: Callable[[Tensor, int], Tensor], start: Tensor, *, rate: float, steps: int, optimizer: str = "sgd"
) -> Tensor:
    """The path of the weights, start included, `[steps + 1, *start.shape]`. The loss may depend on the step."""
    weights = start.clone().requires_grad_()
    optim = parts().named(optimizer)([weights], lr=rate)
    path = [start]
    for step in range(steps):
        optim.zero_grad()
        loss(weights, step).backward()
        optim.step()
        path.append(weights.detach().clone())
    return torch.stack(path)


# -- least squares: the nearest solution -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Regression:
    """Fewer samples than weights, where to start, how far from zero, and the seed they are drawn with.

    The inputs are drawn so that their singular values lie between 1 and 1.2: no direction is slow to learn.
    """

    samples: int = 2
    free: int = 3
    distance: float = 1.0
    seed: int = 0

    def drawn(self) -> tuple[Tensor, Tensor, Tensor]:
        """Inputs, targets and start."""
        draws, n = Draws(self.seed), self.samples
        left, right = (torch.linalg.qr(draws.normal(f"{rows}", rows, n)).Q for rows in (n, n + self.free))
        x = left * draws.uniform("sizes", n, low=1.0, high=1.2) @ right.T
        return x, draws.normal("y", n), self.distance * draws.normal("start", n + self.free)


def finds_the_nearest(
    world: Regression, *, one_a_step: bool = False, to_zero: bool = False, rate: float = 0.8, passes: int = 14
) -> Certificate:
    """Whether the weights fit the samples and are the solution nearest to their start, or `to_zero`, all to 1e-6.

    Full steps leave a fifth of every error at most, as curvatures are between 1 and 1.44 and the rate is .8.
    """
    x, y, start = world.drawn()

    def loss(weights: Tensor, step: int) -> Tensor:
        seen = [step % world.samples] if one_a_step else slice(None)
        return (x[seen] @ weights - y[seen]).square().sum() / 2

    steps = passes * (world.samples if one_a_step else 1)
    weights = descend(loss, start, rate=rate, steps=steps)[-1]
    centre = 0 * start if to_zero else start
    nearest = centre + torch.linalg.pinv(x) @ (y - x @ centre)
    misfit, off = (x @ weights - y).norm(), (weights - nearest).norm()
    return Certificate(bool(misfit < 1e-6 and off < 1e-6), misfit=misfit, off_the_nearest=off)


def regressions(*, distances: tuple[float, ...] = (0.0, 1.0, 10.0)) -> st.SearchStrategy[Regression]:
    """One to four samples with one to five weights more, from zero or from elsewhere."""
    return st.builds(
        Regression, samples=st.integers(1, 4), free=st.integers(1, 5),
        distance=st.sampled_from(distances), seed=st.integers(0, 9999),
    )  # fmt: skip


def test_claim(judge):
    """One to four samples, one to five weights more, from zero and from elsewhere: 14 steps at rate .8, all to 1e-6."""
    judge(finds_the_nearest, given=regressions()).supports()


def test_one_sample_a_step(judge):
    """The samples in turn, 14 times each, at the same rate: the same solution."""
    judge(finds_the_nearest, given=regressions(), one_a_step=True).supports()


def test_least_norm_from_zero(judge):
    """From zero the nearest is the solution of least norm."""
    judge(finds_the_nearest, given=regressions(distances=(0.0,)), to_zero=True).supports()


def test_control_least_norm_from_elsewhere(judge):
    """What the samples do not see stays as it was at the start."""
    judge(finds_the_nearest, given=regressions(distances=(1.0,)), example=Regression(), to_zero=True).refutes()


def falls_on_the_line(*, optimizer: str = "sgd", rate: float = 0.1, steps: int = 40) -> Certificate:
    """Whether each of five starts in the plane ends at the foot of its perpendicular on the line w₁ + 2 w₂ = 2.

    One sample, (1, 2) with target 2: the line is all that fits it. To .001; a step of descent halves the error.
    """
    x = torch.tensor([1.0, 2.0], dtype=torch.float64)
    starts = torch.tensor([[0, 0], [2, 2], [-1, 0], [1, -1.5], [-0.5, 2.5]], dtype=torch.float64)
    path = descend(
        lambda weights, _: (weights @ x - 2).square().sum() / 2, starts, optimizer=optimizer, rate=rate, steps=steps
    )
    feet = starts + (2 - starts @ x)[:, None] * x / 5
    misfit, off = (path[-1] @ x - 2).abs().amax(), (path[-1] - feet).norm(dim=1)
    return Certificate(bool(misfit < 0.001 and off.amax() < 0.001), misfit=misfit, off_the_foot=off, path=path)


@pytest.mark.exact
def test_every_start_has_its_solution(judge):
    """One sample and two weights, five starts, 40 steps at rate .1: each falls on the line of solutions, to .001."""
    judge(falls_on_the_line).supports()


@pytest.mark.exact
def test_control_adagrad(judge):
    """It fits the sample as well, and ends elsewhere."""
    judge(falls_on_the_line, optimizer="adagrad", rate=1.0).refutes()


# -- logistic loss: the largest margin ---------------------------------------------------------------------------------


def nears_the_largest_margin(
    *, optimizer: str = "sgd", rate: float = 0.5, steps: int = 1000, turn: float = 0.6
) -> Certificate:
    """Whether the weights rest across the largest margin's direction, and grow along it as the logarithm of the steps.

    All worlds of two different p and q from 1, 2 and 3 at once, with two samples (2, 2), turned by `turn`. The part
    across must be at b = log(p / q) / (p + q), to .03. Then the exponential of the part along grows by the rate times
    (exp(-p b) + exp(q b)) / 4 a step, the mean of four samples of which two count; asked to a tenth of the steps'
    second half. What is left out, the tail of the logistic loss and the other samples, is of relative size exp(-a).
    """
    pairs = list(permutations((1.0, 2.0, 3.0), 2))
    x = torch.tensor([[(1, p), (1, -q), (2, 2), (2, 2)] for p, q in pairs], dtype=torch.float64)
    towards = torch.tensor([[cos(turn), sin(turn)], [-sin(turn), cos(turn)]], dtype=torch.float64)
    x = x @ towards

    def risk(weights: Tensor, step: int) -> Tensor:
        margins = (x @ weights[..., None])[..., 0]
        return softplus(-margins).mean(dim=1).sum()

    start = torch.zeros(len(pairs), 2, dtype=torch.float64)
    path = descend(risk, start, optimizer=optimizer, rate=rate, steps=steps)
    along, across = (path @ towards.T).unbind(dim=2)
    p, q = torch.tensor(pairs, dtype=torch.float64).T
    rest = (p / q).log() / (p + q)
    derived = rate * ((-p * rest).exp() + (q * rest).exp()) / 4
    grown = (along[-1].exp() - along[steps // 2].exp()) / (steps - steps // 2) / derived
    off = (across[-1] - rest).abs().amax()
    return Certificate(
        bool(((grown - 1).abs() < 0.1).all() and off < 0.03),
        off_the_rest=off, growth=grown, degrees=torch.rad2deg(torch.atan2(across, along).abs())[[steps // 10, steps]].T,
    )  # fmt: skip


@pytest.mark.exact
def test_largest_margin(judge):
    """Six worlds of four samples, 1000 steps at rate .5 from zero: across to .03, growth to a tenth."""
    judge(nears_the_largest_margin).supports()


@pytest.mark.exact
def test_control_adam_does_not(judge):
    """Adam's part across the margin grows as well: it prefers another norm."""
    judge(nears_the_largest_margin, optimizer="adam", steps=300).refutes()


# -- a smooth net: the loss that a step goes down ----------------------------------------------------------------------


@dataclass(frozen=True)
class Smooth:
    """How many tanh units learn how many samples, and the seed that net and samples are drawn with."""

    units: int = 3
    samples: int = 4
    seed: int = 0


RATES = (0.001, 0.0005, 0.00025)


def is_of_order(world: Smooth, *, order: int, share: float) -> Certificate:
    """Whether a step of rate η and the flow of L + share η |∇L|² for a time η part by a multiple of η to the `order`.

    Halving η must divide the distance by 2 to the order, to a fifth of an order: what is left out is of relative size
    η times a curvature, and rounding far smaller.
    """
    draws, net = Draws(world.seed), MLP((2, world.units, 1), activation=parts().tanh)
    x, y = draws.normal("x", 1, world.samples, 2), draws.normal("y", 1, world.samples)
    sizes = [(2, world.units), (1, world.units), (world.units, 1), (1, 1)]
    start = torch.cat([draws.normal(f"w{place}", rows * columns) for place, (rows, columns) in enumerate(sizes)])
    start = start.expand(len(RATES), -1)
    rates = torch.tensor(RATES, dtype=torch.float64)[:, None]

    def risk(weights: Tensor) -> Tensor:
        """The loss of every row of weights, added up."""
        pieces = weights.split([rows * columns for rows, columns in sizes], dim=1)
        shaped = [piece.unflatten(1, size) for piece, size in zip(pieces, sizes, strict=True)]
        return (net(shaped, x.expand(len(weights), -1, -1))[..., 0] - y).square().mean(dim=1).sum() / 2

    def field(weights: Tensor) -> Tensor:
        """Minus the gradient of L + share η |∇L|², for every row its own η."""
        weights = weights.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(risk(weights), weights, create_graph=True)
        (further,) = torch.autograd.grad((share * rates * gradient.square()).sum(), weights)
        return -(gradient.detach() + further)

    stepped = torch.cat([descend(lambda own, _: risk(own), start[:1], rate=rate, steps=1)[-1] for rate in RATES])
    apart = (stepped - flown(field, start, rates)).norm(dim=1)
    orders = (apart[:-1] / apart[1:]).log2()
    return Certificate(bool(((orders - order).abs() < 0.2).all()), orders=orders, distances=apart)


def flown(field: Callable[[Tensor], Tensor], weights: Tensor, h: Tensor) -> Tensor:
    """Where the flow of the field takes the weights in a short time, to its fifth power: a step of Runge and Kutta."""
    a = field(weights)
    b = field(weights + h / 2 * a)
    c = field(weights + h / 2 * b)
    return weights + h / 6 * (a + 2 * b + 2 * c + field(weights + h * c))


def smooth_nets() -> st.SearchStrategy[Smooth]:
    return st.builds(Smooth, units=st.integers(1, 4), samples=st.integers(1, 5), seed=st.integers(0, 9999))


def test_step_follows_the_modified_loss(judge):
    """One to four tanh units, one to five samples, rates .001, .0005 and .00025: of order 3 for L + η/4 |∇L|²."""
    judge(is_of_order, given=smooth_nets(), order=3, share=0.25).supports()


def test_step_leaves_the_flow_of_the_loss(judge):
    """The same steps: of order 2 for L alone."""
    judge(is_of_order, given=smooth_nets(), order=2, share=0.0).supports()


def test_control_the_loss_alone(judge):
    judge(is_of_order, given=smooth_nets(), example=Smooth(), order=3, share=0.0).refutes()


def test_control_twice_the_penalty(judge):
    judge(is_of_order, given=smooth_nets(), example=Smooth(), order=3, share=0.5).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """All points of the line fit the sample: descent goes straight to the nearest, AdaGrad to another one."""
    draw.reference(ax, (-2, 3), lambda w: (2 - w) / 2, "weights that fit", style="-")
    for test, label in (("every_start_has_its_solution", "gradient descent"), ("control_adagrad", "AdaGrad (control)")):
        path = np.asarray(measured[test]["path"])
        for start in range(path.shape[1]):
            draw.curve(ax, path[:, start, 0], path[:, start, 1], label, marks=False)
            draw.dots(ax, path[-1, start, 0], path[-1:, start, 1], label, width=0)
    starts = np.asarray(measured["every_start_has_its_solution"]["path"])[0]
    draw.dots(ax, starts[:, 0], starts[:, 1], "starts", style="blackx")
    ax.set(xlabel="first weight", ylabel="second weight", xlim=(-2, 3), ylim=(-1.7, 2.7), aspect="equal")
    draw.key(ax)
