"""The multilayer perceptron for S seeds at once."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

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
    weights `[S, fan_in, fan_out]` and biases `[S, 1, fan_out]`. The last layer is linear.
    """

    widths: tuple[int, ...]
    activation: str = "relu"
    bias: bool = True

    def init(self, seeds: Seeds, scheme: str = "he", *, name: str = "init") -> list[Tensor]:
        """Parameters drawn by a scheme; raises ValueError for an unknown one.

        `he`: normal weights of variance 2 / fan-in, zero biases (He et al. 2015).
        `lecun`: normal weights of variance 1 / fan-in, zero biases (LeCun et al. 1998).
        `glorot`: weights and biases uniform within sqrt(6 / (fan-in + fan-out)), as scikit-learn's MLPs draw them for
        every activation but the sigmoid (Glorot & Bengio 2010 for the weights).
        `torch`: weights and biases uniform within 1 / sqrt(fan-in), the default of `torch.nn.Linear`.
        """
        parameters = []
        for layer, (fan_in, fan_out) in enumerate(pairwise(self.widths), start=1):
            weight, bias = f"{name}.w{layer}", f"{name}.b{layer}"
            match scheme:
                case "he" | "lecun":
                    std = math.sqrt((2 if scheme == "he" else 1) / fan_in)
                    parameters.append(seeds.normal(weight, fan_in, fan_out) * std)
                    if self.bias:
                        parameters.append(torch.zeros_like(parameters[-1][:, :1]))
                case "glorot" | "torch":
                    bound = math.sqrt(6 / (fan_in + fan_out)) if scheme == "glorot" else 1 / math.sqrt(fan_in)
                    parameters.append(seeds.uniform(weight, fan_in, fan_out, low=-bound, high=bound))
                    if self.bias:
                        parameters.append(seeds.uniform(bias, 1, fan_out, low=-bound, high=bound))
                case _:
                    raise ValueError(f"unknown initialisation {scheme!r}: choose he, lecun, glorot or torch")
        return parameters

    def __call__(self, parameters: list[Tensor], x: Tensor) -> Tensor:
        """The outputs `[S, N, widths[-1]]` for inputs `[S, N, widths[0]]`."""
        return self.hidden(parameters, x)[-1]

    def hidden(self, parameters: list[Tensor], x: Tensor) -> list[Tensor]:
        """The activations of every layer, `[S, N, width]` each; the last are the outputs."""
        activate = ACTIVATIONS[self.activation]
        layers = len(self.widths) - 1
        per_layer = 2 if self.bias else 1
        activations = []
        for layer in range(layers):
            weight = parameters[layer * per_layer]
            z = affine(x, weight, parameters[layer * per_layer + 1] if self.bias else None)
            x = activate(z) if layer < layers - 1 else z
            activations.append(x)
        return activations


def affine(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`x @ weight + bias`: activations `[S, N, fan_in]`, weights `[S, fan_in, fan_out]`, biases `[S, 1, fan_out]`.

    A layer with one input or one output is an outer or an inner product, for which a batched matrix product is slow.
    """
    if weight.shape[1] == 1:
        return x * weight if bias is None else torch.addcmul(bias, x, weight)
    if weight.shape[2] == 1:
        z = (x * weight.transpose(1, 2)).sum(dim=2, keepdim=True)
        return z if bias is None else z + bias
    return torch.bmm(x, weight) if bias is None else torch.baddbmm(bias, x, weight)
