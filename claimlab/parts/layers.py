"""Layers for a block of seeds: what a net asks of one, and torch's own by operators that take whole blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from claimlab.parts.initialisers import zeros
from claimlab.parts.norms import Running, batch_norm, group_norm, instance_norm, layer_norm
from claimlab.seeds import Seeds

Norm = Callable[[int], nn.Module]
"""Makes a norm of so many features or channels, such as `nn.BatchNorm1d` or `partial(nn.GroupNorm, 4)`."""

Activation = Callable[[], nn.Module]
"""Makes an activation, such as `nn.ReLU`."""

Buffers = Running | dict[str, Tensor] | None
"""What a layer remembers from one batch to the next, `[S, ...]` each; training moves it in place."""


class Layer(Protocol):
    """A norm or an activation of S seeds: a pure function of its parameters, but that it moves its buffers."""

    @property
    def size(self) -> int:
        """How many parameters it has."""
        ...

    @property
    def packed(self) -> bool:
        """Whether it takes images packed, as `claimlab.nets.conv` has them; otherwise `[S, N, C, H, W]`."""
        ...

    def init(self, seeds: Seeds, name: str) -> list[Tensor]:
        """First parameters, `[S, ...]` each; what is random in them is drawn under `name`."""
        ...

    def start(self, like: Tensor) -> Buffers:
        """Fresh buffers for the seeds of a tensor `[S, ...]`, of its dtype and on its device; None if it has none."""
        ...

    def __call__(
        self, parameters: list[Tensor], x: Tensor, buffers: Buffers = None, *, training: bool = True
    ) -> Tensor:
        """The outputs for dense activations `[S, N, ..., F]` or images. It may overwrite `x` if it is an activation."""
        ...


@dataclass(frozen=True)
class _Affine:
    """A norm with a gain and a shift, `[S, features]` each, and without buffers."""

    features: int
    eps: float
    size: ClassVar[int] = 2
    packed: ClassVar[bool] = True

    def init(self, seeds: Seeds, name: str) -> list[Tensor]:
        """Gain 1 and shift 0."""
        shift = zeros(seeds, self.features)
        return [torch.ones_like(shift), shift]

    def start(self, like: Tensor) -> Buffers:
        """Nothing is remembered."""
        return None


@dataclass(frozen=True)
class BatchNorm(_Affine):
    """`nn.BatchNorm1d` and `nn.BatchNorm2d` with gain, shift and running statistics."""

    momentum: float = 0.1

    def start(self, like: Tensor) -> Running:
        """Mean 0 and variance 1."""
        return Running.start(like.new_empty(len(like), self.features))

    def __call__(self, parameters: list[Tensor], x: Tensor, buffers: Any = None, *, training: bool = True) -> Tensor:
        """`claimlab.parts.norms.batch_norm`; raises ValueError as it does."""
        return batch_norm(x, *parameters, buffers, training=training, momentum=self.momentum, eps=self.eps)


@dataclass(frozen=True)
class LayerNorm(_Affine):
    """`nn.LayerNorm` over the last dimension."""

    packed: ClassVar[bool] = False

    def __call__(self, parameters: list[Tensor], x: Tensor, buffers: Any = None, *, training: bool = True) -> Tensor:
        """`claimlab.parts.norms.layer_norm`."""
        return layer_norm(x, *parameters, eps=self.eps)


@dataclass(frozen=True)
class GroupNorm(_Affine):
    """`nn.GroupNorm` of images."""

    groups: int = 1

    def __call__(self, parameters: list[Tensor], x: Tensor, buffers: Any = None, *, training: bool = True) -> Tensor:
        """`claimlab.parts.norms.group_norm`."""
        return group_norm(x, self.groups, *parameters, eps=self.eps)


@dataclass(frozen=True)
class InstanceNorm(_Affine):
    """`nn.InstanceNorm2d` with gain and shift."""

    def __call__(self, parameters: list[Tensor], x: Tensor, buffers: Any = None, *, training: bool = True) -> Tensor:
        """`claimlab.parts.norms.instance_norm`."""
        return instance_norm(x, *parameters, eps=self.eps)


@dataclass(frozen=True)
class Elementwise:
    """An activation that is one operator, which may write over its input.

    `backward` takes the gradient of its outputs, and the outputs, to the gradient of its inputs.
    """

    function: Callable[[Tensor], Tensor]
    backward: Callable[[Tensor, Tensor], Tensor]
    size: ClassVar[int] = 0
    packed: ClassVar[bool] = True

    def init(self, seeds: Seeds, name: str) -> list[Tensor]:
        """No parameters."""
        return []

    def start(self, like: Tensor) -> Buffers:
        """Nothing is remembered."""
        return None

    def __call__(self, parameters: list[Tensor], x: Tensor, buffers: Any = None, *, training: bool = True) -> Tensor:
        """The function of every entry."""
        return self.function(x)


def _same(x: Tensor) -> Tensor:
    return x


def _relu_backward(g: Tensor, y: Tensor) -> Tensor:
    return torch.ops.aten.threshold_backward(g, y, 0)


def _tanh_backward(g: Tensor, y: Tensor) -> Tensor:
    return torch.ops.aten.tanh_backward(g, y)


def _sigmoid_backward(g: Tensor, y: Tensor) -> Tensor:
    return torch.ops.aten.sigmoid_backward(g, y)


RELU = Elementwise(torch.relu_, _relu_backward)
_ACTIVATIONS: dict[type, Elementwise] = {
    nn.ReLU: RELU,
    nn.Tanh: Elementwise(torch.tanh_, _tanh_backward),
    nn.Sigmoid: Elementwise(torch.sigmoid_, _sigmoid_backward),
    nn.Identity: Elementwise(_same, lambda g, _: g),
}


def of_torch(module: nn.Module) -> Layer | None:
    """The layer of a block that computes what this module of torch does; None for any other module.

    A subclass is another module: what it computes is its own.
    """
    kind = type(module)
    if kind in _ACTIVATIONS:
        return _ACTIVATIONS[kind]
    match module:
        case nn.BatchNorm1d() | nn.BatchNorm2d() if kind in (nn.BatchNorm1d, nn.BatchNorm2d):
            if module.affine and module.track_running_stats and module.momentum is not None:
                return BatchNorm(module.num_features, module.eps, module.momentum)
        case nn.LayerNorm() if kind is nn.LayerNorm:
            if len(module.normalized_shape) == 1 and module.elementwise_affine and module.bias is not None:
                return LayerNorm(module.normalized_shape[0], module.eps)
        case nn.GroupNorm() if kind is nn.GroupNorm:
            if module.affine:
                return GroupNorm(module.num_channels, module.eps, module.num_groups)
        case nn.InstanceNorm2d() if kind is nn.InstanceNorm2d:
            if module.affine and not module.track_running_stats:
                return InstanceNorm(module.num_features, module.eps)
    return None
