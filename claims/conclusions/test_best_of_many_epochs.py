"""The best of many validation scores flatters: two halves, each choosing in turn, show it.

Slide: Practical Takeaways, which advises to anneal the rate by a validation set, and to stop early. That rates which
fall as one over the steps take the floor of noise away is exact (I6); what stopping gains, and where, is another entry
(H3). What those leave out is what becomes of the validation score itself. It is the largest of as many numbers as
there were looks, so it is no estimate of the error on new data (Cawley & Talbot 2010).

Split the validation images into two halves. Let either choose the epoch it likes best, and let the other say what that
epoch is worth. The two choosers' own scores are together never below what the others say, whatever was looked at: each
half's best is at least its score at the epoch that the other half chose. So the score of the chooser is optimistic on
average over any even split. An epoch that neither chose is not flattered.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from claimlab import Certificate, Claim, Property, draw
from claimlab.measure.draws import Draws

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="conclusions/the-best-of-many-epochs-flatters",
    covers=("P5",),
    slide="Practical Takeaways",
    version=1,
    finding="holds",
    says="Lower the learning rate and stop training by what a validation set says.",
    statement="Let each half of a validation set choose the epoch that it likes best, and the other half judge that. "
    "Averaged over the two, the chooser's score is never below the judge's, whatever the scores are. Of an epoch fixed "
    "beforehand the two averages are equal. So the score that chose is not the one to report.",
    reason="A half's best score is at least its score at the epoch that the other half chose. That the rate has to "
    "fall, and takes the floor of the noise away if it falls as one over the steps, is I6; what stopping early gains "
    "is H3.",
    scope="a choice by the score itself, between any number of epochs, by halves of equal size. That the choice is a "
    "good one is not said here, nor by how much its score flatters",
    source="derived here; Cawley & Talbot 2010, On over-fitting in model selection (JMLR 11)",
    evidence=Property(examples=100),
)


@dataclass(frozen=True)
class Scores:
    """How many of a half's images are right after every epoch, in either half."""

    first: tuple[int, ...]
    second: tuple[int, ...]
    images: int


def flatters(scores: Scores, *, fixed: bool = False, strictly: bool = False, reported: str = "chooser") -> Certificate:
    """Whether the mean score of what was `reported` is at least that of the judges, or `strictly` above it.

    Each half chooses its best epoch, the earliest of several; or the last is `fixed` beforehand.
    """
    halves = (scores.first, scores.second)
    chosen = [len(half) - 1 if fixed else half.index(max(half)) for half in halves]
    choosers = sum(half[epoch] for half, epoch in zip(halves, chosen, strict=True))
    judges = sum(half[epoch] for half, epoch in zip(halves, reversed(chosen), strict=True))
    optimism = Fraction(choosers - judges, 2 * scores.images)
    if reported == "judge":
        optimism = -optimism
    return Certificate(optimism > 0 if strictly else optimism >= 0, optimism=optimism)


def equal(scores: Scores, *, fixed: bool = True) -> Certificate:
    """Whether choosers and judges report the same, on average over the two."""
    above = flatters(scores, fixed=fixed)
    return Certificate(above.numbers["optimism"] == 0, **above.numbers)


def tables(images: int = 50) -> st.SearchStrategy[Scores]:
    """One to twenty epochs, and any scores."""
    pairs = st.lists(st.tuples(st.integers(0, images), st.integers(0, images)), min_size=1, max_size=20)
    return pairs.map(lambda rows: Scores(*map(tuple, zip(*rows, strict=True)), images=images))


# Each half likes another epoch, by a tenth of its images.
APART = Scores((30, 25), (25, 30), images=50)


def test_claim(judge):
    """Up to twenty epochs, 50 images in each half, any scores, in rational arithmetic."""
    judge(flatters, given=tables()).supports()


def test_an_epoch_fixed_beforehand(judge):
    """The last epoch, whatever its scores: choosers and judges report the same, so nothing flatters."""
    judge(equal, given=tables()).supports()


def test_control_the_other_half_reports(judge):
    """What the half that did not choose says can be below the chooser's score."""
    judge(flatters, given=tables(), example=APART, reported="judge").refutes()


def test_control_an_epoch_that_was_chosen(judge):
    judge(equal, given=tables(), example=APART, fixed=False).refutes()


def test_control_not_always_strictly(judge):
    """With one epoch there is no choice, and nothing to flatter."""
    judge(flatters, given=tables(), example=Scores((30,), (20,), images=50), strictly=True).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Of epochs that are all equally good, the best by validation looks ever better the more of them there are."""
    epochs, images, tables = (1, 2, 5, 10, 20, 50, 100), 50, 40
    right = Draws(0).uniform("right", tables, 2, epochs[-1], images) < 0.8
    halves = right.sum(dim=3).tolist()
    draw.numbers(ax.xaxis, epochs, log=True)
    for name, fixed in (("the best epoch by this half", False), ("the last epoch", True)):
        above = [
            [flatters(Scores(tuple(a[:n]), tuple(b[:n]), images), fixed=fixed).numbers["optimism"] for n in epochs]
            for a, b in halves
        ]
        draw.runs(ax, epochs, [[100 * float(each) for each in row] for row in above], name)
    ax.set(xlabel="epochs to choose from", ylabel="accuracy above what the\nother half says (points)")
    draw.key(ax)
