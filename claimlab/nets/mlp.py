"""The multilayer perceptron for S seeds at once."""

from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, pairwise

from torch import Tensor

from claimlab.nets.dense import affine, dense
from claimlab.parts import Activation, Initialise, Layer, Norm, initialiser, lift, parts
from claimlab.parts.layers import Elementwise
from claimlab.seeds import Seeds


@dataclass(frozen=True)
class MLP:
    """A net of the given layer widths, input first: `MLP((64, 256, 10))` has one hidden layer.

    It is a pure function of its parameters, a list `[w1, b1, w2, b2, ...]` (`[w1, w2, ...]` without bias) with
    weights `[S, fan_in, fan_out]` and biases `[S, 1, fan_out]`. The last layer is linear. `activation` makes that of
    the hidden units, `parts().relu` by default. A `norm`, such as `nn.BatchNorm1d`, is made for each hidden width and
    normalises what goes into the units by the batch at hand; a hidden layer then has the norm's parameters, for torch's
    own a gain and a shift `[S, fan_out]`, in the place of its bias. An activation's parameters are its layer's last.
    """

    widths: tuple[int, ...]
    activation: Activation = field(default_factory=lambda: parts().relu)
    bias: bool = True
    norm: Norm | None = None

    def init(self, seeds: Seeds, scheme: Initialise | None = None, *, name: str = "init") -> list[Tensor]:
        """Parameters whose weights and biases an initialiser draws, `parts().he_init` by default."""
        draw = initialiser(scheme or parts().he_init)
        parameters = []
        for place, (fans, hidden) in enumerate(zip(pairwise(self.widths), [*self._hidden, None], strict=True), start=1):
            parameters.append(draw.weight(seeds, f"{name}.w{place}", *fans))
            norm, activate = hidden or (None, None)
            if norm is not None:
                parameters += norm.init(seeds, f"{name}.norm{place}")
            elif self.bias:
                parameters.append(draw.bias(seeds, f"{name}.b{place}", *fans).unsqueeze(1))
            if activate is not None:
                parameters += activate.init(seeds, f"{name}.activation{place}")
        return parameters

    def layers(self, parameters: list[Tensor]) -> list[list[Tensor]]:
        """The parameters of every layer, weight first."""
        return [parameters[place] for place in self._places]

    def __call__(self, parameters: list[Tensor], x: Tensor) -> Tensor:
        """The outputs `[S, N, widths[-1]]` for inputs `[S, N, widths[0]]`."""
        if self._plain:
            return dense(parameters, x, activation=self._plain, bias=self.bias)
        *hidden, readout = self.layers(parameters)
        for (norm, activate), own in zip(self._hidden, hidden, strict=True):
            end = len(own) - activate.size
            x = activate(own[end:], _into_units(x, norm, *own[:end]))
        return affine(x, *readout)

    def pre_activations(self, parameters: list[Tensor], x: Tensor) -> list[Tensor]:
        """What goes into the units of every layer, `[S, N, width]` each; the last are the outputs."""
        *hidden, readout = self.layers(parameters)
        inputs = []
        for (norm, activate), own in zip(self._hidden, hidden, strict=True):
            end = len(own) - activate.size
            inputs.append(_into_units(x, norm, *own[:end]))
            x = activate(own[end:], inputs[-1].clone())
        return [*inputs, affine(x, *readout)]

    @cached_property
    def _hidden(self) -> list[tuple[Layer | None, Layer]]:
        """The norm and the activation of every hidden layer."""
        return [
            (None if self.norm is None else lift(self.norm, width), lift(self.activation))
            for width in self.widths[1:-1]
        ]

    @cached_property
    def _plain(self) -> Elementwise | None:
        """The activation of a net that has nothing between its affine layers but one of torch's own."""
        activation = lift(self.activation)
        return activation if self.norm is None and isinstance(activation, Elementwise) else None

    @cached_property
    def _places(self) -> list[slice]:
        """Where the parameters of every layer are among all."""
        sizes = [1 + (self.bias if norm is None else norm.size) + activate.size for norm, activate in self._hidden]
        ends = [0, *accumulate([*sizes, 1 + self.bias])]
        return [slice(*place) for place in pairwise(ends)]


def _into_units(x: Tensor, norm: Layer | None, weight: Tensor, *own: Tensor) -> Tensor:
    """What goes into the units of a layer; `own` is its bias, if it has one, or the norm's parameters."""
    return affine(x, weight, *own) if norm is None else norm(list(own), affine(x, weight))
