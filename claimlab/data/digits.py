"""Real images: scikit-learn's 1797 handwritten digits of 8 x 8 pixels (UCI, Alpaydin & Kaynak 1998)."""

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from claimlab.seeds import Seeds

CLASSES = 10


@dataclass(frozen=True)
class Digits:
    """Training and test images `[S, N, 64]` with labels 0 to 9, int64 `[S, N]`.

    Each seed's images are centred, pixel by pixel, on its training mean and divided by the one standard deviation of
    its centred training pixels, so that pixels which are always blank stay blank.
    """

    x: Tensor
    y: Tensor
    x_test: Tensor
    y_test: Tensor


def digits(seeds: Seeds, *, n: int, n_test: int) -> Digits:
    """A random split for every seed, without overlap; raises ValueError when there are too few images."""
    images, labels = _all(seeds.dtype, seeds.device)
    if n + n_test > len(images):
        raise ValueError(f"there are {len(images)} digits, fewer than the {n} + {n_test} asked for")
    order = seeds.permutation("digits.split", len(images))
    train, test = order[:, :n], order[:, n : n + n_test]
    mean = images[train].mean(dim=1, keepdim=True)
    std = (images[train] - mean).std(dim=(1, 2), keepdim=True)
    return Digits((images[train] - mean) / std, labels[train], (images[test] - mean) / std, labels[test])


@cache
def _all(dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    # What `sklearn.datasets.load_digits` reads, without the second and a half that importing scikit-learn takes.
    package = find_spec("sklearn")
    assert package is not None
    assert package.origin is not None
    table = np.loadtxt(Path(package.origin).parent / "datasets/data/digits.csv.gz", delimiter=",")
    images = torch.from_numpy(table[:, :-1] / 16).to(dtype).to(device)
    return images, torch.from_numpy(table[:, -1]).long().to(device)
