"""The residual connection (He et al. 2016), and a multilayer perceptron of residual layers."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from claimlab.nets.dense import affine
from claimlab.nets.mlp import MLP
from claimlab.parts import lift


def residual(branch: Callable[[Tensor], Tensor], x: Tensor, *, scale: float = 1.0) -> Tensor:
    """x + scale * branch(x), in any layout; the branch returns the shape it is given."""
    return torch.add(x, branch(x), alpha=scale)


@dataclass(frozen=True)
class ResidualMLP(MLP):
    """An MLP whose first layer is linear and whose other hidden layers add to their input: x + scale relu(x W + b).

    It has the parameters of the MLP of the same widths, and draws the same initial weights. Hidden widths are equal.
    Unless said otherwise the scale is one over the number of the hidden layers that add, which keeps the activations'
    size at any depth (Hanin & Rolnick 2018). Raises ValueError for a norm, which this net has no place for.
    """

    scale: float | None = None

    def __post_init__(self) -> None:
        if self.norm is not None:
            raise ValueError("a ResidualMLP has no norm")

    def __call__(self, parameters: list[Tensor], x: Tensor) -> Tensor:
        """The outputs `[S, N, widths[-1]]` for inputs `[S, N, widths[0]]`."""
        return self.pre_activations(parameters, x)[-1]

    def pre_activations(self, parameters: list[Tensor], x: Tensor) -> list[Tensor]:
        """What comes out of the first layer, what goes into the units of every other, and the outputs."""
        first, *hidden, readout = self.layers(parameters)
        activate, linear = lift(self.activation), 1 + self.bias
        scale = 1 / max(1, len(hidden)) if self.scale is None else self.scale
        inputs = [affine(x, *first[:linear])]
        x = inputs[0]
        for own in hidden:
            inputs.append(affine(x, *own[:linear]))
            x = torch.add(x, activate(own[linear:], inputs[-1].clone()), alpha=scale)
        return [*inputs, affine(x, *readout)]
