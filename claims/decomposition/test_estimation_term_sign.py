"""The deck's estimation error is a training error, and does not fall with the examples: it rises.

Slide: Decomposition of the Error. The estimation error is to fall when n grows, and can rise when the class F grows.
The deck writes it Eₙ(fₙ) − E(f_F*), with the empirical risk of the trained model. Averaged over the samples of n
examples, that is never positive; it rises with n, towards zero; and it falls when F grows and f_F* stays as good:

- Eₙ(fₙ) ≤ Eₙ(f_F*), because fₙ is the minimiser, and Eₙ(f_F*) is E(f_F*) on average;
- n + 1 examples hold n + 1 samples of n, and the mean of their risks is Eₙ₊₁. The least of means is no less than the
  mean of the least, so the mean of Eₙ(fₙ) never falls with n;
- the minimum over a larger class is no larger.

That the term can rise with the class stays true even so: where a better f_F* is added, E(f_F*) can fall by more than
the training error does.

The paper that the deck cites, Bottou & Bousquet 2008, has the expected risk E(fₙ) instead, and then it is as the deck
says. Both are known in closed form for least squares (see `claimlab.measure.least_squares`): −p / n and p / (n − p − 1)
times the variance of the noise, for p features. Here least squares itself is asked as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise, product
from typing import TYPE_CHECKING

import pytest
from hypothesis import strategies as st

from claimlab import Certificate, Claim, Exact, Rows, Seeds, draw
from claimlab.measure.least_squares import drawn_errors, estimation_error, training_error
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
    version=3,
    finding="false",
    says="The estimation error, which is the training error Eₙ(fₙ) less the least expected error in the class, falls "
    "when n grows and can rise when the class grows.",
    statement="Training error less the least expected error of the class, as on the slide, is never positive on "
    "average and never lower for one more example; for least squares it is −p / n. With expected errors alone it is "
    "p / (n − p − 1), which falls with every example and rises with every feature. With the class, the slide's "
    "difference can rise, too.",
    reason="The slide puts the training error of fₙ where the paper it cites has the expected risk. On its own "
    "training set a model looks better than the best of its class is, the more so the fewer examples there are and the "
    "more predictors it was chosen from.",
    scope="averages over the samples; least squares with independent Gaussian features, and finite worlds; the falling "
    "of the corrected term with n is a claim of its own, with a scope",
    source="Bottou & Bousquet 2008 (The Tradeoffs of Large Scale Learning, NIPS 2007); Breiman & Freedman 1983",
    evidence=Exact(),
)

# A formula is right if it is off by less than half of what one degree of freedom more would change, a sixth.
CLOSE = 0.07

# -- least squares, in closed form --------------------------------------------------------------------------------

Term = Callable[[int, int, Fraction], Fraction | float]
"""The estimation error, in one reading or the other, of n examples and p features at a variance of the noise."""

EXAMPLES, FEATURES = range(12, 201), range(1, 99)


def by_expected_risk(n: int, p: int, noise: Fraction) -> Fraction | float:
    return estimation_error(n, p, noise=noise)


def by_training_error(n: int, p: int, noise: Fraction) -> Fraction:
    """The best of the class has the risk var(e)."""
    return training_error(n, p, noise=noise) - noise


def falls_with_every_example(
    *, term: Term, noise: Fraction = Fraction(1), examples: range = EXAMPLES, p: int = 10
) -> Certificate:
    """Whether the term is nowhere negative and falls with every further example."""
    values = [term(n, p, noise) for n in examples]
    falls = sum(after < before for before, after in pairwise(values))
    return Certificate(
        min(values) >= 0 and falls == len(values) - 1, steps_down=falls, values=[float(value) for value in values]
    )


def rises_with_every_feature(
    *, term: Term, noise: Fraction = Fraction(1), features: range = FEATURES, n: int = 100
) -> Certificate:
    """Whether the term rises with every further feature."""
    values = [term(n, p, noise) for p in features]
    rises = sum(after > before for before, after in pairwise(values))
    return Certificate(rises == len(values) - 1, steps_up=rises, values=[float(value) for value in values])


def is_minus_p_over_n(*, term: Term, noises: Sequence[Fraction] = (Fraction(1), Fraction(1, 4))) -> Certificate:
    """Whether the term is −p / n times the noise, for every n and p of the two tests above."""
    sizes = [(n, 10) for n in EXAMPLES] + [(100, p) for p in FEATURES]
    differ = [(n, p) for noise in noises for n, p in sizes if term(n, p, noise) != Fraction(-p, n) * noise]
    return Certificate(not differ, cases=len(noises) * len(sizes), differ=differ[:3])


def test_deck_wording(judge):
    """Training error of the trained model less the best risk, by its formula: p = 10, n = 12 to 200, noise 1."""
    judge(falls_with_every_example, term=by_training_error).refutes()


def test_claim(judge):
    """Expected risk of the trained model less the best risk, by its formula: p = 10, n = 12 to 200, noise 1."""
    judge(falls_with_every_example, term=by_expected_risk).supports()


def test_the_expected_risk_rises_with_every_feature(judge):
    """From p = 1 to 98 independent Gaussian features, n = 100."""
    judge(rises_with_every_feature, term=by_expected_risk).supports()


def test_the_decks_term_is_minus_p_over_n(judge):
    """At the same n and p, noise of variance 1 and 1/4: it rises with every example and falls with every feature."""
    judge(is_minus_p_over_n, term=by_training_error).supports()


def test_control_without_noise(judge):
    """Least squares finds the true weights from any p examples: nothing is left to fall."""
    judge(falls_with_every_example, term=by_expected_risk, noise=Fraction(0)).refutes()


def test_control_training_error_with_more_features(judge):
    """What rises is not any term: with training errors, more features take it down."""
    judge(rises_with_every_feature, term=by_training_error).refutes()


def test_control_another_sign(judge):
    judge(is_minus_p_over_n, term=lambda n, p, noise: -by_training_error(n, p, noise)).refutes()


# -- least squares itself -----------------------------------------------------------------------------------------


def least_squares(
    seeds: Seeds, *, expected_risk: Term = by_expected_risk, training: Term = by_training_error, n: int = 12, p: int = 6
) -> Rows:
    """Whether both readings are what their formulas say, on average over the 4000 samples that a seed draws.

    The noise has the variance 1, so the best of the class has the risk 1. The standard errors are about 1.7 % in the
    one reading and 0.9 % in the other.
    """
    on_new_examples, on_the_sample = drawn_errors(seeds, n, p, noise=1)
    on_the_sample = on_the_sample - 1
    right = [
        (error / float(formula(n, p, Fraction(1))) - 1).abs() <= CLOSE
        for error, formula in ((on_new_examples, expected_risk), (on_the_sample, training))
    ]
    return Rows(win=right[0] & right[1], on_new_examples=on_new_examples, on_the_sample=on_the_sample)


def one_degree_more(n: int, p: int, noise: Fraction) -> Fraction:
    """A formula in the claim's favour, which falls and rises like the right one."""
    return noise * Fraction(p, n - p)


def all_of_the_noise(n: int, p: int, noise: Fraction) -> Fraction:
    """The training error less the noise, if nothing were left of the training error."""
    return -noise


@pytest.mark.statistical(dtype="float64", block=11)
def test_least_squares_does_as_the_formulas_say(judge):
    """Means of 4000 samples of n = 12 examples with p = 6 features, less than 7 % from p / (n − p − 1) and −p / n."""
    judge(least_squares).supports()


@pytest.mark.statistical(dtype="float64", block=11)
@pytest.mark.parametrize(
    "formula",
    [{"expected_risk": one_degree_more}, {"training": all_of_the_noise}],
    ids=["one_degree_more", "all_of_the_noise"],
)
def test_control_formula(judge, formula):
    judge(least_squares, **formula).refutes()


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
    """For one, two of three labels are 1, and one example leads to the other label once in three times."""
    label = World(distribution({(0, 0): 1, (0, 1): 2}), ((0, 0), (1, 1)), part=1, loss=zero_one, samples=1)
    judge(trained_risk_goes_the_other_way, given=worlds(), example=label, measure=on_new_examples).refutes()


def can_rise_with_the_class(*, added: Predictor = (0, 0)) -> Certificate:
    """Whether the slide's term, of one example, is larger after a predictor is added to a class of two.

    Both inputs are as likely and the label is 0. The class is (1, 0) and (0, 1): one of them is right on the example,
    and either is wrong half of the time. Adding (0, 0) takes E(f_F*) from 1/2 to 0 and leaves the training error at 0.
    """
    law = distribution({(0, 0): 1, (1, 0): 1})
    class_ = [(1, 0), (0, 1)]

    def term(predictors: Sequence[Predictor]) -> Fraction:
        trained = expected(
            lambda sample: empirical_risk(erm(predictors, sample, loss=zero_one), sample, loss=zero_one), law, 1
        )
        return trained - risk(best(predictors, law, loss=zero_one), law, loss=zero_one)

    before, after = term(class_), term([added, *class_])
    return Certificate(after > before, before=before, after=after)


def test_the_decks_term_can_rise_with_the_class(judge):
    """From −1/2 to 0 when the truth is added to two wrong functions (0-1 loss, one example)."""
    judge(can_rise_with_the_class).supports()


def test_control_a_third_wrong_function(judge):
    """(1, 1) is wrong on every example and is never trained: nothing changes."""
    judge(can_rise_with_the_class, added=(1, 1)).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """With expected risks the estimation error is positive, falls with n and rises with p; with training errors not."""
    picture = ax.figure
    ax.remove()
    left, right = picture.subplots(1, 2, sharey=True)
    left.set(ylabel="estimation error / noise", ylim=(-1.1, 2.1))
    draw.numbers(left.xaxis, [12, 20, 50, 100, 200], log=True)
    for axes, x, tests in (
        (left, EXAMPLES, ("claim", "deck_wording")),
        (right, FEATURES, ("the_expected_risk_rises_with_every_feature", "control_training_error_with_more_features")),
    ):
        axes.axhline(0, color="0.4", linewidth=1)
        draw.curve(axes, x, measured[tests[0]]["values"], "expected risk (the paper)", marks=False)
        draw.curve(axes, x, measured[tests[1]]["values"], "training error (the deck)", style="C1--", marks=False)
    left.set(xlabel="examples n (p = 10 features)")
    right.set(xlabel="features p (n = 100 examples)")
    left.legend(loc="upper right", fontsize=9)
