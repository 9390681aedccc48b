"""The deck's estimation error is a training error, and goes the other way.

Slide: Decomposition of the Error. The estimation error is to fall when n grows, and may rise when the class F grows.
The deck writes it Eₙ(fₙ) − E(f_F*), with the empirical risk of the trained model. Averaged over the samples of n
examples, that is never positive; it rises with n, towards zero; and it falls when F grows and f_F* stays as good:

- Eₙ(fₙ) ≤ Eₙ(f_F*), because fₙ is the minimiser, and Eₙ(f_F*) is E(f_F*) on average;
- n + 1 examples hold n + 1 samples of n, and the mean of their risks is Eₙ₊₁. The least of means is no less than the
  mean of the least, so the mean of Eₙ(fₙ) never falls with n;
- the minimum over a larger class is no larger.

The paper that the deck cites, Bottou & Bousquet 2008, has the expected risk E(fₙ) instead, and then it is as the deck
says. Both are known in closed form for least squares (see `claimlab.measure.least_squares`): −p / n and p / (n − p − 1)
times the variance of the noise, for p features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise, product
from typing import TYPE_CHECKING

import pytest
from hypothesis import strategies as st

from claimlab import Certificate, Claim, Exact, draw
from claimlab.measure.least_squares import estimation_error, training_error
from claimlab.measure.risks import (
    Distribution,
    Loss,
    Predictor,
    Sample,
    best,
    distribution,
    empirical_risk,
    erm,
    expected,
    risk,
    squared,
    zero_one,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="decomposition/estimation-term-sign",
    covers=("A2",),
    slide="Decomposition of the Error",
    version=1,
    finding="false",
    says="The estimation error Eₙ(fₙ) − E(f_F*) falls when n grows and can rise when the class grows.",
    statement="With the expected risk, E(fₙ) − E(f_F*), the sentence is right: for least squares the term is positive "
    "on average, falls with every example and rises with every feature. With the empirical risk, as on the slide, it "
    "is never positive on average, never lower for one more example, and never higher for a larger class whose best "
    "member is no better.",
    reason="The slide puts the training error of fₙ where the paper it cites has the expected risk. On its own "
    "training set a model looks better than the best of its class is, the more so the fewer examples there are and the "
    "more predictors it was chosen from.",
    scope="averages over the samples; least squares with independent Gaussian features, and finite worlds; the falling "
    "of the corrected term with n is a claim of its own, with a scope",
    source="Bottou & Bousquet 2008 (The Tradeoffs of Large Scale Learning, NIPS 2007); Breiman & Freedman 1983",
    evidence=Exact(),
)

# -- least squares, in closed form --------------------------------------------------------------------------------

Term = Callable[[int, int, Fraction], Fraction | float]
"""The estimation error, in one reading or the other, of n examples and p features at a variance of the noise."""

SAMPLES, FEATURES = range(12, 201), range(1, 99)


def by_expected_risk(n: int, p: int, noise: Fraction) -> Fraction | float:
    return estimation_error(n, p, noise=noise)


def by_training_error(n: int, p: int, noise: Fraction) -> Fraction:
    """The best of the class has the risk var(e)."""
    return training_error(n, p, noise=noise) - noise


def goes_as_the_deck_says(
    *,
    term: Term,
    noise: Fraction = Fraction(1),
    samples: range = SAMPLES,
    p: int = 10,
    features: range = FEATURES,
    n: int = 100,
) -> Certificate:
    """Whether the term is nowhere negative, falls with every further example and rises with every further feature."""
    with_samples = [term(each, p, noise) for each in samples]
    with_features = [term(n, each, noise) for each in features]
    falls = sum(after < before for before, after in pairwise(with_samples))
    rises = sum(after > before for before, after in pairwise(with_features))
    return Certificate(
        min(with_samples + with_features) >= 0 and falls == len(samples) - 1 and rises == len(features) - 1,
        steps_down_with_samples=falls, steps_up_with_features=rises,
        with_samples=[float(value) for value in with_samples],
        with_features=[float(value) for value in with_features],
    )  # fmt: skip


def test_deck_wording(judge):
    """With the training error of the trained model, in the same worlds as the claim."""
    judge(goes_as_the_deck_says, term=by_training_error).refutes()


def test_claim(judge):
    """With expected risks: n = 12 to 200 at p = 10, p = 1 to 98 at n = 100, independent Gaussian features, noise 1."""
    judge(goes_as_the_deck_says, term=by_expected_risk).supports()


def test_control_without_noise(judge):
    """Least squares finds the true weights from any p examples: nothing is left to fall or to rise."""
    judge(goes_as_the_deck_says, term=by_expected_risk, noise=Fraction(0)).refutes()


# -- any finite world, all samples enumerated ---------------------------------------------------------------------


@dataclass(frozen=True)
class World:
    """A law of the examples, a class and a part of it, a loss, and a number of examples to train on."""

    law: Distribution
    predictors: tuple[Predictor, ...]
    part: int
    loss: Loss
    samples: int


def on_the_sample(world: World, f: Predictor, sample: Sample) -> Fraction:
    return empirical_risk(f, sample, loss=world.loss)


def on_new_examples(world: World, f: Predictor, sample: Sample) -> Fraction:
    return risk(f, world.law, loss=world.loss)


def trained_risk_goes_the_other_way(
    world: World, *, measure: Callable[[World, Predictor, Sample], Fraction] = on_the_sample
) -> Certificate:
    """Whether fₙ's mean risk is at most E(f_F*), no lower for one more example and no higher than for a part of F."""

    def average(predictors: Sequence[Predictor], n: int) -> Fraction:
        return expected(lambda sample: measure(world, erm(predictors, sample, loss=world.loss), sample), world.law, n)

    trained = average(world.predictors, world.samples)
    one_more = average(world.predictors, world.samples + 1)
    from_part = average(world.predictors[: world.part], world.samples)
    least = risk(best(world.predictors, world.law, loss=world.loss), world.law, loss=world.loss)
    return Certificate(
        trained <= one_more <= least and trained <= from_part,
        trained=trained, one_more_example=one_more, best_of_the_class=least, from_part_of_the_class=from_part,
    )  # fmt: skip


def worlds() -> st.SearchStrategy[World]:
    labels = range(3)
    law = st.dictionaries(st.sampled_from([*product(range(2), labels)]), st.integers(1, 4), min_size=1, max_size=4)
    predictors = st.lists(st.sampled_from([*product(labels, labels)]), min_size=2, max_size=4, unique=True)
    return st.builds(
        World,
        law=law.map(distribution),
        predictors=predictors.map(tuple),
        part=st.integers(1, 2),
        loss=st.sampled_from([zero_one, squared]),
        samples=st.integers(1, 3),
    )


@pytest.mark.property
def test_training_error_in_any_finite_world(judge):
    """One to three examples on two inputs with three labels, two to four predictors, 0-1 or squared loss."""
    judge(trained_risk_goes_the_other_way, given=worlds()).supports()


@pytest.mark.property
def test_control_expected_risk_in_any_finite_world(judge):
    judge(trained_risk_goes_the_other_way, given=worlds(), measure=on_new_examples).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """With expected risks the estimation error is positive, falls with n and rises with p; with training errors not."""
    picture = ax.figure
    ax.remove()
    left, right = picture.subplots(1, 2, sharey=True)
    left.set(ylabel="estimation error / noise", ylim=(-1.1, 2.1))
    draw.numbers(left.xaxis, [12, 20, 50, 100, 200], log=True)
    for axes, x, name in ((left, SAMPLES, "with_samples"), (right, FEATURES, "with_features")):
        axes.axhline(0, color="0.4", linewidth=1)
        draw.curve(axes, x, measured["claim"][name], "expected risk (the paper)", marks=False)
        draw.curve(axes, x, measured["deck_wording"][name], "training error (the deck)", style="C1--", marks=False)
    left.set(xlabel="examples n (p = 10 features)")
    right.set(xlabel="features p (n = 100 examples)")
    left.legend(loc="upper right", fontsize=9)
