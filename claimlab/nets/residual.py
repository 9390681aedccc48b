"""The residual connection (He et al. 2016)."""

from collections.abc import Callable

import torch
from torch import Tensor


def residual(branch: Callable[[Tensor], Tensor], x: Tensor, *, scale: float = 1.0) -> Tensor:
    """x + scale * branch(x), in any layout; the branch returns the shape it is given."""
    return torch.add(x, branch(x), alpha=scale)
