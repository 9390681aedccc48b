"""Shampoo, for which torch has no class."""

import torch
from torch import Tensor


class Shampoo:
    """A matrix G of gradients is preconditioned on both sides (Gupta et al. 2018, arXiv 1802.09568, algorithm 1).

    L and R begin at eps times the identity and gain G Gᵀ and Gᵀ G at every step; W' = W - lr L^(-1/4) G R^(-1/4). A
    parameter is a matrix, or a block of them `[..., m, n]`, of which each is treated by itself.
    """

    def __init__(self, parameters: list[Tensor], *, lr: float, eps: float = 1e-4) -> None:
        self.parameters, self.lr, self.eps = parameters, lr, eps
        self.state = {p: {"left": _start(p, eps, -2), "right": _start(p, eps, -1)} for p in parameters}

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move the parameters."""
        for parameter, state in self.state.items():
            if (gradient := parameter.grad) is not None:
                state["left"] += gradient @ gradient.mT
                state["right"] += gradient.mT @ gradient
                left, right = (_inverse_fourth_root(state[side], self.eps) for side in ("left", "right"))
                parameter -= self.lr * (left @ gradient @ right)


def _start(parameter: Tensor, eps: float, dim: int) -> Tensor:
    size = parameter.shape[dim]
    identity = torch.eye(size, dtype=parameter.dtype, device=parameter.device)
    return eps * identity.repeat(*parameter.shape[:-2], 1, 1)


def _inverse_fourth_root(matrix: Tensor, least: float) -> Tensor:
    """M^(-1/4) of symmetric matrices, none of whose eigenvalues is below `least` but by rounding."""
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp(min=least).unsqueeze(-2) ** -0.25) @ vectors.mT
