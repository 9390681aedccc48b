"""The multilayer perceptron for S seeds at once."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from claimlab.nets.norm import batch_norm
from claimlab.seeds import Seeds

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu_,
    "tanh": torch.tanh_,
    "sigmoid": torch.sigmoid_,
    "identity": lambda z: z,
}


@dataclass(frozen=True)
class MLP:
    """A net of the given layer widths, input first: `MLP((64, 256, 10))` has one hidden layer.

    It is a pure function of its parameters, a list `[w1, b1, w2, b2, ...]` (`[w1, w2, ...]` without bias) with
    weights `[S, fan_in, fan_out]` and biases `[S, 1, fan_out]`. The last layer is linear. With `norm="batch"` what goes
    into the hidden units is normalised by the batch at hand, and a hidden layer has a gain and a shift, `[S, fan_out]`
    each, in the place of its bias.
    """

    widths: tuple[int, ...]
    activation: str = "relu"
    bias: bool = True
    norm: Literal["batch", "none"] = "none"

    def init(self, seeds: Seeds, scheme: str = "he", *, name: str = "init") -> list[Tensor]:
        """Parameters drawn by a scheme; raises ValueError for an unknown one. With batch norm gains 1 and shifts 0.

        `he`: normal weights of variance 2 / fan-in, zero biases (He et al. 2015).
        `lecun`: normal weights of variance 1 / fan-in, zero biases (LeCun et al. 1998).
        `glorot`: weights and biases uniform within sqrt(6 / (fan-in + fan-out)), as scikit-learn's MLPs draw them for
        every activation but the sigmoid (Glorot & Bengio 2010 for the weights).
        `torch`: weights and biases uniform within 1 / sqrt(fan-in), the default of `torch.nn.Linear`.
        """
        parameters = []
        for layer, (fan_in, fan_out) in enumerate(pairwise(self.widths), start=1):
            match scheme:
                case "he" | "lecun":
                    weight = seeds.normal(f"{name}.w{layer}", fan_in, fan_out)
                    weight = weight * math.sqrt((2 if scheme == "he" else 1) / fan_in)
                    bias = torch.zeros_like(weight[:, :1])
                case "glorot" | "torch":
                    bound = math.sqrt(6 / (fan_in + fan_out)) if scheme == "glorot" else 1 / math.sqrt(fan_in)
                    weight = seeds.uniform(f"{name}.w{layer}", fan_in, fan_out, low=-bound, high=bound)
                    bias = seeds.uniform(f"{name}.b{layer}", 1, fan_out, low=-bound, high=bound)
                case _:
                    raise ValueError(f"unknown initialisation {scheme!r}: choose he, lecun, glorot or torch")
            if self.norm == "batch" and layer < len(self.widths) - 1:
                parameters += [weight, torch.ones_like(bias[:, 0]), torch.zeros_like(bias[:, 0])]
            else:
                parameters += [weight, bias] if self.bias else [weight]
        return parameters

    def layers(self, parameters: list[Tensor]) -> list[list[Tensor]]:
        """The parameters of every layer, weight first."""
        each = 3 if self.norm == "batch" else 1 + self.bias
        return [parameters[first : first + each] for first in range(0, each * (len(self.widths) - 1), each)]

    def __call__(self, parameters: list[Tensor], x: Tensor) -> Tensor:
        """The outputs `[S, N, widths[-1]]` for inputs `[S, N, widths[0]]`."""
        activate = ACTIVATIONS[self.activation]
        *hidden, readout = self.layers(parameters)
        for layer in hidden:
            x = activate(self._into_units(x, *layer))
        return affine(x, *readout)

    def pre_activations(self, parameters: list[Tensor], x: Tensor) -> list[Tensor]:
        """What goes into the units of every layer, `[S, N, width]` each; the last are the outputs."""
        activate = ACTIVATIONS[self.activation]
        *hidden, readout = self.layers(parameters)
        inputs = []
        for layer in hidden:
            inputs.append(self._into_units(x, *layer))
            x = activate(inputs[-1].clone())
        return [*inputs, affine(x, *readout)]

    def _into_units(self, x: Tensor, weight: Tensor, *affine_part: Tensor) -> Tensor:
        if self.norm == "none":
            return affine(x, weight, *affine_part)
        gain, shift = affine_part
        return batch_norm(affine(x, weight), gain, shift, None, training=True)


def affine(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`x @ weight + bias`: activations `[S, N, fan_in]`, weights `[S, fan_in, fan_out]`, biases `[S, 1, fan_out]`.

    A layer with one input or one output is an outer or an inner product, for which a batched matrix product is slow.
    """
    if weight.shape[1] == 1:
        return x * weight if bias is None else torch.addcmul(bias, x, weight)
    if weight.shape[2] == 1:
        z = (x * weight.transpose(1, 2)).sum(dim=2, keepdim=True)
        return z if bias is None else z + bias
    return torch.bmm(x, weight) if bias is None else torch.baddbmm(bias, x, weight)
