"""Bounds on the largest distance between two functions on an interval, from their values at the points of a grid.

Let d be the difference, and let V be its total variation between two neighbouring points s and t: how far it goes
there, up and down added. A point x between them splits V into the way from s and the way to t, and as |d(x)| is at most
|d(s)| plus the one and at most |d(t)| plus the other,

    |d(x)| <= (|d(s)| + |d(t)| + V) / 2.

A function that only rises or only falls from s to t varies by |f(t) - f(s)|, one of Lipschitz constant L by at most
L (t - s), and the variations of a sum are at most the sum of the variations. So a net of steep monotone units is
bounded by their values alone.
"""

import numpy as np

ROUNDED = 2.0**-50  # more than the relative error of the four operations below, each 2^-53


def sup_bounds(difference: np.ndarray, variation: np.ndarray, *, rounding: float) -> tuple[float, float]:
    """Two numbers between which the largest |d| on the interval lies.

    `difference` (`[n]`) is d at the points of the grid, the ends of the interval first and last. `variation`
    (`[n - 1]`) bounds from above how much d varies between neighbours. No number in either is off by more than
    `rounding`, an absolute error which the caller derives; what is rounded in here is allowed for in here.
    """
    if not (difference.ndim == 1 and variation.shape == (len(difference) - 1,) and len(variation)):
        raise ValueError(f"{variation.shape} variations do not fit between {difference.shape} differences.")
    if not (np.isfinite(difference).all() and np.isfinite(variation).all() and (variation >= -rounding).all()):
        raise ValueError("Differences must be finite, and variations finite and not negative.")
    apart = np.abs(difference)
    upper = np.max(apart[:-1] + apart[1:] + variation) / 2 + 1.5 * rounding
    return max(0.0, float(apart.max() - rounding) * (1 - ROUNDED)), float(upper) * (1 + ROUNDED)
