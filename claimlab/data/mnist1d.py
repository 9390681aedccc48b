"""MNIST-1D: ten digit-like shapes as noisy signals of 40 samples, shifted, scaled and sheared (Greydanus 2020)."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from claimlab.seeds import Seeds

CLASSES, LENGTH = 10, 40
POOL = 2000
"""How many signals are generated: the package's own generator and seed (42), a tenth of them of each class."""


@dataclass(frozen=True)
class Signals:
    """Training and test signals `[S, N, 40]` with labels 0 to 9, int64 `[S, N]`.

    The pool of all signals has mean 0 and standard deviation 1; nothing more is done to them.
    """

    x: Tensor
    y: Tensor
    x_test: Tensor
    y_test: Tensor


def mnist1d(seeds: Seeds, *, n: int, n_test: int) -> Signals:
    """A random split of the pool for every seed, without overlap; raises ValueError when there are too few signals."""
    if n + n_test > POOL:
        raise ValueError(f"there are {POOL} signals, fewer than the {n} + {n_test} asked for")
    signals, labels = (array.to(seeds.device) for array in _pool())
    order = seeds.permutation("mnist1d.split", POOL)
    train, test = order[:, :n], order[:, n : n + n_test]
    x = signals.to(seeds.dtype)
    return Signals(x[train], labels[train], x[test], labels[test])


@cache
def _pool() -> tuple[Tensor, Tensor]:
    """The signals `[2000, 40]`, float32, and their labels, as the package made them (`tests/data/test_data.py`).

    They are kept in a file: to load the package and have it make them takes two seconds in every process.
    """
    with np.load(Path(__file__).with_suffix(".npz")) as kept:
        return torch.from_numpy(kept["x"]), torch.from_numpy(kept["y"]).long()
