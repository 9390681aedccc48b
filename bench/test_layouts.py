"""Ways to convolve S seeds at once: what was tried for the seed-batched core, and what each costs.

A step is one convolution of 3 x 3 with padding 1, forward and backward, images and weights of every seed its own.
Every way is given its images in the layout that suits it and hands its outputs on in the same layout, so that no
conversion is charged. All are checked against the loop in float64 before they are timed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor
from torch.func import vmap
from torch.nn import functional

from bench.timing import alternate


@dataclass(frozen=True)
class Case:
    """S seeds, N images of `size` x `size` pixels, C channels in and out."""

    seeds: int
    images: int
    channels: int
    size: int

    def __str__(self) -> str:
        return f"S={self.seeds} C={self.channels} {self.size}px N={self.images}"


CASES = (Case(16, 16, 16, 8), Case(16, 16, 32, 8), Case(16, 16, 16, 32), Case(64, 16, 8, 8))

Way = tuple[Callable[[Tensor], Tensor], Callable[[Tensor, Tensor], Tensor], Callable[[Tensor, int], Tensor]]
"""From images `[S, N, C, H, W]` to the way's layout; the convolution in it; and its outputs back."""


def loop(x: Tensor, weight: Tensor) -> Tensor:
    return torch.stack([functional.conv2d(own, w, padding=1) for own, w in zip(x, weight, strict=True)])


def grouped(x: Tensor, weight: Tensor) -> Tensor:
    return functional.conv2d(x, weight.flatten(0, 1), padding=1, groups=len(weight))


def unfolded(x: Tensor, weight: Tensor) -> Tensor:
    """im2col: the nine neighbours of every pixel as columns, and one matrix product a seed."""
    seeds, images, _, height, width = x.shape
    columns = functional.unfold(x.flatten(0, 1), 3, padding=1).unflatten(0, (seeds, images))  # [S, N, 9 C, H W]
    y = torch.matmul(weight.flatten(2)[:, None], columns)
    return y.unflatten(3, (height, width))


def shifted(x: Tensor, weight: Tensor) -> Tensor:
    """The sum of nine matrix products, one for each place in the kernel; images are `[S, N, H, W, C]`."""
    seeds, images, height, width, _ = x.shape
    padded = functional.pad(x, (0, 0, 1, 1, 1, 1))
    y = torch.zeros((), device=x.device, dtype=x.dtype)
    for row in range(3):
        for column in range(3):
            part = padded[:, :, row : row + height, column : column + width].flatten(1, 3)
            y = y + torch.bmm(part, weight[:, :, :, row, column].transpose(1, 2))
    return y.view(seeds, images, height, width, -1)


def packed(memory: torch.memory_format) -> Callable[[Tensor], Tensor]:
    return lambda x: x.transpose(0, 1).flatten(1, 2).contiguous(memory_format=memory)


def unpacked(y: Tensor, seeds: int) -> Tensor:
    return y.unflatten(1, (seeds, -1)).transpose(0, 1)


def same(x: Tensor, seeds: int = 0) -> Tensor:
    return x


WAYS: dict[str, Way] = {
    "loop": (same, loop, same),
    "grouped, NCHW": (packed(torch.contiguous_format), grouped, unpacked),
    "grouped, channels-last": (packed(torch.channels_last), grouped, unpacked),
    "vmap": (same, vmap(lambda x, w: functional.conv2d(x, w, padding=1)), same),
    "im2col and bmm": (same, unfolded, same),
    "nine shifted bmm": (
        lambda x: x.permute(0, 1, 3, 4, 2).contiguous(), shifted, lambda y, seeds: y.permute(0, 1, 4, 2, 3),
    ),
}  # fmt: skip


def steps(case: Case, dtype: torch.dtype, device: torch.device) -> dict[str, Callable[[], tuple[Tensor, ...]]]:
    """Each way's step; it returns outputs and gradients in the images' own order."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=dtype).to(device)

    images = normal(case.seeds, case.images, case.channels, case.size, case.size)
    upstream, kernels = torch.randn_like(images), normal(case.seeds, case.channels, case.channels, 3, 3)

    def step_of(way: Way) -> Callable[[], tuple[Tensor, ...]]:
        lay_out, convolve, _ = way
        x, grad = lay_out(images).requires_grad_(), lay_out(upstream)
        weight = kernels.clone().requires_grad_()

        def step() -> tuple[Tensor, ...]:
            y = convolve(x, weight)
            return (y, *torch.autograd.grad(y, (x, weight), grad))

        return step

    return {name: step_of(way) for name, way in WAYS.items()}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_layout(benchmark, case: Case, device: torch.device):
    exact = steps(Case(3, 2, 4, 5), torch.float64, device)
    wanted = exact["loop"]()
    for name, step in exact.items():
        y, d_x, d_weight = step()
        undo = WAYS[name][2]
        for got, want in zip((undo(y, 3), undo(d_x, 3), d_weight), wanted, strict=True):
            torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-10)
    timing = steps(case, torch.float32, device)
    timed = alternate(timing, device=device, seconds=4.0)
    benchmark.group = "ways to convolve all seeds"
    benchmark.extra_info.update(kind="layout", name=str(case), seconds={name: timed.median(name) for name in timing})
    benchmark.pedantic(timing["grouped, channels-last"], rounds=3)
