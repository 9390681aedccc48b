"""Convolution, batch norm and ReLU: the cases, and the ways to write the block."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from claimlab.nets import Running
from claimlab.nets.conv import conv_bn_relu, conv_relu, fold

EPS = 1e-5


@dataclass(frozen=True)
class Case:
    """N images of `size` x `size` pixels, and a convolution."""

    channels: tuple[int, int]
    size: int
    kernel: int
    stride: int = 1
    images: int = 8
    groups: int = 1

    def __str__(self) -> str:
        depthwise = "depthwise " if self.groups > 1 else ""
        stride = f"/{self.stride}" if self.stride > 1 else ""
        return (
            f"{depthwise}{self.channels[0]}->{self.channels[1]} {self.size}px {self.kernel}x{self.kernel}{stride} "
            f"N={self.images}"
        )

    @property
    def padding(self) -> int:
        return self.kernel // 2

    @property
    def outputs(self) -> int:
        """The entries of the block's output."""
        side = (self.size + 2 * self.padding - self.kernel) // self.stride + 1
        return self.images * self.channels[1] * side**2

    @property
    def inputs(self) -> int:
        return self.images * self.channels[0] * self.size**2

    @property
    def weights(self) -> int:
        return self.channels[1] * self.channels[0] // self.groups * self.kernel**2

    def flops(self, mode: str) -> int:
        """Of the convolutions alone: one forward, and two of the same size backward."""
        forward = 2 * self.outputs * self.channels[0] // self.groups * self.kernel**2
        return forward * (3 if mode == "train" else 1)

    def bytes(self, mode: str) -> int:
        """The least float32 traffic, each tensor read or written once a pass that needs all of it.

        Evaluation reads the input and writes the output. Training writes the convolution's output, reads it for the
        statistics and again to normalise, and writes the result. Backward reads the upstream gradient and the
        convolution's output for the two sums, and again for the gradient that it writes; that is read by both
        convolutions, one of which reads the input and the other writes its gradient.
        """
        once = {"eval": 1, "forward": 4, "train": 4 + 5 + 2}[mode] * self.outputs
        return 4 * (once + (3 if mode == "train" else 1) * (self.inputs + self.weights))


CASES = (
    Case((3, 64), 224, 7, stride=2),
    Case((64, 64), 56, 3),
    Case((64, 256), 56, 1),
    Case((256, 64), 56, 1),
    Case((128, 128), 56, 3, stride=2),
    Case((512, 512), 7, 3),
    Case((144, 144), 56, 3, groups=144),
    Case((16, 16), 32, 3, images=128),
    Case((64, 64), 56, 3, images=1),
    Case((64, 64), 28, 1),  # the slide's own: 64 filters, 1 x 1
)
MODES = ("eval", "forward", "train")


@dataclass(frozen=True)
class World:
    """One case's tensors, in float32 and in the default memory format."""

    x: Tensor
    weight: Tensor
    gain: Tensor
    shift: Tensor
    mean: Tensor
    var: Tensor
    grad: Tensor

    def to(self, dtype: torch.dtype, memory: torch.memory_format = torch.contiguous_format) -> World:
        return World(*(t.to(dtype, memory_format=memory if t.ndim == 4 else torch.contiguous_format).clone(
            memory_format=torch.preserve_format) for t in vars(self).values()))  # fmt: skip


def draw(case: Case, device: torch.device) -> World:
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(device)

    inputs, outputs = case.channels
    fan_in = inputs // case.groups * case.kernel**2
    side = (case.size + 2 * case.padding - case.kernel) // case.stride + 1
    return World(
        x=normal(case.images, inputs, case.size, case.size),
        weight=normal(outputs, inputs // case.groups, case.kernel, case.kernel) * (2 / fan_in) ** 0.5,
        gain=1 + 0.1 * normal(outputs),
        shift=0.1 * normal(outputs),
        mean=0.1 * normal(outputs),
        var=1 + 0.1 * normal(outputs).abs(),
        grad=normal(case.images, outputs, side, side),
    )


Step = Callable[[], tuple[Tensor, ...]]
"""Runs a mode once; returns the output, and in training forward and backward also the gradients."""


def stock(case: Case, mode: str, world: World, *, wrap: Callable[[nn.Module], Any] = lambda block: block) -> Step:
    """nn.Conv2d, nn.BatchNorm2d and nn.ReLU, as a tutorial has them, in the memory format of the world's tensors."""
    inputs, outputs = case.channels
    convolution = nn.Conv2d(
        inputs, outputs, case.kernel, case.stride, case.padding, groups=case.groups, bias=False,
        device=world.x.device, dtype=world.x.dtype,
    )  # fmt: skip
    norm = nn.BatchNorm2d(outputs, device=world.x.device, dtype=world.x.dtype)
    with torch.no_grad():
        convolution.weight = nn.Parameter(world.weight)
        for parameter, value in ((norm.weight, world.gain), (norm.bias, world.shift)):
            parameter.copy_(value)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.copy_(world.mean)
        norm.running_var.copy_(world.var)
    block = nn.Sequential(convolution, norm, nn.ReLU())
    block.train(mode != "eval")
    return _step(mode, world, [convolution.weight, norm.weight, norm.bias], wrap(block))


def ours(case: Case, mode: str, world: World, *, keep: Literal["activations", "input"] = "activations") -> Step:
    """claimlab.nets.conv with one seed; evaluation folds the norm into the weights on every call."""
    parameters = [t.detach()[None].requires_grad_() for t in (world.weight, world.gain, world.shift)]
    running = Running(world.mean[None].clone(), world.var[None].clone())

    def block(x: Tensor) -> Tensor:
        return conv_bn_relu(
            x, parameters[0], parameters[1], parameters[2], running, training=mode != "eval", keep=keep,
            stride=case.stride, padding=case.padding, groups=case.groups, eps=EPS,
        )  # fmt: skip

    return _step(mode, world, parameters, block)


def folded(case: Case, mode: str, world: World) -> Step:
    """The norm folded into the weights once, as for many batches."""
    weight, bias = fold(*(t[None] for t in (world.weight, world.gain, world.shift, world.mean, world.var)), eps=EPS)
    return _step(
        mode, world, [],
        lambda x: conv_relu(x, weight, bias, stride=case.stride, padding=case.padding, groups=case.groups),
    )  # fmt: skip


def _step(mode: str, world: World, parameters: list[Tensor], block: Callable[[Tensor], Tensor]) -> Step:
    if mode != "train":

        def forward() -> tuple[Tensor, ...]:
            with torch.set_grad_enabled(mode != "eval"):
                return (block(world.x),)

        return forward
    x = world.x.detach().requires_grad_()
    return lambda: (output := block(x), *torch.autograd.grad(output, [x, *parameters], world.grad))


def compiled(case: Case, mode: str, world: World) -> Step:
    """The stock block, compiled for its shapes."""
    return stock(case, mode, world, wrap=partial(torch.compile, fullgraph=True, dynamic=False))


def variants(case: Case, mode: str, world: World, *, with_compile: bool = False) -> dict[str, Step]:
    """Every way to write the block that the mode allows."""
    last = world.to(torch.float32, torch.channels_last)
    half = world.to(torch.bfloat16, torch.channels_last)
    steps = {
        "stock NCHW": stock(case, mode, world),
        "stock channels-last": stock(case, mode, last),
        "stock bf16": stock(case, mode, half),
        "ours": ours(case, mode, last),
    }
    if mode == "eval":
        steps["ours, folded once"] = folded(case, mode, last)
    else:
        steps["ours, keeps input"] = ours(case, mode, last, keep="input")
    if with_compile:
        steps["compiled channels-last"] = compiled(case, mode, last)
    return steps


def check(step: Step, reference: Step, *, tolerance: float) -> None:
    """What will be timed agrees with float64: the norm of the difference, relative to the norm, of each tensor.

    Single entries may differ by more, because rounding moves a few of them across the ReLU's kink.
    """
    for got, want in zip(step(), reference(), strict=True):
        error = (got.double().reshape(want.shape) - want).norm() / want.norm()
        assert error <= tolerance, f"off by {error:.1e} of the norm"


def kept_bytes(step: Callable[[], object]) -> int:
    """The bytes a forward pass keeps for backward, each storage counted once."""
    storages = {}

    def note(tensor: Tensor) -> Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        outputs = step()  # keeps the graph alive while it is counted
    del outputs
    return sum(storages.values())
