"""The deck's regression problem: a sine with noise on (0, 1), and zeros without noise on (-1, 0).

Nine tenths of the inputs are uniform on (0, 1) with y = sin(2 pi x) + 0.4 N(0, 1); one tenth is uniform on (-1, 0)
with y = 0 exactly. The best possible mean squared error is therefore 0.9 * 0.16 = 0.144.
"""

import math
from functools import cache

import numpy as np
import torch
from torch import Tensor

from claimlab.seeds import Seeds

NOISE = 0.4
BAYES_RISK = 0.9 * NOISE**2


def noisy_sine(seeds: Seeds, name: str, n: int, *, noise: float = NOISE) -> tuple[Tensor, Tensor]:
    """Inputs `[S, n, 1]` and targets `[S, n]`, in random order."""
    n_sine = int(0.9 * n)
    sine = seeds.uniform(f"{name}.sine", n_sine)
    flat = seeds.uniform(f"{name}.flat", n - n_sine, low=-1.0, high=0.0)
    targets = torch.sin(2 * math.pi * sine) + noise * seeds.normal(f"{name}.noise", n_sine)
    x, y = torch.cat([sine, flat], dim=1), torch.cat([targets, torch.zeros_like(flat)], dim=1)
    order = seeds.permutation(f"{name}.order", n)
    return x.gather(1, order)[..., None], y.gather(1, order)


def true_function(x: Tensor) -> Tensor:
    """The noiseless target: the sine for x > 0, zero elsewhere."""
    return torch.where(x > 0, torch.sin(2 * math.pi * x), torch.zeros_like(x))


def evaluation_grid(seeds: Seeds, points: int = 1000) -> Tensor:
    """The midpoints of `points` equal cells of (-1, 0), then of as many of (0, 1), `[S, 2 * points, 1]`."""
    cells = torch.arange(points, dtype=seeds.dtype, device=seeds.device)
    middles = (cells + 0.5) / points
    return torch.cat([middles - 1, middles])[:, None].expand(len(seeds), -1, 1)


def excess_risk(outputs: Tensor, grid: Tensor) -> Tensor:
    """The expected squared error above the best possible, `[S]`, of outputs `[S, 2 * points, 1]` on the grid.

    The integral of (output - true function)^2 over the law of the inputs, by the midpoint rule: a test set without
    test noise.
    """
    flat, sine = (outputs - true_function(grid))[..., 0].square().chunk(2, dim=1)
    return 0.1 * flat.mean(dim=1) + 0.9 * sine.mean(dim=1)


@cache
def deck_noisy_sine(n: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The very samples of the deck's notebook, inputs `[n, 1]` and targets `[n]`.

    The deck's tables of trees and nets come out of them to all four digits (see the claims that cover H8 and H10). The
    notebook seeds the generator of the noise like the generator of the inputs, so the noise is a function of the
    inputs' own random bits. That is kept here: it is what the deck's tables were made of.
    """
    from sklearn.utils import shuffle

    n_sine = int(0.9 * n)
    rng = np.random.RandomState(seed)
    sine = rng.uniform(0, 1, size=(n_sine, 1))
    targets = np.sin(2 * np.pi * sine[:, 0]) + NOISE * np.random.RandomState(seed).randn(n_sine)
    flat = rng.uniform(-1, 0, size=(n - n_sine, 1))
    return tuple(shuffle(np.vstack([sine, flat]), np.append(targets, np.zeros(n - n_sine)), random_state=rng))
