"""Risks in a finite world, exactly: every sample is enumerated, and every probability is a fraction.

Inputs are numbered 0, 1, ..., k - 1. A predictor is the tuple of its outputs, one for each input, and a class of
predictors is a sequence of them. What takes a `loss` takes `zero_one` or `squared`, or any other function of an output
and a label.

    >>> world = distribution({(0, 0): 3, (0, 1): 1})  # one input, whose label is 0 three times in four
    >>> risk((1,), world, loss=zero_one)
    Fraction(3, 4)
    >>> always_0_or_always_1 = [(0,), (1,)]
    >>> expected(lambda sample: erm(always_0_or_always_1, sample, loss=zero_one)[0], world, n=1)
    Fraction(1, 4)
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import combinations_with_replacement
from math import factorial, prod
from typing import Any

Rational = int | Fraction
Example = tuple[int, Rational]
"""An input's number and its label."""
Sample = Sequence[Example]
Distribution = Mapping[Example, Fraction]
"""The probability of each example; they add up to one."""
Predictor = tuple[Rational, ...]
Loss = Callable[[Rational, Rational], Rational]


def zero_one(output: Rational, label: Rational) -> int:
    """1 for a mistake."""
    return int(output != label)


def squared(output: Rational, label: Rational) -> Rational:
    return (output - label) ** 2


def distribution(weights: Mapping[Any, Rational]) -> Distribution:
    """Probabilities of examples, in proportion to weights that are not negative; weight zero is left out."""
    total = Fraction(sum(weights.values()))
    return {example: weight / total for example, weight in weights.items() if weight}


def risk(f: Predictor, world: Distribution, *, loss: Loss) -> Fraction:
    """E(f): the expected loss on a new example."""
    return sum((chance * loss(f[x], y) for (x, y), chance in world.items()), Fraction(0))


def total_loss(f: Predictor, sample: Sample, *, loss: Loss) -> Rational:
    """n E_n(f): the loss on the sample, added up."""
    return sum(loss(f[x], y) for x, y in sample)


def empirical_risk(f: Predictor, sample: Sample, *, loss: Loss) -> Fraction:
    """E_n(f): the mean loss on the sample."""
    return Fraction(total_loss(f, sample, loss=loss), len(sample))


def best(predictors: Sequence[Predictor], world: Distribution, *, loss: Loss) -> Predictor:
    """f_F*: the predictor of the class with the least risk, the first of them where several have it."""
    return min(predictors, key=lambda f: risk(f, world, loss=loss))


def erm(predictors: Sequence[Predictor], sample: Sample, *, loss: Loss) -> Predictor:
    """f_n: the predictor of the class with the least empirical risk, the first of them where several have it."""
    return min(predictors, key=lambda f: total_loss(f, sample, loss=loss))


def samples(world: Distribution, n: int) -> Iterator[tuple[tuple[Example, ...], Fraction]]:
    """Every sample of n independent examples, up to their order, with its probability.

    Nothing here depends on the order of a sample, and k examples have only (n + k - 1 choose n) samples up to order.
    """
    for sample in combinations_with_replacement(world, n):
        orders = factorial(n) // prod(factorial(count) for count in Counter(sample).values())
        yield sample, orders * prod((world[example] for example in sample), start=Fraction(1))


def expected(value: Callable[[tuple[Example, ...]], Rational], world: Distribution, n: int) -> Fraction:
    """The expectation of `value` over samples of n independent examples."""
    return sum((chance * value(sample) for sample, chance in samples(world, n)), Fraction(0))
