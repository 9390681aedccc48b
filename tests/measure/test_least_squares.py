"""The closed forms against least squares itself, on drawn samples."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from claimlab.measure.least_squares import drawn_errors, estimation_error, training_error
from claimlab.seeds import Seeds


@pytest.mark.parametrize(("n", "p"), [(12, 1), (12, 4), (15, 7), (4, 14), (1, 9)])
def test_closed_forms_against_drawn_samples(n, p):
    """4000 samples; within five standard errors. |n - p| >= 8, so that the mean square of the excess risk is finite."""
    rng = np.random.default_rng(0)
    noise, weights = Fraction(1, 4), np.full(p, 2 / math.sqrt(p))
    x = rng.standard_normal((4000, n, p))
    y = x @ weights + math.sqrt(noise) * rng.standard_normal((4000, n))
    fitted = (np.linalg.pinv(x) @ y[..., None])[..., 0]
    excess = np.square(fitted - weights).sum(axis=1)
    training = np.square(np.einsum("snp,sp->sn", x, fitted) - y).mean(axis=1)
    for drawn, expected in (
        (excess, estimation_error(n, p, noise=noise, signal=4)),
        (training, training_error(n, p, noise=noise)),
    ):
        standard_error = drawn.std(ddof=1) / math.sqrt(len(drawn))
        assert abs(drawn.mean() - expected) <= 5 * standard_error + 1e-12


def test_one_feature_by_hand():
    """With one feature the error is noise / |x|^2, and 1 / chi2_n has the mean 1 / (n - 2)."""
    assert [estimation_error(n, 1, noise=3) for n in (2, 3, 4, 5)] == [math.inf, 3, Fraction(3, 2), 1]


def test_infinite_next_to_the_threshold_and_only_with_noise():
    assert [estimation_error(10, p, noise=1) == math.inf for p in range(7, 14)] == [0, 0, 1, 1, 1, 0, 0]
    assert [estimation_error(10, p, noise=0, signal=33) for p in (9, 10, 11)] == [0, 0, 3]


def test_training_error_is_zero_from_the_threshold_on():
    assert [training_error(4, p, noise=2) for p in (1, 2, 3, 4, 5)] == [Fraction(3, 2), 1, Fraction(1, 2), 0, 0]


@pytest.mark.parametrize(("n", "p"), [(6, 2), (2, 6)])
def test_drawn_errors_are_those_of_least_squares_one_by_one(n, p):
    """Over the same five samples of two seeds, by numpy."""
    seeds = Seeds("tests/least_squares", 1, "pinned", (0, 1), dtype=torch.float64)
    estimation, training = drawn_errors(seeds, n, p, noise=4.0, samples=5)
    x, noise = (seeds.normal(f"{name}.{n}.{p}", 5, n, last).numpy() for name, last in (("x", p), ("noise", 1)))
    for seed in range(2):
        errors = []
        for inputs, off in zip(x[seed], noise[seed], strict=True):
            targets = inputs[:, 0] + 2 * off[:, 0]
            weights = np.linalg.lstsq(inputs, targets)[0]
            loss = np.square(weights - np.eye(p)[0]).sum()
            errors.append((loss, np.square(inputs @ weights - targets).mean()))
        for drawn, expected in zip((estimation, training), np.mean(errors, axis=0), strict=True):
            assert drawn[seed].item() == pytest.approx(expected, rel=1e-9, abs=1e-12)
