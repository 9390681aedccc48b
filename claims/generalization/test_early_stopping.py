"""Early stopping saves steps on true labels and nothing else; where many labels are wrong, it is worth a lot.

Slide: Overfitting?. The deck says that it can help a bit, and is mostly useful to save compute. A net learns digits
here until it fits all its labels. Every five steps it is looked at on images held out for that, whose labels are as
wrong as its own. Stopping is the usual rule: once accuracy there has not risen for so many looks, training ends, and
the weights of the best look are kept. What that gains is counted on other images, whose labels are true, against the
net that went on.

On true labels that is less than three points either way. Where 40 % of the labels are wrong, the net is at its best
long before it fits them (Li, Soltanolkotabi & Oymak prove that descent takes the true ones first), and to stop there is
worth ten points and more. Nets that train on for long may recover, which Nakkiran et al. call epoch-wise double
descent; this one does not within its steps.

In a linear model it can be seen what stopping does. Descent from zero on least squares has after t steps, in each
direction of curvature l, the share 1 − (1 − ηl)ᵗ of the solution. Ridge regression with penalty λ has l / (l + λ). At
λ = 1/(ηt) descent keeps as much as ridge or more, and at most twice as much. For with x = ηl in (0, 1] the product
(1 − x)ᵗ (1 + tx) is at most (1 − x²)ᵗ, so at most one; and 1 − (1 − x)ᵗ is at most the smaller of 1 and tx, which is
at most 2tx / (1 + tx).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from claimlab import Certificate, Claim, Rows, Seeds, Statistical, draw
from claimlab.data.digits import CLASSES, digits
from claimlab.measure.draws import Draws
from claimlab.measure.fit import accuracy, cross_entropy
from claimlab.nets import MLP
from claimlab.parts import lift_optimizer, parts, remembered

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="generalization/early-stopping-helps-a-bit",
    covers=("H3",),
    slide="Overfitting?",
    version=2,
    finding="scoped",
    says="Early stopping can help a bit, but is mostly useful not to waste compute.",
    statement=(
        "On true labels early stopping changes the test accuracy of a small net on digits by less than three points, "
        "and saves at least a quarter of the steps. With 40 % of the labels wrong it raises accuracy by ten points or "
        "more. In linear models stopping is much like ridge regression."
    ),
    reason=(
        "A net that fits true labels is hardly worse for having gone on, so compute is all that stopping saves. Where "
        "labels are wrong the net is at its best early, before it has learned the wrong ones by heart."
    ),
    scope="one small net on 400 digits, and 400 to decide when to stop, which the net that goes on does not get; Adam, "
    "full batch, 250 steps; float32",
    source="Li, Soltanolkotabi & Oymak 2019 (arXiv 1903.11680); Nakkiran et al. 2019 (arXiv 1912.02292); Ali, Kolter & "
    "Tibshirani 2019 (arXiv 1810.10082), who compare the risk of gradient flow with that of ridge at λ = 1/t",
    evidence=Statistical(block=11),
)

# -- a net on digits ---------------------------------------------------------------------------------------------------

# Of a thousand test images a few dozen change sides for less, such as another seed.
A_BIT = 0.03
A_LOT = 0.10

# A rule that saves less is not worth the images that are held out for it.
SAVED = 1 / 4


@dataclass(frozen=True)
class Course:
    """Accuracy at every look, `[S, looks]`: on its own labels, on those held out, on true ones of the test images."""

    train: Tensor
    held_out: Tensor
    test: Tensor


@remembered
def course(
    seeds: Seeds, *, wrong: float, images: int, held_out: int, new: int, width: int, rate: float, steps: int, every: int
) -> Course:
    """How a net learns images with labels a share of which is `wrong`: other classes, drawn evenly."""
    world = digits(seeds, n=images + held_out, n_test=new)
    others = (world.y + 1 + seeds.integers("labels.other", images + held_out, high=CLASSES - 1)) % CLASSES
    y = torch.where(seeds.uniform("labels.wrong", images + held_out) < wrong, others, world.y)
    (x, x_held), (y, y_held) = world.x.split((images, held_out), dim=1), y.split((images, held_out), dim=1)
    net = MLP((64, width, CLASSES))
    parameters = [parameter.requires_grad_() for parameter in net.init(seeds)]
    optimizer = lift_optimizer(partial(parts().adam, lr=rate), parameters)
    looks = []
    for step in range(1, steps + 1):
        optimizer.zero_grad()
        cross_entropy(net(parameters, x), y).sum().backward()
        optimizer.step()
        if step % every == 0:
            with torch.no_grad():
                pairs = ((x, y), (x_held, y_held), (world.x_test, world.y_test))
                looks.append([accuracy(net(parameters, seen), labels) for seen, labels in pairs])
    return Course(*(torch.stack(column, dim=1) for column in zip(*looks, strict=True)))


def stopped(judged: Tensor, *, patience: int) -> tuple[Tensor, Tensor]:
    """The look that is kept and the last one taken, int64 `[S]` each, for accuracies `[S, looks]` to judge by.

    Training ends when the best is so many looks ago, or with the looks.
    """
    best, last = torch.zeros(2, len(judged), dtype=torch.long, device=judged.device)
    for look in range(judged.shape[1]):
        going = last - best < patience
        better = going & (judged[:, look] > judged.gather(1, best[:, None])[:, 0])
        best, last = torch.where(better, look, best), torch.where(going, look, last)
    return best, last


def trial(
    seeds: Seeds,
    *,
    effect: Literal["a bit", "a lot"],
    wrong: float = 0.0,
    by: Literal["held_out", "train"] = "held_out",
    patience: int = 6,
    every: int = 5,
    images: int = 400,
    held_out: int = 400,
    new: int = 997,
    width: int = 64,
    rate: float = 0.01,
    steps: int = 250,
) -> Rows:
    """A seed draws images, wrong labels and the initialisation of a net; it is stopped `by` some labels, or goes on.

    A bit: the gain is less than that either way, and steps are saved. A lot: the gain is. Premise: at the end the
    net fits all its labels, and is right on more test images than a guess would be by far.
    """
    found = course(
        seeds, wrong=wrong, images=images, held_out=held_out, new=new, width=width, rate=rate, steps=steps, every=every
    )
    best, last = stopped(getattr(found, by), patience=patience)
    end = found.test[:, -1]
    gain = found.test.gather(1, best[:, None])[:, 0] - end
    saved = 1 - (last + 1) * every / steps
    win = (gain.abs() < A_BIT) & (saved >= SAVED) if effect == "a bit" else gain >= A_LOT
    return Rows(
        win=win,
        premise=(found.train[:, -1] == 1) & (end > 3 / CLASSES),
        gain=gain, saved=saved, kept=(best + 1) * every, end=end, test=found.test,
    )  # fmt: skip


def test_claim(judge):
    """64-64-10 units, He's initialisation, 400 images with true labels, 250 full-batch steps of Adam, rate 0.01.

    Looked at every five steps, the net is stopped when accuracy on 400 held-out images has not risen for six looks.
    The weights of the best look are within three points of those after all steps on the 997 other images, and at
    least a quarter of the steps is saved.
    """
    judge(trial, effect="a bit").supports()


def test_wrong_labels(judge):
    """With 40 % of the labels wrong, of the held-out ones as well: on true labels at least ten points are gained."""
    judge(trial, effect="a lot", wrong=0.4).supports()


OTHERWISE: Mapping[str, dict[str, Any]] = {
    "wrong-labels-are-more-than-a-bit": {"effect": "a bit", "wrong": 0.4},
    "stopped-at-the-first-look": {"effect": "a bit", "patience": 0},
    "never-stopped": {"effect": "a bit", "patience": 50},
    "true-labels": {"effect": "a lot"},
    "stopped-by-the-labels-it-learns": {"effect": "a lot", "wrong": 0.4, "by": "train"},
}


@pytest.mark.parametrize("world", OTHERWISE.values(), ids=list(OTHERWISE))
def test_control_of(judge, world):
    judge(trial, **world).refutes()


# -- a linear model ----------------------------------------------------------------------------------------------------

ROUNDING = 1e-9


@dataclass(frozen=True)
class Descent:
    """Least squares on drawn numbers, descended at a rate that is a share of one over the largest curvature."""

    weights: int = 3
    samples: int = 5
    steps: int = 4
    share: float = 0.5
    seed: int = 0


def shrinks(world: Descent, *, momentum: float = 0.0, start: float = 0.0) -> Certificate:
    """Whether the weights after all steps are, in each direction of curvature l, 1 − (1 − ηl)ᵗ of the solution.

    Directions without curvature stay at zero. Rounding: no step enlarges an error where ηl is at most one, so a few
    steps are off by some units in the last place of the weights; the formula is a smooth function of the matrix.
    """
    x = Draws(world.seed).normal("x", world.samples, world.weights) / world.samples**0.5
    y = Draws(world.seed).normal("y", world.samples)
    curvature, directions = torch.linalg.eigh(x.T @ x)
    rate = world.share / float(curvature[-1])
    w = torch.full((world.weights,), start, dtype=torch.float64, requires_grad=True)
    optimizer = parts().sgd([w], lr=rate, momentum=momentum)
    for _ in range(world.steps):
        optimizer.zero_grad()
        ((x @ w - y).square().sum() / 2).backward()
        optimizer.step()
    # (1 − (1 − ηl)ᵗ) / l without a division: the sum of η (1 − ηl)ᵏ for k below t.
    kept = sum(rate * (1 - rate * curvature) ** step for step in range(world.steps))
    derived = directions @ (kept * (directions.T @ (x.T @ y)))
    off = (w.detach() - derived).abs().max() / derived.abs().max()
    return Certificate(bool(off <= ROUNDING), off=off)


def is_like_ridge(world: tuple[Fraction, int], *, most: Fraction = Fraction(2), times: int = 1) -> Certificate:
    """Whether stopped descent keeps at least what ridge keeps at λ = 1 / (ηt), and at most so many times as much.

    The world is ηl and t; λ may be so many `times` smaller. All is rational.
    """
    x, steps = world
    descent, ridge = 1 - (1 - x) ** steps, x / (x + Fraction(1, times * steps))
    return Certificate(ridge <= descent <= most * ridge, descent=descent, ridge=ridge)


def descents() -> st.SearchStrategy[Descent]:
    """More weights than samples, too."""
    return st.builds(
        Descent, weights=st.integers(1, 6), samples=st.integers(1, 8), steps=st.integers(1, 10),
        share=st.sampled_from([0.1, 0.5, 1.0]), seed=st.integers(0, 999),
    )  # fmt: skip


def shares_and_steps() -> st.SearchStrategy[tuple[Fraction, int]]:
    return st.tuples(st.fractions(Fraction(1, 1000), 1, max_denominator=1000), st.integers(1, 60))


@pytest.mark.property(examples=20)
def test_stopping_shrinks(judge):
    """Up to ten steps of SGD from zero on up to six weights and eight samples, to 1e-9."""
    judge(shrinks, given=descents()).supports()


@pytest.mark.property(examples=20)
@pytest.mark.parametrize("world", [{"momentum": 0.9}, {"start": 1.0}], ids=["with-momentum", "from-elsewhere"])
def test_control_shrinks(judge, world):
    judge(shrinks, given=descents(), example=Descent(), **world).refutes()


@pytest.mark.property(examples=50)
def test_stopping_is_like_ridge(judge):
    """ηl from 0.001 to 1 and up to 60 steps, in rational arithmetic: between once and twice what ridge keeps."""
    judge(is_like_ridge, given=shares_and_steps()).supports()


ALIKE: Mapping[str, dict[str, Any]] = {
    "at-most-half-as-much-again": {"example": (Fraction(1), 1), "most": Fraction(3, 2)},
    "a-penalty-ten-times-smaller": {"example": (Fraction(1, 2), 1), "times": 10},
}


@pytest.mark.property(examples=50)
@pytest.mark.parametrize("world", ALIKE.values(), ids=list(ALIKE))
def test_control_like_ridge(judge, world):
    judge(is_like_ridge, given=shares_and_steps(), **world).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Where 40 % of the labels are wrong a net is best early, and dots mark where it would be stopped; on true labels
    it is as well to go on.
    """
    for test, name in (("claim", "true labels"), ("wrong_labels", "40 % of the labels wrong")):
        rows = measured[test]
        course = 100 * rows["test"]
        steps = 5 * np.arange(1, course.shape[1] + 1)
        draw.runs(ax, steps, course, name, marks=False)
        at = rows["kept"] // 5 - 1
        draw.dots(ax, rows["kept"], course[np.arange(len(at)), at], name)
    ax.set(xlabel="steps", ylabel="accuracy on true labels (%)", ylim=(30, 100))
    draw.key(ax)
