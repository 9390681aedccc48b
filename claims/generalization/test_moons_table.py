"""Wide nets with hundreds of parameters a point classify thirty points without error, and new points well.

Slide: Good and bad global minima. The deck's figure trains nets with two hidden layers of 4 to 512 units by L-BFGS on
thirty points of two interleaved half moons. From 8 units on the thirty are all right, and from 16 on so are 98 % of a
thousand fresh points. That is one data set and one initialisation for each width, so it is evidence that such minima
exist and are found there, not of how often, nor of any difference between the wide nets, whose accuracies lie within
two standard errors of each other. The table is reproduced below; the trial draws data and initialisation anew.

Fresh draws correct the picture: the deck's data set is a lucky one. The claim is not that narrow nets do worse. It is
that training, with so many parameters to choose from, nearly always misses the minima that fit the points and no
others; so the plan is strict. From He's larger initial weights it misses them less often, which is shown, and judged
for interpolation alone. A seed counts if its net has learned: no control is refuted by a net that never trained. Where
every point has a label of its own, the nets know the thirty by heart and no other: were the fresh points among the
thirty, they would be right on them.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
from torch import Tensor

from claimlab import Certificate, Claim, Rows, Seeds, Statistical, draw
from claimlab.data.moons import deck_moons, two_moons
from claimlab.measure.fit import accuracy, interpolates, logistic
from claimlab.nets import MLP
from claimlab.parts import parts
from claimlab.train import train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="generalization/wide-nets-interpolate-moons-and-generalise",
    covers=("H22",),
    slide="Good and bad global minima",
    version=3,
    finding="scoped",
    says="Full-batch training takes wide nets to global minima that generalise, however many parameters they have.",
    statement=(
        "A net with two hidden layers of 128 ReLU units, 567 parameters a point, trained by full-batch Adam, is right "
        "on all of 30 points of two moons, and on at least 90 % of 1000 fresh points, where no straight line reaches "
        "88 %."
    ),
    reason=(
        "Nearly every seed does. But the deck's own slide has an exception: its net of width 8 is right on all 30 "
        "points and on 88 % of the fresh ones. And its wide nets reach 98 % on a lucky data set; not all others do."
    ),
    scope=(
        "Thirty points in the plane, noise 0.15, consistent labels, float32. Small initial weights, Glorot's: from "
        "He's larger ones the same nets interpolate as well, but they are right on fewer of the fresh points."
    ),
    source="the deck's notebook generalization.ipynb (figure moons_lbfgs.svg)",
    evidence=Statistical(broken=0.8, max_seeds=512),
)

# No straight line is right on more than 88 % of the two moons (87.7 %, searched over angles and offsets on 400 000
# points), so a net that is right on nine in ten has found the bend.
FOUND = 0.90

# A net that has learned anything has at most half the loss of a guesser, log 2.
LEARNED = math.log(2) / 2

# Accuracy in percent on the 30 and on the 1000 points of the deck's slide, by units a layer.
DECK = {
    4: (76.7, 87.7),
    8: (100, 88.2),
    16: (100, 98.6),
    32: (100, 98.4),
    64: (100, 97.7),
    128: (100, 98.4),
    256: (100, 98.7),
}


def trial(
    seeds: Seeds,
    *,
    width: int = 128,
    points: int = 30,
    fresh: int = 1000,
    rate: float = 0.01,
    steps: int = 300,
    large: bool = False,
    found: float = FOUND,
    scrambled: bool = False,
    contradictory: bool = False,
) -> Rows:
    """A seed draws both sets of points and the initialisation, He's if it is `large`, else Glorot's.

    `scrambled` labels, of all points, tell nothing of each other; `contradictory` puts a point of each class in the
    same place.
    """
    world = two_moons(seeds, n=points, n_test=fresh)
    if contradictory:
        world.x[:, -1] = world.x[:, 0]
    labels, fresh_labels = (scramble(world.x), scramble(world.x_test)) if scrambled else (world.y, world.y_test)
    net = MLP((2, width, width, 1))
    fit = train(
        seeds, net, net.init(seeds, parts().he_init if large else parts().glorot_init), world.x, labels,
        loss=logistic, optimizer=partial(parts().adam, lr=rate), epochs=steps, goal=interpolates, check_every=5,
    )  # fmt: skip
    outputs = net(fit.parameters, world.x)
    train_accuracy = accuracy(outputs, labels)
    test_accuracy = accuracy(net(fit.parameters, world.x_test), fresh_labels)
    return Rows(
        win=(train_accuracy == 1) & (test_accuracy >= found),
        premise=logistic(outputs, labels) <= LEARNED,
        train_accuracy=train_accuracy,
        test_accuracy=test_accuracy,
        steps=fit.epochs,
    )


def scramble(x: Tensor) -> Tensor:
    """A label for each point `[S, N, 2]`, the same for the same point, and without a pattern: black or white of a
    chessboard whose squares are a thousandth wide.
    """
    return (1000 * x.float()).floor().long().sum(dim=2) % 2


def deck_table() -> Certificate:
    """The deck's accuracies within 1.5 points, with the deck's nets, solver and points.

    Seven of the eight widths; 512 takes longer than all others together. Six agree to the digit. At width 8 the deck
    has 88.2 % and scikit-learn 1.9 gives 87.7 %: its L-BFGS is another version. One standard error of an accuracy on
    1000 points is between 0.4 and 1 point, and 1.5 is that and a half; noise of 1e-13 on the inputs changes nothing.
    """
    from sklearn.neural_network import MLPClassifier

    x, y, x_test, y_test = deck_moons()
    found = {}
    for width in DECK:
        net = MLPClassifier([width, width], solver="lbfgs", alpha=0.0, random_state=0).fit(x, y)
        found[width] = (100 * net.score(x, y), 100 * net.score(x_test, y_test))
    gap = np.abs(np.array(list(found.values())) - np.array(list(DECK.values())))
    train_accuracy, test_accuracy = zip(*found.values(), strict=True)
    return Certificate(
        gap.max() <= 1.5,
        widths=tuple(DECK),
        train_accuracy=train_accuracy,
        test_accuracy=test_accuracy,
        largest_gap=gap.max(),
    )


def test_claim(judge):
    """17025 parameters with biases, Glorot's uniform initialisation, logistic loss, at most 300 steps at rate 0.01.

    Nearly every seed: were it four in five, the test would be red.
    """
    judge(trial).supports()


@pytest.mark.statistical(broken=0.5, max_seeds=128)
def test_large_initial_weights_interpolate(judge):
    """From He's initialisation the nets fit all points as well; how many new ones are right is shown, not judged."""
    judge(trial, large=True, found=0.0).supports()


def test_control_a_point_with_two_labels(judge):
    """New points are right all the same, but nothing is right on both labels."""
    judge(trial, contradictory=True).refutes()


def test_control_scrambled_labels(judge):
    """To fit the thirty points is not yet to be right on new ones: the same nets fit labels without a pattern, too."""
    judge(trial, scrambled=True).refutes()


@pytest.mark.exact
def test_deck_table(judge):
    """The deck's table of training and test accuracies, for seven of its eight widths, to within 1.5 points."""
    judge(deck_table).supports()


def figure(measured: Measured, ax: Axes) -> None:
    """Accuracy on fresh points: the deck's one data set by width, and one dot a seed for the claim and the controls."""
    deck = measured["deck_table"]
    draw.numbers(ax.xaxis, DECK, log=True)
    draw.reference(ax, deck["widths"], deck["test_accuracy"], "the deck's data set", style="o-")
    for test, label in (
        ("claim", "fresh data sets"),
        ("large_initial_weights_interpolate", "fresh, He's initial weights"),
        ("control_scrambled_labels", "scrambled labels (control)"),
    ):
        draw.dots(ax, 128, 100 * measured[test]["test_accuracy"], label)
    draw.level(ax, 100 * FOUND, f"{FOUND:.0%}")
    ax.set(xlabel="units in each of the two hidden layers", ylabel="accuracy on 1000 fresh points (%)")
    draw.key(ax)
