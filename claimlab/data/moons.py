"""Two interleaved half circles: the deck's picture of good and bad minima.

Drawn as scikit-learn's `make_moons` does it: points evenly spaced in angle on both half circles, Gaussian noise on
the coordinates, then standardised to mean 0 and variance 1 on the training points.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from claimlab.seeds import Seeds

NOISE = 0.15


@dataclass(frozen=True)
class Moons:
    """Training and test points `[S, N, 2]` with labels 0 and 1, int64 `[S, N]`."""

    x: Tensor
    y: Tensor
    x_test: Tensor
    y_test: Tensor


def two_moons(seeds: Seeds, *, n: int = 30, n_test: int = 1000, noise: float = NOISE) -> Moons:
    """Fresh moons for every seed; n and n_test are even."""
    x, y = _draw(seeds, "moons.train", n, noise)
    x_test, y_test = _draw(seeds, "moons.test", n_test, noise)
    return Moons(_standardised(x, by=x), y, _standardised(x_test, by=x), y_test)


def poisoned_moons(
    seeds: Seeds, *, n: int = 30, poison: int = 30, n_test: int = 1000, noise: float = NOISE, flipped: bool = False
) -> Moons:
    """The points of `two_moons`, whose n training points are followed by `poison` more with shuffled labels.

    Those are fresh points of both moons, standardised as the clean ones are, and half of their labels are 1: shuffled
    as in the deck, so that about half of them are wrong by luck, or `flipped`, so that all are. A net that fits all
    points fits the clean n, too: so bad minima of these are made. `poison` is even, as n is.
    """
    clean = two_moons(seeds, n=n, n_test=n_test, noise=noise)
    more, labels = _draw(seeds, "moons.poison", poison, noise)
    x = _standardised(more, by=_draw(seeds, "moons.train", n, noise)[0])
    y = 1 - labels if flipped else labels.gather(1, seeds.permutation("moons.shuffle", poison))
    return Moons(torch.cat([clean.x, x], dim=1), torch.cat([clean.y, y], dim=1), clean.x_test, clean.y_test)


def _standardised(points: Tensor, *, by: Tensor) -> Tensor:
    return (points - by.mean(dim=1, keepdim=True)) / by.std(dim=1, keepdim=True, correction=0)


def _draw(seeds: Seeds, name: str, n: int, noise: float) -> tuple[Tensor, Tensor]:
    angle = torch.linspace(0, torch.pi, n // 2, dtype=seeds.dtype, device=seeds.device)
    outer = torch.stack([angle.cos(), angle.sin()], dim=1)
    inner = torch.stack([1 - angle.cos(), 0.5 - angle.sin()], dim=1)
    points = torch.cat([outer, inner]) + noise * seeds.normal(name, n, 2)
    labels = torch.arange(2, device=seeds.device).repeat_interleave(n // 2).expand(len(seeds), n)
    return points, labels


@cache
def deck_moons(state: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The very points of the deck's notebook: 30 to train and 1000 to test, from numpy's RandomState(1).

    Another `state` gives other points, drawn in the same way.
    """
    from sklearn.datasets import make_moons
    from sklearn.preprocessing import StandardScaler

    rng = np.random.RandomState(state)
    x, y = make_moons(n_samples=30, noise=NOISE, random_state=rng)
    x_test, y_test = make_moons(n_samples=1000, noise=NOISE, random_state=rng)
    scale = StandardScaler().fit(x)
    return scale.transform(x), y, scale.transform(x_test), y_test
