"""A multilayer perceptron with dropout (Srivastava et al. 2014)."""

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor, nn

from claimlab.nets.dense import affine
from claimlab.nets.mlp import MLP
from claimlab.parts import RandomLayer, lift, parts
from claimlab.seeds import Seeds


@dataclass(frozen=True)
class DropoutMLP(MLP):
    """An MLP whose hidden units drop out with probability `p` in training, and in evaluation stay.

    It has the parameters of the MLP of the same widths, and draws the same initial weights. `train` gives it new masks
    at every step; called, it evaluates. Raises ValueError for a norm, which this net has no place for.
    """

    p: float = 0.5
    dropout: Callable[..., nn.Module] = field(default_factory=lambda: parts().dropout)

    def __post_init__(self) -> None:
        if self.norm is not None:
            raise ValueError("a DropoutMLP has no norm")

    def __call__(self, parameters: list[Tensor], x: Tensor) -> Tensor:
        """The outputs `[S, N, widths[-1]]` in evaluation for inputs `[S, N, widths[0]]`."""
        layer = RandomLayer(self.dropout(self.p))
        return self._outputs(parameters, x, lambda hidden, _: layer(hidden))

    def at_step(self, seeds: Seeds, step: int) -> Callable[[list[Tensor], Tensor], Tensor]:
        """The net with the masks of a step."""
        layer = RandomLayer(self.dropout(self.p))

        def dropping(hidden: Tensor, place: int) -> Tensor:
            return layer.drawn(seeds, f"dropout.{step}.{place}", hidden)

        return lambda parameters, x: self._outputs(parameters, x, dropping)

    def _outputs(self, parameters: list[Tensor], x: Tensor, dropping: Callable[[Tensor, int], Tensor]) -> Tensor:
        *hidden, readout = self.layers(parameters)
        activate, linear = lift(self.activation), 1 + self.bias
        for place, own in enumerate(hidden, start=1):
            x = dropping(activate(own[linear:], affine(x, *own[:linear])), place)
        return affine(x, *readout)
