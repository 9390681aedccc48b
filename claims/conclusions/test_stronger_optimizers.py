"""An optimizer that fits the training samples in fewer steps can be wrong where a slower one is right.

Slide: Conclusions. That one optimizer trains faster and another one's nets generalise better can have many reasons, so
the certificate is a problem made for the purpose, by Wilson et al., of which everything is known. There are more
weights than samples, so many solutions, and the optimizers differ in which they find.

A sample's label y is 1 or -1, and more are 1. Its first feature is y itself, the next two are 1 for all samples, and
the others are its own: no other sample has them. A sample labelled 1 has one of its own, one labelled -1 has five. With
squared errors from y and all weights zero at the start:

- AdaGrad, RMSprop and Adam divide each component of the gradient by its own size, and step by step move all weights
  equally far, with the sign of their first gradient. Weights of one size a, with these signs, answer 4 a y for a sample
  that was trained on, own features included, and so fit all for a = 1/4: at the right rate, after one step. A new
  sample has no feature that was trained but three, and gets (y + 2) a, which is positive whatever y is.
- Gradient descent finds the solution of least norm (I4), in which the samples labelled 1 have one coefficient and the
  others another. Two linear equations give both. It is right about all new samples, in rational arithmetic.

Is it the speed that misleads? Descent with momentum is faster than without, and as right. Is it the method? Without
features of their own, where there is nothing to choose, the adaptive methods are right too. On nets the entry on depth
(H14) shows the other half: training on after the net has learned what there is makes it worse.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from claimlab import Certificate, Claim, Exact, draw
from claimlab.parts import parts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="conclusions/stronger-optimizers-can-learn-less",
    covers=("I2",),
    slide="Conclusions",
    version=1,
    finding="holds",
    says="A stronger optimizer is not necessarily a stronger learner.",
    statement="On a linear problem made for it, AdaGrad, RMSprop and Adam fit all training samples in a single step, "
    "and then give every new sample the label of the majority. Gradient descent takes more steps to fit as well, and "
    "is right about every new sample. Speed is not to blame: with momentum, descent is faster too, and as right.",
    reason="More weights than samples leave a choice, and optimizers differ in what they choose: descent the solution "
    "of least norm, adaptive methods one with weights of equal size, which lets features that occur once outweigh the "
    "one that matters.",
    scope="one constructed problem, all weights zero at the start; it shows that the stronger optimizer can lose, not "
    "that it does on common tasks; float64, the solutions in rational arithmetic",
    source="Wilson, Roelofs, Stern, Srebro & Recht 2017 (arXiv 1705.08292), section 3",
    evidence=Exact(),
)

Counts = tuple[int, int]

WORLDS: tuple[Counts, ...] = tuple((more, fewer) for more in range(2, 8) for fewer in range(1, more))
"""How many samples are labelled 1, and how many -1: all majorities of up to seven."""

APART = tuple((more, fewer) for more, fewer in WORLDS if more - fewer > 1)
"""Where descent without momentum does not happen to arrive in two or three steps."""

# At these rates the first step has length 1/4. RMSprop's is ten times its rate.
FIRST_STEP = {"adagrad": 0.25, "rmsprop": 0.025, "adam": 0.25}
SMALL = {"adagrad": 0.05, "rmsprop": 0.002, "adam": 0.01}


def problems(worlds: tuple[Counts, ...], own: Counts) -> tuple[Tensor, Tensor]:
    """Inputs `[worlds, N, d]` and labels `[worlds, N]`; rows of zeros, whose label is 0, fill up the smaller worlds."""
    most = max(map(sum, worlds))
    x = torch.zeros(len(worlds), most, 3 + most * max(own), dtype=torch.float64)
    y = torch.zeros(len(worlds), most, dtype=torch.float64)
    for world, (more, fewer) in enumerate(worlds):
        for sample in range(more + fewer):
            label, features = (1, own[0]) if sample < more else (-1, own[1])
            first = 3 + sample * max(own)
            x[world, sample, 0], x[world, sample, 1:3], x[world, sample, first : first + features] = label, 1, 1
            y[world, sample] = label
    return x, y


def fitted(x: Tensor, y: Tensor, name: str, options: Mapping[str, Any], *, most: int) -> tuple[Tensor, Tensor]:
    """The weights of each world when its mean squared error first is below 1e-4, and the steps that took.

    Every world's loss is divided such that 1 is the best rate for its gradient descent; to adaptive methods that is
    all the same. What is not there after `most` steps counts as one more, with the weights it has.
    """
    curvatures = torch.linalg.eigvalsh(x @ x.mT)
    middle = (curvatures.amax(dim=1) + curvatures.where(curvatures > 1e-9, torch.inf).amin(dim=1)) / 2
    weights = torch.zeros(x.shape[0], x.shape[2], dtype=x.dtype).requires_grad_()
    optimizer = parts().named(name)([weights], **options)
    found, took = torch.zeros_like(weights), torch.full((len(x),), most + 1)
    for step in range(1, most + 1):
        optimizer.zero_grad()
        (((x @ weights[..., None])[..., 0] - y).square().sum(dim=1) / middle / 2).sum().backward()
        optimizer.step()
        now = weights.detach()
        errors = ((x @ now[..., None])[..., 0] - y).square().sum(dim=1) / y.abs().sum(dim=1)
        first = (errors < 1e-4) & (took > most)
        found, took = torch.where(first[:, None], now, found), took.where(~first, step)
        if (took <= most).all():
            break
    return torch.where((took > most)[:, None], weights.detach(), found), took


def compared(
    *,
    methods: Mapping[str, float],
    new: Literal["right", "wrong"],
    own: Counts = (1, 5),
    worlds: tuple[Counts, ...] = WORLDS,
    faster: bool = True,
    most: int = 300,
    **options: float,
) -> Certificate:
    """Whether descent fits all worlds and is right about all new samples, and each of the methods, which have rates,
    fits them too, in fewer steps if `faster`, and is right about all new samples, or wrong about those labelled -1.

    New samples have no features of their own. An answer beyond .1 counts, a tenth of what the labels are.
    """
    x, y = problems(worlds, own)
    seen = torch.tensor([[1.0, 1.0, 1.0], [-1.0, 1.0, 1.0]], dtype=torch.float64)
    labels = torch.tensor({"right": [1.0, -1.0], "wrong": [1.0, 1.0]}[new], dtype=torch.float64)
    weights, of_descent = fitted(x, y, "sgd", {"lr": 1.0}, most=most)
    answers = weights[:, :3] @ seen.T
    holds = (of_descent <= most).all() & (answers * seen[:, 0] > 0.1).all()
    found = {"descent": answers, "descent_steps": of_descent}
    for name, rate in methods.items():
        weights, steps = fitted(x, y, name, {"lr": rate, **options}, most=most)
        answers = weights[:, :3] @ seen.T
        holds = holds & (steps < of_descent if faster else steps <= most).all() & (answers * labels > 0.1).all()
        found |= {name: answers, f"{name}_steps": steps}
    return Certificate(bool(holds), **found)


def test_claim(judge):
    """One to six samples labelled -1 and more labelled 1, up to seven; the mean squared error falls below 1e-4.

    AdaGrad and Adam at rate .25, RMSprop at .025: after one step, in which descent at its best rate is not there.
    """
    judge(compared, methods=FIRST_STEP, new="wrong").supports()


def test_small_rates(judge):
    """The same methods at rates .05, .01 and .002, a fifth of the first step or less: the same answers."""
    judge(compared, methods=SMALL, new="wrong", faster=False).supports()


def test_momentum_is_faster_and_right(judge):
    """Descent with momentum .3 where the classes differ by two samples or more: fewer steps, and right."""
    judge(compared, methods={"sgd": 1.0}, new="right", momentum=0.3, worlds=APART).supports()


def test_where_there_is_nothing_to_choose(judge):
    """Without features of their own, samples leave the label to learn from: all methods are right."""
    judge(compared, methods=FIRST_STEP, new="right", own=(0, 0), faster=False).supports()


def test_control_momentum_is_not_wrong(judge):
    judge(compared, methods={"sgd": 1.0}, new="wrong", momentum=0.3, worlds=APART).refutes()


def test_control_nothing_to_choose(judge):
    judge(compared, methods=FIRST_STEP, new="wrong", own=(0, 0), faster=False).refutes()


# -- the solutions, in rational arithmetic ----------------------------------------------------------------------------


def two_solutions(*, most: int = 20, own: Counts = (1, 5)) -> Certificate:
    """Whether weights of size 1/4 with the signs of the first gradient fit, but answer new samples alike, and the
    solution of least norm answers them right, for all majorities of up to `most` samples labelled 1.

    The least norm's weights are a sum of the inputs, with one coefficient for those labelled 1 and one for the others.
    """
    fit, least_answers = True, []
    for more in range(2, most + 1):
        for fewer in range(1, more):
            fit &= [Fraction(y + 2 + y * features, 4) for y, features in zip((1, -1), own, strict=True)] == [1, -1]
            # Inner products of inputs are 3 for equal labels and 1 for different ones, besides their own features.
            (a, b), (c, d) = (3 * more + own[0], fewer), (more, 3 * fewer + own[1])
            positive, negative = Fraction(d + b, a * d - b * c), Fraction(-a - c, a * d - b * c)
            fit &= (a * positive + b * negative, c * positive + d * negative) == (1, -1)
            least_answers.append((3 * more * positive + fewer * negative, more * positive + 3 * fewer * negative))
    right = all(positive > 0 > negative for positive, negative in least_answers)
    return Certificate(
        fit and right, worlds=len(least_answers),
        least_positive=min(p for p, _ in least_answers), largest_negative=max(n for _, n in least_answers),
    )  # fmt: skip


def test_solutions(judge):
    """All 190 majorities of up to twenty samples: both solutions fit, and only that of least norm is right."""
    judge(two_solutions).supports()


def test_control_one_feature_for_each(judge):
    """If samples of both labels have one feature of their own, weights of one size do not fit."""
    judge(two_solutions, own=(1, 1)).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Descent tells new samples of the two labels apart; the faster adaptive methods give all the majority's label."""
    claim, momentum = measured["claim"], measured["momentum_is_faster_and_right"]
    answers = {
        "descent": (claim["descent"], claim["descent_steps"]),
        "with momentum": (momentum["sgd"], momentum["sgd_steps"]),
        "AdaGrad": (claim["adagrad"], claim["adagrad_steps"]),
        "RMSprop": (claim["rmsprop"], claim["rmsprop_steps"]),
        "Adam": (claim["adam"], claim["adam_steps"]),
    }
    columns = {}
    for name, (answer, steps) in answers.items():
        least, most = int(np.min(steps)), int(np.max(steps))
        took = f"{least} to {most} steps" if most > least else f"{most} step"
        columns[f"{name}\n{took}"] = {"new samples labelled 1": answer[:, 0], "labelled −1": answer[:, 1]}
    draw.columns(ax, columns)
    draw.level(ax, 0)
    ax.set(ylabel="answer")
    draw.key(ax)
