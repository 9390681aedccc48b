"""Sawtooth functions, the nets that make them by folding, and how near other functions come to them.

A *sawtooth* of n laps runs up from 0 to 1 and down again on [0, 1], n times in all, along straight lines of equal
length. Composed with a sawtooth of m laps, it is one of m * n laps: each lap covers all of [0, 1] once.
"""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from claimlab.measure.piecewise import Layer, PiecewiseLinear, through

TENT = through([(0, 0), (Fraction(1, 2), 1), (1, 0)])
"""Up on [0, 1/2], down on [1/2, 1], and 0 elsewhere."""


def sawtooth(laps: int) -> PiecewiseLinear:
    """The sawtooth of so many laps; it goes on level outside [0, 1]."""
    return through((Fraction(i, laps), i % 2) for i in range(laps + 1))


def sawtooth_net(folds: Sequence[int]) -> list[Layer]:
    """The net whose i-th hidden layer, of folds[i] units, makes folds[i] laps of every lap before it.

    On [0, 1] a sawtooth of m laps is relu(m x) - relu(2 m x - 2) + relu(2 m x - 4) - ..., of m terms: units whose sum
    with alternating signs the next layer takes. With `folds` [2, 2, ...] the net computes the tent of the tent of ...
    """
    layers: list[Layer] = []
    signs = [1]
    for m in folds:
        slopes = [m, *[2 * m] * (m - 1)]
        layers.append(([[slope * sign for sign in signs] for slope in slopes], [-2 * unit for unit in range(m)]))
        signs = [(-1) ** unit for unit in range(m)]
    return [*layers, ([signs], [0])]


def best_fits(f: PiecewiseLinear, *, cells: int, heights: Sequence[Fraction], pieces: int) -> list[PiecewiseLinear]:
    """The nearest functions to f on [0, 1] of 1, 2, ..., `pieces` pieces that have corners on a grid and no jumps.

    Corners are at multiples of 1 / cells and have one of the `heights`; f may bend at these multiples only. Nearest is
    in the L1 distance, by dynamic programming in floating point: rounding may pick a fit that is worse than the best
    by as much, and every fit is exact as a function.
    """
    xs = [Fraction(i, cells) for i in range(cells + 1)]
    cost = _costs(np.array([float(f(x)) for x in xs]), np.array([float(height) for height in heights]))
    least = np.zeros((cells + 1, len(heights)))  # of fits on [0, x] that end at a height
    least[1:] = np.inf
    before: list[np.ndarray] = []
    fits = []
    for _ in range(pieces):
        through_corner = (least[:, None, :, None] + cost).transpose(1, 3, 0, 2).reshape(*least.shape, -1)
        before.append(through_corner.argmin(axis=2))
        least = through_corner.min(axis=2)
        corner = (cells, int(least[-1].argmin()))
        corners = [corner]
        for best in reversed(before):
            corner = divmod(int(best[corner]), len(heights))
            corners.append(corner)
        fits.append(through((xs[at], heights[height]) for at, height in reversed(corners)))
    return fits


def _costs(f: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """The L1 distance from f of the line between two corners, `[corner, corner, height, height]`; inf if not ordered.

    `f` has the values on the grid.
    """
    cells = len(f) - 1
    cost = np.full((cells + 1, cells + 1, len(heights), len(heights)), np.inf)
    for width in range(1, cells + 1):
        share, start = np.linspace(0, 1, width + 1), np.arange(cells + 1 - width)
        lines = heights[:, None, None] * (1 - share) + heights[:, None] * share
        gap = lines - np.lib.stride_tricks.sliding_window_view(f, width + 1)[:, None, None]
        u, v = np.abs(gap[..., :-1]), np.abs(gap[..., 1:])
        crossing = gap[..., :-1] * gap[..., 1:] < 0  # two triangles instead of a trapezoid
        area = np.where(crossing, u * u + v * v, (u + v) ** 2) / np.maximum(2 * (u + v), np.finfo(float).tiny)
        cost[start, start + width] = area.sum(axis=-1) / cells
    return cost
