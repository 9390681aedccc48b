"""A plain convolutional classifier for S seeds at once."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from claimlab.nets.conv import conv, conv_bn_relu, conv_weight, mean_pool, pack
from claimlab.nets.norm import Running, group_norm
from claimlab.seeds import Seeds


@dataclass(frozen=True)
class CNN:
    """Blocks of convolution, norm and ReLU, then each channel's mean over space and one linear layer.

    `channels` has the input's first: `CNN((1, 16, 16), classes=10)` has two blocks. A block's convolution is
    `kernel` x `kernel` (1 x `kernel` for signals), keeps the size but for its stride, and has a bias only without a
    norm. `norm` is batch norm, group norm of `groups` groups (one group is layer norm over channels and space), or
    none. Where `strides` ends, 1 follows.

    The net is a pure function of its parameters, a list of weight, gain and shift of each block (weight and bias
    without a norm), then weight and bias of the linear layer: `[S, C_out, C_in, k, k]`, `[S, C_out]`,
    `[S, C, classes]`, `[S, 1, classes]`. Batch norm's running statistics are buffers beside them.
    """

    channels: tuple[int, ...]
    classes: int
    kernel: int = 3
    strides: tuple[int, ...] = ()
    norm: Literal["batch", "group", "none"] = "batch"
    groups: int = 1
    signals: bool = False

    def init(self, seeds: Seeds, *, name: str = "init") -> list[Tensor]:
        """He normal convolutions, gain 1, shift and biases 0, and normal readout weights of variance 1 / C."""
        kernel = (1, self.kernel) if self.signals else (self.kernel, self.kernel)
        parameters = []
        for block, (inputs, outputs) in enumerate(pairwise(self.channels), start=1):
            weight = conv_weight(seeds, f"{name}.w{block}", outputs, inputs, *kernel)
            gain, shift = torch.ones_like(weight[:, :, 0, 0, 0]), torch.zeros_like(weight[:, :, 0, 0, 0])
            parameters += [weight, shift] if self.norm == "none" else [weight, gain, shift]
        readout = seeds.normal(f"{name}.readout", self.channels[-1], self.classes) / self.channels[-1] ** 0.5
        return [*parameters, readout, torch.zeros_like(readout[:, :1])]

    def start(self, parameters: list[Tensor]) -> list[Running]:
        """Fresh running statistics, one for each block with batch norm."""
        return [Running.start(gain) for gain in parameters[1:-2:3]] if self.norm == "batch" else []

    def __call__(
        self, parameters: list[Tensor], x: Tensor, running: list[Running] | None = None, *, training: bool = True
    ) -> Tensor:
        """The logits `[S, N, classes]` of images `[S, N, C, H, W]` or signals `[S, N, C, L]`.

        With batch norm, training normalises by the batch and moves `running`, where it is given, along; evaluation
        needs `running` and folds it into the convolutions.
        """
        *blocks, weight, bias = parameters
        padding = (0, self.kernel // 2) if self.signals else self.kernel // 2
        per_block = 2 if self.norm == "none" else 3
        x = pack(x)
        for block, first in enumerate(range(0, len(blocks), per_block)):
            w, *affine = blocks[first : first + per_block]
            side = self.strides[block] if block < len(self.strides) else 1
            stride = (1, side) if self.signals else side
            match self.norm:
                case "batch":
                    own = running[block] if running else None
                    x = conv_bn_relu(x, w, *affine, own, training=training, stride=stride, padding=padding)
                case "group":
                    x = group_norm(conv(x, w, stride=stride, padding=padding), self.groups, *affine).relu_()
                case _:
                    x = conv(x, w, *affine, stride=stride, padding=padding).relu_()
        return torch.baddbmm(bias, mean_pool(x, len(weight)), weight)
