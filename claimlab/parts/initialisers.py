"""How the first weights and biases of a net are drawn, for a block of seeds at once."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from claimlab.seeds import Seeds


@runtime_checkable
class Initialiser(Protocol):
    """Weights and biases of one layer. Its weights' shape tells dense layers, `fan_in, fan_out`, from convolutions,
    `fan_out, inputs, *kernel`.
    """

    def weight(self, seeds: Seeds, name: str, *shape: int) -> Tensor:
        """Weights `[S, *shape]`, drawn under `name`."""
        ...

    def bias(self, seeds: Seeds, name: str, *shape: int) -> Tensor:
        """Biases `[S, fan_out]` for weights of the shape, drawn under `name`."""
        ...


Initialise = Initialiser | Callable[[Tensor], Any]
"""An initialiser, or what fills one weight in torch's layout, as `torch.nn.init.orthogonal_` does."""


@dataclass(frozen=True)
class Normal:
    """Normal weights of variance `gain` / fan-in, zero biases."""

    gain: float

    def weight(self, seeds: Seeds, name: str, *shape: int) -> Tensor:
        """Weights `[S, *shape]`."""
        return seeds.normal(name, *shape) * math.sqrt(self.gain / fans(shape)[0])

    def bias(self, seeds: Seeds, name: str, *shape: int) -> Tensor:
        """Zeros `[S, fan_out]`."""
        return zeros(seeds, _outputs(shape))


@dataclass(frozen=True)
class Uniform:
    """Weights and biases uniform within a bound of the fan-in and the fan-out."""

    bound: Callable[[int, int], float]

    def weight(self, seeds: Seeds, name: str, *shape: int) -> Tensor:
        """Weights `[S, *shape]`."""
        bound = self.bound(*fans(shape))
        return seeds.uniform(name, *shape, low=-bound, high=bound)

    def bias(self, seeds: Seeds, name: str, *shape: int) -> Tensor:
        """Biases `[S, fan_out]`."""
        bound = self.bound(*fans(shape))
        return seeds.uniform(name, _outputs(shape), low=-bound, high=bound)


@dataclass(frozen=True)
class Filling:
    """Weights that a function fills in place, each seed's alone and in torch's layout, and zero biases.

    The function draws from torch's global generator, which is set for every seed and put back.
    """

    fill: Callable[[Tensor], Any]

    def weight(self, seeds: Seeds, name: str, *shape: int) -> Tensor:
        """Weights `[S, *shape]`."""
        dense = len(shape) == 2
        weight = torch.empty(len(seeds), *(reversed(shape) if dense else shape), dtype=seeds.dtype)
        for own, start in zip(weight, seeds.integers(name, high=2**63 - 1).tolist(), strict=True):
            with torch.random.fork_rng(devices=()), torch.no_grad():
                torch.default_generator.manual_seed(start)
                self.fill(own)
        return (weight.mT.contiguous() if dense else weight).to(seeds.device)

    def bias(self, seeds: Seeds, name: str, *shape: int) -> Tensor:
        """Zeros `[S, fan_out]`."""
        return zeros(seeds, _outputs(shape))


def initialiser(part: Initialise) -> Initialiser:
    """The part itself, or the initialiser that a function like those of `torch.nn.init` makes."""
    return part if isinstance(part, Initialiser) else Filling(part)


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Fan-in and fan-out of weights, dense `fan_in, fan_out` or convolutional `fan_out, inputs, *kernel`."""
    if len(shape) == 2:
        return shape[0], shape[1]
    return math.prod(shape[1:]), shape[0] * math.prod(shape[2:])


def zeros(seeds: Seeds, *shape: int) -> Tensor:
    """Zeros `[S, *shape]`."""
    return torch.zeros(len(seeds), *shape, dtype=seeds.dtype, device=seeds.device)


def _outputs(shape: tuple[int, ...]) -> int:
    return shape[1] if len(shape) == 2 else shape[0]


he = Normal(2.0)
"""For ReLU nets (He et al. 2015)."""

lecun = Normal(1.0)
"""Keeps the variance of a linear layer (LeCun et al. 1998)."""

glorot = Uniform(lambda fan_in, fan_out: math.sqrt(6 / (fan_in + fan_out)))
"""Glorot & Bengio 2010 for the weights; the biases are as in scikit-learn's MLPs, but for those of sigmoid units."""

of_torch = Uniform(lambda fan_in, fan_out: 1 / math.sqrt(fan_in))
"""The default of `torch.nn.Linear` and `torch.nn.Conv2d`."""
