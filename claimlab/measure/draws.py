"""The random numbers of a property's world, in float64 on the CPU.

Hypothesis draws small worlds well and large tensors badly: what it draws is the sizes and a seed, and the tensors come
from here. Each has a name and by it a stream of its own, so that a draw added to a world leaves the others as they are.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from claimlab.seeds import Seeds


@dataclass(frozen=True)
class Draws:
    """What one seed draws; asking twice for one name gives the same numbers twice.

    >>> Draws(7).normal("x", 8, 3).shape
    torch.Size([8, 3])
    """

    seed: int

    def normal(self, name: str, *shape: int) -> Tensor:
        """Standard normal draws `[*shape]`."""
        return self._block.normal(name, *shape)[0]

    def uniform(self, name: str, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Uniform draws `[*shape]` from `[low, high)`."""
        return self._block.uniform(name, *shape, low=low, high=high)[0]

    @property
    def _block(self) -> Seeds:
        return Seeds("", 0, "worlds", (self.seed,), dtype=torch.float64)
