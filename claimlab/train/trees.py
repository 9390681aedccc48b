"""Regression trees of one input, a block of seeds at once."""

import torch
from torch import Tensor


def regression_trees(x: Tensor, y: Tensor, points: Tensor, *, leaves: int) -> Tensor:
    """What trees fitted to inputs and targets, `[S, N]` each, answer at points `[S, M]`: the means of their leaves.

    They are grown best first (CART): the next cut is, of all that any leaf offers, the one that takes most off the sum
    of squares. A leaf is a stretch of the sorted inputs, so one pass over all N - 1 gaps between them finds it. There
    must be more different inputs than cuts.
    """
    x, order = x.sort(dim=1)
    sums = torch.nn.functional.pad(y.gather(1, order).cumsum(dim=1), (1, 0))  # of the first 0, 1, ..., N targets
    gaps = torch.arange(1, x.shape[1], device=x.device).repeat(len(x), 1)
    ends = torch.tensor([0, x.shape[1]], device=x.device).repeat(len(x), 1)  # where leaves begin and end
    for _ in range(leaves - 1):
        leaf = torch.searchsorted(ends, gaps, right=True)
        begin, end = ends.gather(1, leaf - 1), ends.gather(1, leaf)
        left, right = gaps - begin, end - gaps
        here = sums[:, 1:-1]
        difference = (here - sums.gather(1, begin)) / left - (sums.gather(1, end) - here) / right
        gain = difference.square() * left * right / (left + right)
        gain[(left == 0) | (x[:, 1:] == x[:, :-1])] = -1.0  # cut already, or inputs that are the same
        ends = torch.cat([ends, gain.argmax(dim=1, keepdim=True) + 1], dim=1).sort(dim=1).values
    means = sums.gather(1, ends).diff(dim=1) / ends.diff(dim=1)
    cuts = ends[:, 1:-1]
    middles = (x.gather(1, cuts - 1) + x.gather(1, cuts)) / 2
    return means.gather(1, torch.searchsorted(middles, points.contiguous()))
