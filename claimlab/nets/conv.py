"""Convolution, and its block with batch norm and ReLU, for S seeds at once.

Images of a block of seeds are packed: `[N, S * C, H, W]`, all channels of the first seed, then of the second, with the
channels last in memory. A convolution of S seeds is then one grouped convolution, and batch norm one batch norm of
S * C channels. Pooling and every other operator that treats channels apart works on packed images as it is. Weights
are `[S, C_out, C_in / groups, k, k]`. A signal `[S, N, C, L]` is an image of height 1, with kernels `1 x k`.
"""

import functools
import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import conv2d, pad

from claimlab.parts.norms import Running, batch_norm, require_a_spread

Size = int | tuple[int, int]


def pack(x: Tensor) -> Tensor:
    """Images `[S, N, C, H, W]`, or signals `[S, N, C, L]`, as packed images `[N, S * C, H, W]`, channels last.

    Raises ValueError for any other rank.
    """
    if x.ndim == 4:
        x = x.unsqueeze(3)
    if x.ndim != 5:
        raise ValueError(f"expected images [S, N, C, H, W] or signals [S, N, C, L], got {tuple(x.shape)}")
    return x.permute(1, 3, 4, 0, 2).flatten(3).contiguous().permute(0, 3, 1, 2)


def unpack(x: Tensor, seeds: int) -> Tensor:
    """The images `[S, N, C, H, W]` of packed ones, as a view."""
    return x.unflatten(1, (seeds, -1)).transpose(0, 1)


def mean_pool(x: Tensor, seeds: int) -> Tensor:
    """The mean of every channel over space: packed images to dense activations `[S, N, C]`."""
    # The gradient of a sum is a view of one number a channel; that of a mean would be written out, channels first.
    pooled = x.sum((2, 3)) / (x.shape[2] * x.shape[3])
    return pooled.unflatten(1, (seeds, -1)).transpose(0, 1)


def conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: Size = 1,
    padding: Size = 0,
    groups: int = 1,
) -> Tensor:
    """Cross-correlate packed images `[N, S * C_in, H, W]` with weights `[S, C_out, C_in / groups, kh, kw]`.

    `bias` is `[S, C_out]`. `stride` and `padding` (of zeros, on both sides) are pixels, one number or (vertical,
    horizontal). Torch raises RuntimeError for shapes that do not fit.
    """
    own = None if bias is None else bias.flatten()
    axes = tuple(map(_Axis, x.shape[2:], weight.shape[3:], _pair(stride), _pair(padding)))
    pairs = math.prod(axis.pixels * axis.outputs for axis in axes)
    # Where the kernel spans the whole image, one matrix a seed is several times as fast as a grouped convolution.
    if groups == 1 and 0 < pairs <= 2 * math.prod(weight.shape[3:]):
        return _conv_as_matrix(x, weight, own, axes)
    return conv2d(x, weight.flatten(0, 1), own, stride, padding, 1, len(weight) * groups)


class _Axis(NamedTuple):
    """One direction of a convolution."""

    pixels: int
    kernel: int
    stride: int
    padding: int

    @property
    def outputs(self) -> int:
        """Pixels of the output; none where the kernel is the larger."""
        return max((self.pixels + 2 * self.padding - self.kernel) // self.stride + 1, 0)


def _conv_as_matrix(x: Tensor, weight: Tensor, bias: Tensor | None, axes: tuple[_Axis, ...]) -> Tensor:
    """`conv` by the matrices `[S, H * W * C_in, h * w * C_out]` that take every input pixel to every output pixel."""
    seeds, channels = weight.shape[:2]
    by_tap = pad(weight.flatten(3).permute(0, 3, 2, 1), (0, 0, 0, 0, 0, 1))  # the last joins nothing: 0
    taps = _taps(axes).to(x.device)
    matrix = by_tap.index_select(1, taps.flatten()).unflatten(1, taps.shape).transpose(2, 3).flatten(3).flatten(1, 2)
    pixels = x.permute(0, 2, 3, 1).unflatten(3, (seeds, -1)).permute(3, 0, 1, 2, 4).flatten(2)  # [S, N, H * W * C_in]
    y = torch.bmm(pixels, matrix).unflatten(2, (axes[0].outputs, axes[1].outputs, channels))
    y = y.permute(1, 2, 3, 0, 4).flatten(3)
    return (y if bias is None else y + bias).permute(0, 3, 1, 2)


@functools.cache
def _taps(axes: tuple[_Axis, ...]) -> Tensor:
    """The tap of the kernel that takes an input pixel to an output pixel, `[H * W, h * w]`; their number for none."""
    offsets = [
        torch.arange(axis.pixels)[:, None] + axis.padding - axis.stride * torch.arange(axis.outputs) for axis in axes
    ]
    inside = [(offset >= 0) & (offset < axis.kernel) for offset, axis in zip(offsets, axes, strict=True)]
    (down, across), (rows, columns) = offsets, inside
    joined = rows[:, None, :, None] & columns[None, :, None, :]
    taps = down[:, None, :, None] * axes[1].kernel + across[None, :, None, :]
    return taps.where(joined, torch.tensor(axes[0].kernel * axes[1].kernel)).flatten(2).flatten(0, 1)


def conv_bn_relu(
    x: Tensor,
    weight: Tensor,
    gain: Tensor,
    shift: Tensor,
    running: Running | None,
    *,
    training: bool,
    keep: Literal["activations", "input"] = "activations",
    stride: Size = 1,
    padding: Size = 0,
    groups: int = 1,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """relu(batch_norm(conv(x))) of packed images; `gain` and `shift` are `[S, C_out]`, the rest as in its parts.

    Evaluation folds the norm into the weights, where they are fewer than the outputs (elsewhere scaling the outputs
    is cheaper); `fold` once and call `conv_relu` to evaluate many batches.

    Training keeps for the backward pass what stock torch keeps (`keep="activations"`: the input, the convolution's
    output and the block's), or the input alone (`keep="input"`), for which backward convolves once more. Gradients are
    the same up to rounding. With `keep="input"` they cannot be differentiated again.
    """
    if not training:
        if running is None:
            raise ValueError("evaluation needs running statistics")
        down, across = _pair(stride)
        outputs = x.shape[0] * x.shape[2] * x.shape[3] // (down * across)  # of a channel
        if outputs < math.prod(weight.shape[2:]):
            y = conv(x, weight, stride=stride, padding=padding, groups=groups)
            return batch_norm(y, gain, shift, running, training=False, eps=eps).relu_()
        folded, bias = fold(weight, gain, shift, running.mean, running.var, eps=eps)
        return conv_relu(x, folded, bias, stride=stride, padding=padding, groups=groups)
    if keep == "activations":
        y = conv(x, weight, stride=stride, padding=padding, groups=groups)
        return batch_norm(y, gain, shift, running, training=True, momentum=momentum, eps=eps).relu_()
    flat = (weight.flatten(0, 1), gain.flatten(), shift.flatten())
    buffers = (None, None) if running is None else (running.mean.view(-1), running.var.view(-1))
    geometry = (_pair(stride), _pair(padding), len(weight) * groups)
    return _Recomputing.apply(x, *flat, *buffers, geometry, momentum, eps)


def conv_relu(
    x: Tensor, weight: Tensor, bias: Tensor, *, stride: Size = 1, padding: Size = 0, groups: int = 1
) -> Tensor:
    """relu(conv(x)), arguments as `conv` has them.

    In float32 on a CPU, where no gradient is asked for, bias and ReLU are applied within the convolution; what ReLU
    sets to 0 may then come out as 1e-30 times what it was.
    """
    asked = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (x, weight, bias))
    if asked or x.device.type != "cpu" or x.dtype != torch.float32 or not torch.backends.mkldnn.is_available():
        return conv(x, weight, bias, stride=stride, padding=padding, groups=groups).relu_()
    # The operator torch.compile emits. oneDNN's own ReLU makes 0 of NaN, but a net that diverged must show it: a leaky
    # ReLU hands NaN on. A slope below 1e-30 would give subnormal numbers, which are slow.
    return torch.ops.mkldnn._convolution_pointwise(
        x, weight.flatten(0, 1), bias.flatten(), _pair(padding), _pair(stride), (1, 1), len(weight) * groups,
        "leaky_relu", [1e-30], "",
    )  # fmt: skip


def fold(
    weight: Tensor, gain: Tensor, shift: Tensor, mean: Tensor, var: Tensor, *, eps: float = 1e-5
) -> tuple[Tensor, Tensor]:
    """The weights and bias of the one convolution that equals a bias-free one followed by batch norm in evaluation.

    gain (w * x - mean) / sqrt(var + eps) + shift is linear in w, so with scale = gain / sqrt(var + eps) it is
    (scale w) * x + (shift - scale mean). Weights are `[S, C_out, ...]`, all else `[S, C_out]`.
    """
    scale = gain / torch.sqrt(var + eps)
    return weight * scale.reshape(*scale.shape, *[1] * (weight.ndim - 2)), shift - scale * mean


class _Recomputing(torch.autograd.Function):
    """The training block that keeps its input, its parameters and two numbers a channel."""

    @staticmethod
    def forward(ctx, x, weight, gain, shift, mean, var, geometry, momentum, eps):
        stride, padding, groups = geometry
        y = conv2d(x, weight, None, stride, padding, 1, groups)
        require_a_spread(y)
        out, center, inverse = torch.native_batch_norm(y, gain, shift, mean, var, True, momentum, eps)
        ctx.save_for_backward(x, weight, gain, shift, center, inverse)
        ctx.geometry, ctx.eps = geometry, eps
        return out.relu_()

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        x, weight, gain, shift, center, inverse = ctx.saved_tensors
        stride, padding, groups = ctx.geometry
        y = conv2d(x, weight, None, stride, padding, 1, groups)
        scale = gain * inverse
        channels = (1, -1, 1, 1)
        z = torch.addcmul((shift - center * scale).view(channels), y, scale.view(channels))
        torch.ops.aten.threshold_backward.grad_input(grad, z, 0, grad_input=z)  # where the ReLU let z pass
        y, d_gain, d_shift = torch.ops.aten.native_batch_norm_backward(
            z, y, gain, None, None, center, inverse, True, ctx.eps, (True, *ctx.needs_input_grad[2:4])
        )
        d_x, d_weight, _ = torch.ops.aten.convolution_backward(
            y, x, weight, None, stride, padding, (1, 1), False, (0, 0), groups, (*ctx.needs_input_grad[:2], False)
        )
        return d_x, d_weight, d_gain, d_shift, None, None, None, None, None


def _pair(size: Size) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size
