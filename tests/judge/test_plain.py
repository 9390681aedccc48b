"""What checks return, as plain Python."""

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
import torch

from claimlab.judge.plain import described, finite, numbers, plain


def test_arrays_tensors_and_scalars_become_plain():
    values = {
        "numpy scalar": np.float64(0.1),
        "numpy integer": np.int32(7),
        "numpy bool": np.True_,
        "array": np.array([[1.0, np.nan], [2.0, np.inf]]),
        "tensor": torch.tensor([1.5, float("nan")], requires_grad=True),
        "bools": torch.tensor([True, False]),
        "half": torch.tensor(0.5, dtype=torch.bfloat16),
        "tuple": (1, (2.0, None)),
        "range": range(3),
        "fraction": Fraction(1, 3),
        "big": 10**40,
        3: "a key",
    }
    assert plain(values) == {
        "numpy scalar": 0.1, "numpy integer": 7, "numpy bool": True, "array": [[1.0, "nan"], [2.0, "inf"]],
        "tensor": [1.5, "nan"], "bools": [True, False], "half": 0.5, "tuple": [1, [2.0, None]], "range": [0, 1, 2],
        "fraction": "1/3", "big": 10**40, "3": "a key",
    }  # fmt: skip
    assert type(plain(np.True_)) is bool
    assert type(plain(np.float32(2))) is float


def test_numbers_come_back_and_words_stay():
    assert numbers({"a": ["inf", "x", 1], "b": "-inf"}) == {"a": [math.inf, "x", 1], "b": -math.inf}
    assert math.isnan(numbers("nan"))


@pytest.mark.parametrize(
    ("value", "is_finite"),
    [(1.5, True), ("nan", False), ([1, [2, "inf"]], False), ([1, [2, "text"]], True), ([], True)],
)
def test_a_value_is_finite_if_all_of_it_is(value, is_finite):
    assert finite(value) is is_finite


@dataclass(frozen=True)
class Width:
    units: int


def halve(number: float, *, by: int = 2) -> float:
    return number / by


def test_a_world_is_described_by_numbers_and_names():
    def inner() -> None: ...

    world = {
        "width": 64, "rate": 0.1, "name": "sgd", "none": None, "sizes": (1, [2.0]), "by_name": {3: halve},
        "function": halve, "class": Width, "method": Fraction.limit_denominator, "inner": inner,
        "lambda": lambda: None, "partial": partial(halve, 1, by=4), "nested": partial(max, key=halve),
        "object": Width(3), "dtype": torch.float64, "nan": math.nan,
    }  # fmt: skip
    assert described(world) == {
        "width": 64, "rate": 0.1, "name": "sgd", "none": None, "sizes": [1, [2.0]], "by_name": {"3": "halve"},
        "function": "halve", "class": "Width", "method": "Fraction.limit_denominator", "inner": "inner",
        "lambda": "a function", "partial": "halve(1, by=4)", "nested": "max(key=halve)",
        "object": "Width(units=3)", "dtype": "torch.float64", "nan": "nan",
    }  # fmt: skip
