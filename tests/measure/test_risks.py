"""Exact risks against brute force: every ordered sample, one by one."""

import doctest
from fractions import Fraction
from itertools import product
from math import comb, prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claimlab.measure import risks
from claimlab.measure.risks import best, distribution, empirical_risk, erm, expected, risk, samples, squared, zero_one

exact = settings(database=None, derandomize=True, max_examples=40)

labels = st.sampled_from([0, 1, Fraction(-1, 2)])
worlds = st.dictionaries(st.tuples(st.integers(0, 2), labels), st.integers(1, 5), min_size=1, max_size=4)
classes = st.lists(st.tuples(labels, labels, labels), min_size=1, max_size=4)
losses = st.sampled_from([zero_one, squared])


def test_documentation():
    assert doctest.testmod(risks).failed == 0
    assert doctest.testmod(risks).attempted == 4


def test_losses():
    assert [zero_one(1, 1), zero_one(1, 0), zero_one(0, Fraction(0))] == [0, 1, 0]
    assert squared(Fraction(1, 2), 2) == Fraction(9, 4)


def test_distribution_adds_up_to_one_and_drops_what_cannot_happen():
    assert distribution({(0, 0): 1, (0, 1): 0, (1, 1): 2}) == {(0, 0): Fraction(1, 3), (1, 1): Fraction(2, 3)}


@exact
@given(worlds, st.integers(1, 4))
def test_samples_up_to_order_are_all_samples(weights, n):
    """Grouping all k^n ordered samples gives the same samples with the same probabilities."""
    world = distribution(weights)
    place = {example: i for i, example in enumerate(world)}
    grouped: dict[tuple, Fraction] = {}
    for ordered in product(world, repeat=n):
        key = tuple(sorted(ordered, key=place.__getitem__))
        grouped[key] = grouped.get(key, Fraction(0)) + prod((world[example] for example in ordered), start=Fraction(1))
    found = list(samples(world, n))
    assert dict(found) == grouped
    assert len(found) == comb(n + len(world) - 1, n)
    assert sum(chance for _, chance in found) == 1


@exact
@given(worlds, classes, losses, st.integers(1, 3))
def test_expected_risk_of_erm_by_brute_force(weights, predictors, loss, n):
    """The same expectation with nothing of the instrument in it but the world."""
    world = distribution(weights)
    total = Fraction(0)
    for ordered in product(world, repeat=n):
        sums = [sum(loss(f[x], y) for x, y in ordered) for f in predictors]
        chosen = predictors[sums.index(min(sums))]
        chance = prod((world[example] for example in ordered), start=Fraction(1))
        total += chance * sum(p * loss(chosen[x], y) for (x, y), p in world.items())
    assert total == expected(lambda sample: risk(erm(predictors, sample, loss=loss), world, loss=loss), world, n)


@exact
@given(worlds, classes, losses, st.integers(1, 4))
def test_empirical_risk_is_unbiased(weights, predictors, loss, n):
    world = distribution(weights)
    f = predictors[0]
    assert expected(lambda sample: empirical_risk(f, sample, loss=loss), world, n) == risk(f, world, loss=loss)


@pytest.mark.parametrize("first", [(0,), (1,)])
def test_the_first_of_equally_good_predictors_is_taken(first):
    world = distribution({(0, 0): 1, (0, 1): 1})
    predictors = [first, (1 - first[0],)]
    assert erm(predictors, [(0, 0), (0, 1)], loss=zero_one) == best(predictors, world, loss=zero_one) == first


def test_best_has_the_least_risk():
    world = distribution({(0, 0): 1, (1, 1): 2})
    assert best([(0, 0), (1, 1), (0, 1)], world, loss=squared) == (0, 1)
    assert best([(0, 0), (1, 1)], world, loss=squared) == (1, 1)
