"""Counts of parameters."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from torch import Tensor


def mlp_parameters(widths: Sequence[int], *, bias: bool = True) -> int:
    """The number of parameters of a fully connected net, input width first."""
    return sum((fan_in + bias) * fan_out for fan_in, fan_out in pairwise(widths))


def elements(tensors: Iterable[Tensor]) -> int:
    """The number of entries of all tensors together."""
    return sum(tensor.numel() for tensor in tensors)
