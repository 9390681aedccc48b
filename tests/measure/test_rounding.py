"""The bounds on rounding against exact rational arithmetic: torch's kernels, and every order of adding written out."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import reduce
from itertools import pairwise
from math import isqrt
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from claimlab.measure.draws import Draws
from claimlab.measure.rounding import gamma, linear, moments, standardised

exact = settings(database=None, derandomize=True, max_examples=40, deadline=None)
both_precisions = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)

Numbers = Sequence[Any]
"""numpy's scalars, whose arithmetic rounds, or fractions, whose does not."""


# Exact arithmetic


def fractions(x: Tensor | Numbers) -> list[Fraction]:
    numbers = x.flatten() if isinstance(x, Tensor) else x
    return [number if isinstance(number, Fraction) else Fraction(float(number)) for number in numbers]


def root(q: Fraction) -> Fraction:
    """Right to 2^-200 in proportion, for what is not below 2^-100."""
    return Fraction(isqrt(q.numerator * q.denominator << 800), q.denominator << 400)


def exact_moments(x: Numbers) -> tuple[Fraction, Fraction]:
    mean = sum(x, Fraction(0)) / len(x)
    return mean, sum(((number - mean) ** 2 for number in x), Fraction(0)) / len(x)


def exact_standardised(x: Numbers, gain: Numbers, shift: Numbers, *, eps: float) -> list[Fraction]:
    mean, var = exact_moments(x)
    d = root(var + Fraction(eps))
    return [a * (number - mean) / d + b for number, a, b in zip(x, gain, shift, strict=True)]


def furthest(computed: Tensor | Numbers, exactly: Numbers, bounds: Tensor) -> float:
    """The largest error, as a part of what the bound allows; infinite bounds allow everything."""
    errors = [abs(a - b) for a, b in zip(fractions(computed), exactly, strict=True)]
    allowed = bounds.flatten().expand(len(errors)).tolist()
    return max((float(error / Fraction(b)) for error, b in zip(errors, allowed, strict=True) if b < np.inf), default=0)


# Orders of adding


def in_pairs(terms: Numbers) -> Any:
    half = len(terms) // 2
    return in_pairs(terms[:half]) + in_pairs(terms[half:]) if half else terms[0]


def one_by_one(terms: Numbers) -> Any:
    return reduce(lambda a, b: a + b, terms)


SUMS: dict[str, Callable[[Numbers], Any]] = {
    "one by one": one_by_one,
    "from the end": lambda terms: one_by_one(terms[::-1]),
    "largest first": lambda terms: one_by_one(sorted(terms, key=abs, reverse=True)),
    "in pairs": in_pairs,
    "in four lanes": lambda terms: one_by_one([one_by_one(terms[lane::4]) for lane in range(min(4, len(terms)))]),
}


def fused(a: Any, b: Any, c: Any) -> Any:
    """a b + c, rounded once."""
    return type(c)(float(Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))))


def fused_product(x: Numbers, w: Numbers) -> Any:
    return reduce(lambda so_far, pair: fused(*pair, so_far), zip(x, w, strict=True), type(x[0])(0))


# Ways to a mean and a variance


def in_two_passes(x: Numbers, total: Callable[[Numbers], Any]) -> tuple[Any, Any]:
    n = type(x[0])(len(x))
    mean = total(x) / n
    return mean, total([(number - mean) * (number - mean) for number in x]) / n


def merged(x: Numbers, *, half: Callable[[int], int]) -> tuple[Any, Any]:
    """Chan, Golub and LeVeque's merging of two blocks, the first of `half(n)` numbers."""

    def block(x: Numbers) -> tuple[Any, Any]:
        if len(x) == 1:
            return x[0], type(x[0])(0)
        split = half(len(x))
        (mean_a, squares_a), (mean_b, squares_b) = block(x[:split]), block(x[split:])
        part = type(x[0])(len(x) - split) / type(x[0])(len(x))
        apart = mean_b - mean_a
        return mean_a + apart * part, squares_a + squares_b + apart * apart * part * type(x[0])(split)

    mean, squares = block(x)
    return mean, squares / type(x[0])(len(x))


def updated(x: Numbers) -> tuple[Any, Any]:
    """Welford's."""
    mean, squares = x[0], type(x[0])(0)
    for count, number in enumerate(x[1:], start=2):
        apart = number - mean
        mean = mean + apart / type(number)(count)
        squares = squares + apart * (number - mean)
    return mean, squares / type(x[0])(len(x))


def from_the_mean_square(x: Numbers) -> tuple[Any, Any]:
    """What the bounds are not for."""
    n = type(x[0])(len(x))
    mean = one_by_one(x) / n
    return mean, one_by_one([number * number for number in x]) / n - mean * mean


MOMENTS: dict[str, Callable[[Numbers], tuple[Any, Any]]] = {
    **{f"two passes, {name}": lambda x, total=total: in_two_passes(x, total) for name, total in SUMS.items()},
    "updated": updated,
    "merged in halves": lambda x: merged(x, half=lambda n: n // 2),
    "merged one by one": lambda x: merged(x, half=lambda n: n - 1),
}

OUTPUTS: dict[str, Callable[..., Any]] = {
    "difference first": lambda x, mean, r, gain, shift: (x - mean) * r * gain + shift,
    "a line in x": lambda x, mean, r, gain, shift: x * (gain * r) + (shift - mean * (gain * r)),
    "a fused line in x": lambda x, mean, r, gain, shift: fused(x, gain * r, fused(-mean, gain * r, shift)),
    "standardised first": lambda x, mean, r, gain, shift: fused(fused(x, r, -mean * r), gain, shift),
}


# Worlds


def rows(seed: int, *shape: int, dtype: torch.dtype) -> Tensor:
    """Normal numbers around a mean up to a thousand times as large, up to six decades apart, of any scale."""
    draws = Draws(seed)
    decades, offset, scale = (draws.uniform(name, low=0, high=1) for name in ("decades", "offset", "scale"))
    spread = 10 ** (6 * decades**3 * draws.uniform("spread", *shape))
    x = draws.normal("x", *shape) * spread + draws.normal("mean") * 1000**offset * spread.max()
    return (10 ** (16 * scale - 8) * x).to(dtype)


seeds, sizes = st.integers(0, 10**6), st.integers(2, 24)


def numpy_scalars(x: Tensor) -> list[Any]:
    return list(x.flatten().numpy())


def losing(n: int) -> list[Any]:
    """float32 numbers near 1 and 0.99 whose sum, one by one, is rounded down by nearly all it can be each time."""
    so_far, x = np.float32(1), [np.float32(1)]
    for place in range(1, n):
        candidates = np.float32(0.99 if place % 2 else 1) - np.arange(2000, dtype=np.float32) * np.float32(2**-24)
        lost = so_far.astype(float) + candidates.astype(float) - (so_far + candidates).astype(float)
        x.append(candidates[np.argmax(lost)])
        so_far = so_far + x[-1]
    return x


# gamma


@pytest.mark.parametrize("n", [1, 2, 7, 100, 12_345])
@both_precisions
def test_gamma_bounds_any_product_and_quotient_of_n_roundings(n, dtype):
    """Higham's lemma 3.1; the extremes are all factors 1 + u, or all divided by 1 - u."""
    u = Fraction(torch.finfo(dtype).eps) / 2
    assert (1 + u) ** n - 1 <= 1 / (1 - u) ** n - 1 <= Fraction(gamma(n, dtype)) * (1 + 4 * u)
    assert gamma(n, dtype) <= 1.01 * n * u


def test_too_many_roundings_are_refused():
    with pytest.raises(ValueError, match="2000000 roundings leave nothing"):
        gamma(2_000_000, torch.float32)


# linear


@given(seeds, sizes)
@both_precisions
@exact
def test_every_order_of_a_product_keeps_the_bound(dtype, seed, n):
    x, w = rows(seed, 1, n, dtype=dtype), rows(seed + 1, 1, n, dtype=dtype)
    exactly = [sum(a * b for a, b in zip(fractions(x), fractions(w), strict=True))]
    terms = [a * b for a, b in zip(numpy_scalars(x), numpy_scalars(w), strict=True)]
    ways = [total(terms) for total in SUMS.values()] + [fused_product(numpy_scalars(x), numpy_scalars(w))]
    for computed in ways:
        assert furthest([computed], exactly, linear(x, w)) <= 1


@given(seeds, sizes, st.integers(1, 9), st.integers(1, 9))
@both_precisions
@exact
def test_torchs_linear_layer_keeps_the_bound(dtype, seed, n, samples, units):
    x, w, bias = (rows(seed + k, *shape, dtype=dtype) for k, shape in enumerate(((samples, n), (units, n), (units,))))
    exactly = [
        sum((a * b for a, b in zip(fractions(row), fractions(unit), strict=True)), Fraction(float(constant)))
        for row in x
        for unit, constant in zip(w, bias, strict=True)
    ]
    assert furthest(functional.linear(x, w, bias), exactly, linear(x, w, bias)) <= 1
    assert furthest(x @ w.T + bias, exactly, linear(x, w, bias)) <= 1


@given(seeds, sizes, st.integers(1, 9))
@both_precisions
@exact
def test_weights_of_unit_length_were_rounded_before(dtype, seed, n, samples):
    """g v / |v| by torch's weight norm and by a division of each number, in the product with x."""
    x, v, g = rows(seed, samples, n, dtype=dtype), rows(seed + 1, 1, n, dtype=dtype), rows(seed + 2, 1, 1, dtype=dtype)
    length = root(sum((number**2 for number in fractions(v)), Fraction(0)))
    unit = [number / length for number in fractions(v)]
    exactly = [Fraction(float(g)) * sum(a * b for a, b in zip(fractions(row), unit, strict=True)) for row in x]
    for w in (torch._weight_norm(v, g, 0), g * (v / torch.linalg.vector_norm(v)), g / torch.linalg.vector_norm(v) * v):
        assert furthest(x @ w.T, exactly, linear(x, w, before=n + 4)) <= 1


def test_a_product_that_loses_at_every_addition_comes_near_the_bound():
    n = 100
    x = torch.full((1, n), 0.499 * torch.finfo(torch.float32).eps)
    x[0, 0] = 1
    lost = sum(fractions(x)) - Fraction(float(one_by_one(numpy_scalars(x))))
    assert 0.9 <= lost / Fraction(float(linear(x, torch.ones_like(x)))) <= 1


def test_every_rounding_before_a_product_counts():
    x, w = torch.ones(1, 2), torch.tensor([[1.0, 3.0]])
    u = Fraction(torch.finfo(torch.float32).eps) / 2
    for before in (1, 10, 100):
        assert 4 * ((1 + u) ** before - 1) <= Fraction(float(linear(x, w, before=before)))


# Mean and deviation


@given(seeds, sizes)
@both_precisions
@exact
def test_every_way_to_the_moments_keeps_the_bound(dtype, seed, n):
    x = rows(seed, n, dtype=dtype)
    mean, var = exact_moments(fractions(x))
    for moment in MOMENTS.values():
        computed_mean, computed_var = moment(numpy_scalars(x))
        assert furthest([computed_mean, np.sqrt(computed_var)], [mean, root(var)], moments(x, dim=0)) <= 1


@given(seeds, st.integers(2, 99) | st.just(1000), st.integers(1, 9))
@both_precisions
@exact
def test_torchs_moments_keep_the_bound(dtype, seed, n, columns):
    x = rows(seed, n, columns, dtype=dtype)
    exactly = [exact_moments(fractions(column)) for column in x.T]
    means, deviations = [mean for mean, _ in exactly], [root(var) for _, var in exactly]
    for y, dim in ((x, 0), (x.T.contiguous(), 1)):
        bounds = moments(y, dim=dim)
        for computed in (y.mean(dim), torch.var_mean(y, dim)[1]):
            assert furthest(computed, means, bounds) <= 1
        for computed in (y.std(dim, correction=0), torch.var_mean(y, dim, correction=0)[0].sqrt()):
            assert furthest(computed, deviations, bounds) <= 1


def test_a_mean_that_loses_at_every_addition_comes_within_a_factor_of_eight_of_the_bound():
    x = losing(64)
    off = furthest([one_by_one(x) / np.float32(64)], [exact_moments(fractions(x))[0]],
                   moments(torch.tensor(np.array(x)), dim=0))  # fmt: skip
    assert 1 / 8 <= off <= 1


# Standardised numbers


@given(seeds, sizes, st.sampled_from([0.0, 1e-5, 1.0]))
@both_precisions
@exact
def test_every_way_to_standardise_keeps_the_bound(dtype, seed, n, eps):
    x, (gain, shift) = rows(seed, n, dtype=dtype), rows(seed + 1, 2, n, dtype=dtype)
    bounds = standardised(x, dim=0, eps=eps, gain=gain, shift=shift)
    exactly = exact_standardised(*map(fractions, (x, gain, shift)), eps=eps)
    numbers = [*zip(*map(numpy_scalars, (x, gain, shift)), strict=True)]
    for moment in MOMENTS.values():
        mean, var = moment([number for number, _, _ in numbers])
        r = 1 / np.sqrt(var + type(var)(eps))
        for output in OUTPUTS.values():
            assert furthest([output(a, mean, r, b, c) for a, b, c in numbers], exactly, bounds) <= 1


@given(seeds, st.integers(2, 99) | st.just(1000), st.integers(1, 5), st.sampled_from([0.0, 1e-5]))
@both_precisions
@exact
def test_torchs_norms_keep_the_bound(dtype, seed, n, others, eps):
    x, (gain, shift) = rows(seed, others, n, dtype=dtype), rows(seed + 1, 2, max(n, others), dtype=dtype)
    over = {"gain": gain[:n], "shift": shift[:n]}
    for row, computed, bounds in zip(
        x, functional.layer_norm(x, (n,), *over.values(), eps), standardised(x, dim=1, eps=eps, **over), strict=True
    ):
        assert furthest(computed, exact_standardised(*map(fractions, (row, *over.values())), eps=eps), bounds) <= 1
    over = {"gain": gain[:others], "shift": shift[:others]}
    batch = torch.batch_norm(x.T, *over.values(), None, None, True, 0.1, eps, False)
    for row, computed, bound, a, b in zip(
        x, batch.T, standardised(x.T, dim=0, eps=eps, **over)[0], *over.values(), strict=True
    ):
        exactly = exact_standardised(fractions(row), *([Fraction(float(c))] * n for c in (a, b)), eps=eps)
        assert furthest(computed, exactly, bound) <= 1


@given(seeds, sizes, st.floats(1e-6, 0.3), st.booleans())
@exact
def test_inputs_that_are_off_are_allowed_for(seed, n, part, alone):
    """Every number is moved by as much as it may be, up or down by chance, or one up and all others down."""
    x = Draws(seed).normal("x", n)
    way = x.eq(x.max()) * 2.0 - 1 if alone else Draws(seed).normal("way", n).sign()
    off = float(part * x.std(correction=0))
    moved = [a + b * Fraction(off) for a, b in zip(fractions(x), fractions(way), strict=True)]
    ones, zeros = [Fraction(1)] * n, [Fraction(0)] * n
    here, there = (exact_standardised(numbers, ones, zeros, eps=0) for numbers in (fractions(x), moved))
    assert furthest(there, here, standardised(x, dim=0, off=off)) <= 1
    assert standardised(x, dim=0, off=off).isfinite().all()


def test_a_standardised_number_comes_within_a_factor_of_forty_of_the_bound():
    """Sixty-four numbers whose sum, one by one, loses at every addition."""
    x = losing(64)
    mean, var = in_two_passes(x, one_by_one)
    computed = [(number - mean) / np.sqrt(var) for number in x]
    exactly = exact_standardised(fractions(x), [Fraction(1)] * 64, [Fraction(0)] * 64, eps=0)
    assert 1 / 40 <= furthest(computed, exactly, standardised(torch.tensor(np.array(x)), dim=0)) <= 1


def test_the_mean_square_less_the_squared_mean_is_found_out():
    x = 1000 + Draws(0).normal("x", 24)
    mean, var = from_the_mean_square(numpy_scalars(x))
    computed = [(number - mean) / np.sqrt(var) for number in numpy_scalars(x)]
    exactly = exact_standardised(fractions(x), [Fraction(1)] * 24, [Fraction(0)] * 24, eps=0)
    assert furthest(computed, exactly, standardised(x, dim=0)) > 1


@pytest.mark.parametrize(
    "x", [torch.ones(4), torch.tensor([1.0, 1.0, 1.0, 1.0 + 2**-23]), torch.tensor([1.0, 1.0, 1.0, 1.00001])]
)
def test_numbers_that_rounding_alone_tells_apart_have_no_bound(x):
    assert standardised(x, dim=0).isinf().all()
    assert standardised(x, dim=0, eps=1.0).isfinite().all()


def test_more_off_than_the_deviation_has_no_bound():
    x = torch.tensor([-1.0, 1.0])
    bounds = [float(standardised(x, dim=0, off=off)) for off in (0.0, 0.5, 0.9, 1.0, 2.0)]
    assert all(a < b for a, b in pairwise(bounds[:4]))
    assert bounds[3:] == [np.inf] * 2


def test_a_bound_has_the_shape_of_what_it_bounds():
    x, gain = torch.randn(5, 3), torch.ones(3)
    assert linear(x, torch.ones(4, 3), torch.ones(4)).shape == (5, 4)
    assert moments(x, dim=0).shape == (3,)
    assert standardised(x, dim=1).shape == (5, 1)
    assert standardised(x, dim=1, gain=gain, shift=gain).shape == (5, 3)
    assert standardised(x, dim=0, gain=gain).shape == (1, 3)
