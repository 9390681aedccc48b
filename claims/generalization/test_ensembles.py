"""The mean of several predictors is never worse than they are on average, and better by what they disagree.

Slide: Overfitting? For the squared error that is an identity (Krogh & Vedelsby): the error of the mean is the mean of
the errors, less the variance of the predictors about their mean. For the log loss it is an inequality: the mean of
probabilities is at least as large as their geometric mean. Both are tested in rational numbers. Neither promises
anything against the best member, nor of a majority vote on classes, which the controls show.

How much nets differ that are trained on the same data is a matter of measurement. Five nets that start from other
weights gain several points of test error over their average on noisy labels. Five snapshots of one run, each after the
learning rate has been raised and lowered again (Huang et al. 2017), take as many steps. But they come from one another,
and agree more.
"""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from itertools import combinations
from math import prod
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from claimlab import Certificate, Claim, Property, Rows, Seeds, draw
from claimlab.data.digits import CLASSES, digits
from claimlab.measure.fit import cross_entropy
from claimlab.nets import MLP
from claimlab.parts import parts
from claimlab.train import train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="generalization/ensembles-help",
    covers=("H6",),
    slide="Overfitting?",
    version=1,
    finding="holds",
    says="Ensembles of nets improve generalisation, and snapshots of one run are a cheap ensemble.",
    statement="The mean of several predictors is never worse than they are on average, in squared error and in log "
    "loss, but can be worse than the best. Five nets from other starts gain two points of test error or more, and two "
    "more than five snapshots of one run of the same cost.",
    reason="The squared error of the mean is the mean error less the members' variance, so that a gain is a matter of "
    "disagreement. Other starts bring it. Snapshots come from one another, and bring less of it.",
    scope="the gain is over the average member, on digits with a fifth of the labels drawn anew, small nets, five "
    "members and 75 steps in all, float32. A majority vote has no such guarantee.",
    source="Krogh & Vedelsby 1995, Neural network ensembles, cross validation, and active learning; Huang et al. 2017 "
    "(arXiv 1704.00109), Snapshot ensembles",
    evidence=Property(examples=60),
)


# -- exactly ---------------------------------------------------------------------------------------------------------

Outputs = tuple[tuple[Fraction, ...], ...]
"""What each member predicts for each example."""


def error_of_the_mean(world: tuple[Outputs, tuple[Fraction, ...]], *, against: str = "average") -> Certificate:
    """Whether the squared error of the mean is the members' on average less their variance, and so never larger.

    Against the "best" member it is asked whether the mean is never worse than that.
    """
    outputs, targets = world
    means = [sum(of_one) / len(outputs) for of_one in zip(*outputs, strict=True)]
    of_mean = sum((mean - target) ** 2 for mean, target in zip(means, targets, strict=True))
    errors = [sum((f - y) ** 2 for f, y in zip(member, targets, strict=True)) for member in outputs]
    variance = sum((f - mean) ** 2 for member in outputs for f, mean in zip(member, means, strict=True)) / len(outputs)
    if against == "best":
        return Certificate(of_mean <= min(errors), of_mean=of_mean, best=min(errors))
    average = sum(errors) / len(errors)
    holds = of_mean == average - variance and of_mean <= average
    return Certificate(holds, of_mean=of_mean, average=average, variance=variance)


def log_loss_of_the_mean(probabilities: tuple[Fraction, ...], *, against: str = "average") -> Certificate:
    """Whether the log loss of the mean probability of the right class is no larger than the members' on average.

    -log of the mean is at most the mean of -log exactly if the product is at most the mean to the number of members.
    """
    count = len(probabilities)
    mean = sum(probabilities) / count
    if against == "best":
        return Certificate(mean >= max(probabilities), mean=mean, best=max(probabilities))
    return Certificate(prod(probabilities) <= mean**count, mean=mean, product=prod(probabilities))


def majority_is_right_as_often(right: tuple[tuple[bool, ...], ...]) -> Certificate:
    """Whether the majority of three members is right on as many of the examples as they are on average."""
    votes = [sum(of_one) > len(right) / 2 for of_one in zip(*right, strict=True)]
    average = Fraction(sum(map(sum, right)), len(right))
    return Certificate(sum(votes) >= average, majority=sum(votes), average=average)


def fractions() -> st.SearchStrategy[Fraction]:
    return st.integers(-12, 12).map(lambda count: Fraction(count, 4))


def regressions() -> st.SearchStrategy[tuple[Outputs, tuple[Fraction, ...]]]:
    """One to five members and one to four examples."""

    def of_size(examples: int) -> st.SearchStrategy[tuple[Outputs, tuple[Fraction, ...]]]:
        row = st.tuples(*[fractions()] * examples)
        return st.tuples(st.lists(row, min_size=1, max_size=5).map(tuple), row)

    return st.integers(1, 4).flatmap(of_size)


def probabilities() -> st.SearchStrategy[tuple[Fraction, ...]]:
    """Of the right class, by one to six members."""
    return st.lists(st.integers(1, 20).map(lambda count: Fraction(count, 20)), min_size=1, max_size=6).map(tuple)


def votes() -> st.SearchStrategy[tuple[tuple[bool, ...], ...]]:
    return st.tuples(*[st.tuples(*[st.booleans()] * 3)] * 3)


# -- nets ------------------------------------------------------------------------------------------------------------

MEMBERS = 5
MARGIN = 0.02
"""The smallest gain that is worth five nets: two points of test error."""

RATES = (0.3, 0.075, 0.02)
"""A cycle: so many steps at each rate."""


class World:
    """The images of every seed, and what is done with a net on them."""

    def __init__(self, seeds: Seeds, *, images: int = 200, redrawn: float = 0.2, steps: int = 5) -> None:
        data = digits(seeds, n=images, n_test=1000)
        anew = seeds.uniform("redrawn", images) < redrawn
        self.seeds, self.x, self.x_test, self.y_test = seeds, data.x, data.x_test, data.y_test
        self.y = torch.where(anew, seeds.integers("labels", images, high=CLASSES), data.y)
        self.net, self.steps = MLP((64, 64, 64, CLASSES)), steps

    def start(self, name: str) -> list[Tensor]:
        """He's initial weights of that name."""
        return self.net.init(self.seeds, name=name)

    def cycle(self, parameters: list[Tensor]) -> list[Tensor]:
        """What they become in a cycle of full-batch steps, the rate raised and lowered."""
        for rate in RATES:
            sgd = partial(parts().sgd, lr=rate, momentum=0.9)
            parameters = train(
                self.seeds, self.net, parameters, self.x, self.y, loss=cross_entropy, optimizer=sgd, epochs=self.steps
            ).parameters
        return parameters

    def errors(self, members: list[list[Tensor]]) -> tuple[Tensor, Tensor]:
        """The test error of the members on average, and of the mean of their probabilities, `[S]` each."""
        beliefs = torch.stack([self.net(parameters, self.x_test).softmax(dim=-1) for parameters in members])
        wrong = beliefs.argmax(dim=-1) != self.y_test
        of_mean = beliefs.mean(dim=0).argmax(dim=-1) != self.y_test
        return wrong.to(self.seeds.dtype).mean(dim=(0, 2)), of_mean.to(self.seeds.dtype).mean(dim=1)

    def disagreement(self, members: list[list[Tensor]]) -> Tensor:
        """The share of test images on which two members differ, on average over pairs, `[S]`."""
        classes = [self.net(parameters, self.x_test).argmax(dim=-1) for parameters in members]
        shares = [(one != other).to(self.seeds.dtype).mean(dim=1) for one, other in combinations(classes, 2)]
        return torch.stack(shares).mean(dim=0)


def gains(seeds: Seeds, *, alike: bool = False, margin: float = MARGIN) -> Rows:
    """A seed draws images and labels, a fifth of them anew, and five starts, or the same one five times (`alike`).

    A win: the ensemble's test error is below its members' on average by two points. Premise: they have learned, half
    of the test images.
    """
    world = World(seeds)
    members = [world.cycle(world.start("start.0" if alike else f"start.{place}")) for place in range(MEMBERS)]
    average, of_ensemble = world.errors(members)
    return Rows(
        win=average - of_ensemble >= margin, premise=average < 0.5, errors=torch.stack([average, of_ensemble], 1)
    )


def gains_more_than_snapshots(seeds: Seeds, *, starts: bool = True) -> Rows:
    """A win: five runs from other starts gain two points more over their average than five snapshots of one run.

    All have the same cycle of rates, and the one run as many steps as the five. The control is another run's snapshots.
    Premise: all have learned half of the test images. `errors` are of average and ensemble, first of the snapshots.
    """
    world = World(seeds)
    ours = [world.cycle(world.start(f"start.{place}")) for place in range(MEMBERS if starts else 1)]
    snapshots = [world.cycle(world.start("snapshots"))]
    for members in (ours, snapshots):
        while len(members) < MEMBERS:
            members.append(world.cycle(members[-1]))
    errors = torch.stack([*world.errors(snapshots), *world.errors(ours)], dim=1)
    gain_of_snapshots, gain = errors[:, 0] - errors[:, 1], errors[:, 2] - errors[:, 3]
    return Rows(
        win=gain - gain_of_snapshots >= MARGIN, premise=(errors[:, 0] < 0.5) & (errors[:, 2] < 0.5),
        errors=errors, disagreement=torch.stack([world.disagreement(snapshots), world.disagreement(ours)], dim=1),
    )  # fmt: skip


def test_claim(judge):
    """The squared error of the mean, in rational numbers: one to five members, one to four examples."""
    judge(error_of_the_mean, given=regressions()).supports()


def test_log_loss(judge):
    """The log loss of the mean probability, in rational numbers: one to six members."""
    judge(log_loss_of_the_mean, given=probabilities()).supports()


@pytest.mark.statistical(block=11)
def test_other_starts(judge):
    """Five 64-64-64-10 nets on 200 digits, 15 steps each: their mean gains two points of test error or more."""
    judge(gains).supports()


@pytest.mark.statistical(block=11)
def test_snapshots_gain_less(judge):
    """Five snapshots of one run of 75 steps gain two points less over their average than five runs of 15 steps."""
    judge(gains_more_than_snapshots).supports()


def test_control_better_than_the_best(judge):
    """The mean of a member that is right and one that is not is worse than the first."""
    one, other = (Fraction(1),), (Fraction(0),)
    judge(error_of_the_mean, given=regressions(), example=((one, other), one), against="best").refutes()


def test_control_log_loss_of_the_best(judge):
    judge(
        log_loss_of_the_mean, given=probabilities(), example=(Fraction(1, 2), Fraction(1, 4)), against="best"
    ).refutes()


@pytest.mark.property(examples=60)
def test_control_majority_vote(judge):
    """Three members, each right on an example of its own: the majority is wrong on all three."""
    example = ((True, False, False), (False, True, False), (False, False, True))
    judge(majority_is_right_as_often, given=votes(), example=example).refutes()


@pytest.mark.statistical(block=11)
def test_control_five_times_the_same(judge):
    """Five nets from the same start are one net."""
    judge(gains, alike=True).refutes()


@pytest.mark.statistical(block=11)
def test_control_other_snapshots(judge):
    """Five snapshots of another run, instead of five runs."""
    judge(gains_more_than_snapshots, starts=False).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """The mean of five nets is better than they are on average; snapshots of one run agree more, and gain less."""
    ensembles = {
        "five starts": 100 * measured["snapshots_gain_less"]["errors"][:, 2:],
        "five snapshots\nof one run": 100 * measured["snapshots_gain_less"]["errors"][:, :2],
        "five times the\nsame (control)": 100 * measured["control_five_times_the_same"]["errors"],
    }
    for place, errors in enumerate(ensembles.values()):
        pair = (place - 0.2, place + 0.2)
        draw.runs(ax, pair, errors, style="0.6-")
        draw.dots(ax, pair[0], errors[:, 0], "member on average", style="C1s", width=0)
        draw.dots(ax, pair[1], errors[:, 1], "mean of five", width=0)
    draw.names(ax.xaxis, ensembles)
    ax.set(ylabel="test error (%)", ylim=(0, None))
    draw.key(ax)
