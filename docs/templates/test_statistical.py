"""One sentence that says what was found, as a lecturer would say it.

Slide: the deck's title of it. Why it is not obvious, what is done about it, and what a win must show besides. Copy this
file to claims/<section>/test_<claim>.py and change it from top to bottom: everything below is an example.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from claimlab import Claim, Rows, Seeds, Statistical
from claimlab.data.moons import two_moons
from claimlab.measure.fit import accuracy, logistic
from claimlab.nets import MLP
from claimlab.train import SGD, train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="example/small-nets-learn-the-moons",
    covers=("X3",),
    slide="Non-convex Optimization",
    version=1,
    finding="holds",
    says="What the deck claims, in your own words.",
    statement="Gradient descent teaches a net of one hidden layer most of two half moons.",
    reason="Why the finding is what it is, in a sentence or two; every number in it is one that a test records.",
    scope="what the statement is limited to; one data set, float32",
    source="the paper, with its theorem or table",
    evidence=Statistical(),
)


def trial(
    seeds: Seeds, *, width: int = 16, steps: int = 100, points: int = 50, margin: float = 0.8, shuffled: bool = False
) -> Rows:
    """A seed draws its points and its initialisation. Every size is a keyword, so that the world can be varied.

    A win is a margin that can be defended before anybody looks. The premise is what the comparison takes for granted:
    a seed without it speaks for nothing, so that a control is not refuted by a net that never learned.
    """
    world = two_moons(seeds, n=points, n_test=200)
    labels = seeds.integers("labels", points, high=2) if shuffled else world.y
    net = MLP((2, width, 1))
    start = net.init(seeds)
    fit = train(
        seeds, net, start, world.x, labels, loss=logistic, optimizer=partial(SGD, lr=0.5, momentum=0.9), epochs=steps
    )
    learned = logistic(net(fit.parameters, world.x), labels) < logistic(net(start, world.x), labels)
    right = accuracy(net(fit.parameters, world.x_test), world.y_test)
    return Rows(win=right > margin, premise=learned, accuracy=right)


def test_claim(judge):
    """Sixteen ReLU units, 50 points, 100 steps at rate 0.5 and momentum 0.9: above 80 % of 200 new points are right."""
    judge(trial).supports()


def test_control_labels_that_mean_nothing(judge):
    """The same predicate where it is false, for the claim's own reason: the net learns, and there is nothing in it."""
    judge(trial, shuffled=True).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """The caption says the point in a sentence: every net learns the moons, and none learns noise."""
    for place, test in enumerate(("claim", "control_labels_that_mean_nothing")):
        right = 100 * measured[test]["accuracy"]
        ax.plot([place] * len(right), right, "o")
    ax.set_xticks([0, 1], ["true labels", "labels that mean nothing"])
    ax.set(xlim=(-0.5, 1.5), ylabel="new points that are right (%)")
