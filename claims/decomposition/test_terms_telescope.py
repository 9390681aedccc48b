"""Approximation, estimation and optimization error add up.

Slide: Decomposition of the Error. f* is the best predictor there is, f_F* the best of the class F, fₙ the one with the
least empirical risk Eₙ on n examples, and f̃ₙ what an optimizer finds that stops within a tolerance of it. The deck
takes Eₙ(f̃ₙ) − E(f*) apart, Bottou & Bousquet take E(f̃ₙ) − E(f*) apart, on average over the samples:

    term            deck                  Bottou & Bousquet
    approximation   E(f_F*) − E(f*)       E(f_F*) − E(f*)
    estimation      Eₙ(fₙ) − E(f_F*)      E(fₙ) − E(f_F*)
    optimization    Eₙ(f̃ₙ) − Eₙ(fₙ)       E(f̃ₙ) − E(fₙ)

Either way each term takes away what the next one adds. But what the deck's terms add up to holds the training error of
f̃ₙ, so it is no excess risk; what follows from that for the estimation error is a claim of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from claimlab import Certificate, Claim, Property, draw
from claimlab.measure.risks import (
    Distribution,
    Predictor,
    Sample,
    best,
    distribution,
    empirical_risk,
    erm,
    expected,
    risk,
    squared,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="decomposition/terms-telescope",
    covers=("A1",),
    slide="Decomposition of the Error",
    version=2,
    finding="holds",
    says="What a trained model's empirical risk is above the risk of the ground truth is the sum of approximation, "
    "estimation and optimization error.",
    statement="The deck's three terms add up to Eₙ(f̃ₙ) − E(f*), and those of the paper it cites to E(f̃ₙ) − E(f*), "
    "exactly and on average over all samples. The deck's terms do not add up to the excess risk E(f̃ₙ) − E(f*).",
    reason="Each term takes away what the next one adds, whatever the predictors are. The deck measures the trained "
    "model on its own training set, on both sides; the paper that it cites uses expected risks.",
    scope="an identity: it says nothing of the size or the sign of the terms; squared loss, in rational arithmetic",
    source="Bottou & Bousquet 2008 (The Tradeoffs of Large Scale Learning, NIPS 2007)",
    evidence=Property(examples=40),
)

Measure = Callable[["World", Predictor, Sample], Fraction]
"""How a trained predictor is measured: on new examples, or on the sample that it was trained on."""


@dataclass(frozen=True)
class World:
    """A law of the examples, the class F, any predictor f* to compare with, and how long and how well we may train."""

    law: Distribution
    predictors: tuple[Predictor, ...]
    truth: Predictor
    samples: int
    tolerance: Fraction


def on_new_examples(world: World, f: Predictor, sample: Sample) -> Fraction:
    return risk(f, world.law, loss=squared)


def on_the_sample(world: World, f: Predictor, sample: Sample) -> Fraction:
    return empirical_risk(f, sample, loss=squared)


def trained(world: World, sample: Sample) -> Predictor:
    """fₙ, the minimiser of the empirical risk."""
    return erm(world.predictors, sample, loss=squared)


def stopped_early(world: World, sample: Sample) -> Predictor:
    """f̃ₙ, the predictor that is worst on the sample among those within the tolerance of the best."""
    good_enough = on_the_sample(world, trained(world, sample), sample) + world.tolerance
    risks = {f: on_the_sample(world, f, sample) for f in world.predictors}
    return max((f for f in world.predictors if risks[f] < good_enough), key=risks.__getitem__)


def terms(world: World, measure: Measure) -> dict[str, Fraction]:
    """The three terms, on average over all samples."""
    least_in_class = risk(best(world.predictors, world.law, loss=squared), world.law, loss=squared)

    def average(train: Callable[[World, Sample], Predictor]) -> Fraction:
        return expected(lambda sample: measure(world, train(world, sample), sample), world.law, world.samples)

    return {
        "approximation": least_in_class - risk(world.truth, world.law, loss=squared),
        "estimation": average(trained) - least_in_class,
        "optimization": average(stopped_early) - average(trained),
    }


def terms_add_up(
    world: World,
    *,
    terms_by: Measure,
    sum_by: Measure,
    names: tuple[str, ...] = ("approximation", "estimation", "optimization"),
) -> Certificate:
    """Whether the named terms add up to what f̃ₙ loses against f*, sample by sample and then on average."""

    def loses(sample: Sample) -> Fraction:
        return sum_by(world, stopped_early(world, sample), sample) - risk(world.truth, world.law, loss=squared)

    parts = terms(world, terms_by)
    total = expected(loses, world.law, world.samples)
    return Certificate(sum(parts[name] for name in names) == total, total=total, **parts)


def worlds() -> st.SearchStrategy[World]:
    labels = (0, 1, 3)
    predictor = st.sampled_from([*product(labels, labels)])
    law = st.dictionaries(st.sampled_from([*product(range(2), labels)]), st.integers(1, 4), min_size=1, max_size=3)
    return st.builds(
        World,
        law=law.map(distribution),
        predictors=st.lists(predictor, min_size=2, max_size=4, unique=True).map(tuple),
        truth=predictor,
        samples=st.integers(1, 2),
        tolerance=st.sampled_from([Fraction(size) for size in (1, 2, 4, 8)]),
    )


def test_claim(judge):
    """The sum as the deck writes it: two inputs, classes of two to four predictors, one or two examples, any f*."""
    judge(terms_add_up, given=worlds(), terms_by=on_the_sample, sum_by=on_the_sample).supports()


def test_expected_risks(judge):
    """The sum as Bottou & Bousquet write it, in the same worlds."""
    judge(terms_add_up, given=worlds(), terms_by=on_new_examples, sum_by=on_new_examples).supports()


# A coin whose sides are 0 and 1; who may stop at any predictor stops at the worse.
COIN = World(
    distribution({(0, 0): 1, (0, 1): 1}),
    predictors=((0, 0), (1, 1), (3, 3)),
    truth=(0, 0),
    samples=1,
    tolerance=Fraction(8),
)


def test_control_without_the_optimization_error(judge):
    two, by = ("approximation", "estimation"), on_new_examples
    judge(terms_add_up, given=worlds(), example=COIN, terms_by=by, sum_by=by, names=two).refutes()


def test_control_deck_terms_are_not_the_excess_risk(judge):
    """The deck's terms leave out E(f̃ₙ) − Eₙ(f̃ₙ), by which a trained model does worse on new examples."""
    judge(terms_add_up, given=worlds(), example=COIN, terms_by=on_the_sample, sum_by=on_new_examples).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Each term starts where the one before it ends: on training errors the deck's estimation error is negative.

    Two inputs, the first twice as likely as the second, whose labels are 1 and 0 three times in four. The class holds
    the constants 1 and 0, the sample three examples.
    """
    law = distribution({(0, 1): 6, (0, 0): 2, (1, 0): 3, (1, 1): 1})
    world = World(law=law, predictors=((1, 1), (0, 0)), truth=(1, 0), samples=3, tolerance=Fraction(1, 2))
    forms = {"training errors\n(the deck)": on_the_sample, "expected risks\n(the paper)": on_new_examples}
    for row, measure in enumerate(forms.values()):
        start = 0.0
        for place, (name, exact) in enumerate(terms(world, measure).items()):
            y, size = 1.3 * row + 0.3 * place, float(exact)
            label = f"{name} error" if row == 0 else None
            ax.barh(y, size, left=start, height=0.28, color=f"C{place}", label=label)
            ax.text(0.262, y, f"{size:+.3f}".replace("-", "−"), va="center", fontsize=10)
            start += size
        ax.plot([start, start], [1.3 * row - 0.15, 1.3 * row + 0.75], color="0.4", linestyle=":")
        ax.text(0.31, 1.3 * row + 0.3, f"sum {start:.3f}", va="center")
    ax.axvline(0, color="0.4", linewidth=1)
    draw.names(ax.yaxis, forms, at=[0.3, 1.6])
    ax.set(xlim=(-0.02, 0.375), ylim=(2.15, -0.75), xlabel="squared error above that of the ground truth")
    ax.legend(loc="upper center", ncols=3, columnspacing=1.2, handlelength=1.2)
