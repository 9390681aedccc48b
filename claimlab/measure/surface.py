"""A loss surface known with its derivatives: Newton's method on it, and whether weights lie at a strict minimum.

Weights are `[M, n, d]`, of M points at once.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Surface:
    """A loss of weights, `[M]`, its gradient `[M, n, d]` and its Hessian `[M, n d, n d]`."""

    loss: Callable[[Tensor], Tensor]
    gradient: Callable[[Tensor], Tensor]
    hessian: Callable[[Tensor], Tensor]

    def newtons_step(self, weights: Tensor) -> Tensor:
        """Where the gradient vanishes if it goes on as it does here; anywhere, if the Hessian is singular."""
        step, _ = torch.linalg.solve_ex(self.hessian(weights), self.gradient(weights).flatten(-2))
        return weights - step.reshape(weights.shape)

    def at_strict_minimum(
        self,
        weights: Tensor,
        *,
        above: float,
        within: float = 0.1,
        steepness: float = 1e-3,
        gradient: float = 1e-9,
        curvature: float = 1e-3,
        steps: int = 4,
    ) -> Tensor:
        """Whether Newton's method finds a strict minimum with a loss `above` something `within` reach, bool `[M]`.

        Its gradient must have a norm below `gradient` and its Hessian no eigenvalue below `curvature`. It is looked for
        only where the weights have a gradient below `steepness`.
        """
        found = torch.zeros(len(weights), dtype=torch.bool, device=weights.device)
        flat = (norm(self.gradient(weights)) < steepness) & (self.loss(weights) > above)
        if not flat.any():
            return found
        ends = weights[flat]
        for _ in range(steps):
            ends = self.newtons_step(ends)
        hessian = self.hessian(ends)
        hessian.diagonal(dim1=1, dim2=2).sub_(curvature)
        strict = torch.linalg.cholesky_ex(hessian)[1] == 0
        still = (norm(self.gradient(ends)) < gradient) & (self.loss(ends) > above)
        found[flat] = strict & still & (norm(ends - weights[flat]) < within)
        return found


def norm(weights: Tensor) -> Tensor:
    """Of all of a point's weights together, `[M]`."""
    return torch.linalg.vector_norm(weights, dim=(-2, -1))
