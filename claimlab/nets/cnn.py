"""A plain convolutional classifier for S seeds at once."""

from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor

from claimlab.nets.conv import conv, conv_bn_relu, mean_pool, pack, unpack
from claimlab.parts import Activation, Initialise, Layer, Norm, initialiser, lift, parts
from claimlab.parts.layers import RELU, BatchNorm, Buffers
from claimlab.parts.norms import Running
from claimlab.seeds import Seeds


@dataclass(frozen=True)
class CNN:
    """Blocks of convolution, norm and activation, then each channel's mean over space and one linear layer.

    `channels` has the input's first: `CNN((1, 16, 16), classes=10)` has two blocks. A block's convolution is
    `kernel` x `kernel` (1 x `kernel` for signals), keeps the size but for its stride, and has a bias only without a
    norm. `norm` is made for the channels of each block: `nn.BatchNorm2d`, `partial(nn.GroupNorm, 1)` (layer norm over
    channels and space), or None. `activation` is `parts().relu` by default. Where `strides` ends, 1 follows.

    The net is a pure function of its parameters, a list of each block's weight, then its bias or its norm's parameters
    (for torch's own gain and shift), then its activation's, then weight and bias of the linear layer:
    `[S, C_out, C_in, k, k]`, `[S, C_out]`, `[S, C, classes]`, `[S, 1, classes]`. What a norm remembers, such as batch
    norm's running statistics, are buffers beside them.
    """

    channels: tuple[int, ...]
    classes: int
    kernel: int = 3
    strides: tuple[int, ...] = ()
    norm: Norm | None = None
    activation: Activation = field(default_factory=lambda: parts().relu)
    signals: bool = False

    def init(self, seeds: Seeds, scheme: Initialise | None = None, *, name: str = "init") -> list[Tensor]:
        """Convolutions by an initialiser (`parts().he_init` by default), and normal readout weights of variance 1 / C.

        Biases are 0.
        """
        draw = initialiser(scheme or parts().he_init)
        kernel = (1, self.kernel) if self.signals else (self.kernel, self.kernel)
        parameters = []
        for block, (inputs, outputs) in enumerate(pairwise(self.channels), start=1):
            weight = draw.weight(seeds, f"{name}.w{block}", outputs, inputs, *kernel)
            norm, activate = self._blocks[block - 1]
            own = [torch.zeros_like(weight[:, :, 0, 0, 0])] if norm is None else norm.init(seeds, f"{name}.norm{block}")
            parameters += [weight, *own, *activate.init(seeds, f"{name}.activation{block}")]
        readout = seeds.normal(f"{name}.readout", self.channels[-1], self.classes) / self.channels[-1] ** 0.5
        return [*parameters, readout, torch.zeros_like(readout[:, :1])]

    def start(self, parameters: list[Tensor]) -> list[Buffers]:
        """Fresh buffers of the norms, one for each block; none without a norm."""
        return [norm.start(parameters[0]) for norm, _ in self._blocks if norm is not None]

    def __call__(
        self, parameters: list[Tensor], x: Tensor, running: list[Buffers] | None = None, *, training: bool = True
    ) -> Tensor:
        """The logits `[S, N, classes]` of images `[S, N, C, H, W]` or signals `[S, N, C, L]`.

        With batch norm, training normalises by the batch and moves `running`, where it is given, along; evaluation
        needs `running` and folds it into the convolutions.
        """
        padding = (0, self.kernel // 2) if self.signals else self.kernel // 2
        own, x = iter(parameters), pack(x)
        for block, (norm, activate) in enumerate(self._blocks):
            w = next(own)
            affine = [next(own) for _ in range(1 if norm is None else norm.size)]
            side = self.strides[block] if block < len(self.strides) else 1
            stride = (1, side) if self.signals else side
            buffers = running[block] if running else None
            if isinstance(norm, BatchNorm) and activate == RELU:
                assert buffers is None or isinstance(buffers, Running)
                x = conv_bn_relu(
                    x, w, *affine, buffers, training=training, stride=stride, padding=padding,
                    momentum=norm.momentum, eps=norm.eps,
                )  # fmt: skip
                continue
            x = conv(x, w, *(affine if norm is None else ()), stride=stride, padding=padding)
            if norm is not None:
                x = _of_images(norm, affine, x, buffers, seeds=len(w), training=training)
            x = _of_images(
                activate, [next(own) for _ in range(activate.size)], x, None, seeds=len(w), training=training
            )
        weight, bias = own
        return torch.baddbmm(bias, mean_pool(x, len(weight)), weight)

    @cached_property
    def _blocks(self) -> list[tuple[Layer | None, Layer]]:
        """The norm and the activation of every block."""
        return [
            (None if self.norm is None else lift(self.norm, channels), lift(self.activation))
            for channels in self.channels[1:]
        ]


def _of_images(
    of: Layer, parameters: list[Tensor], x: Tensor, buffers: Buffers, *, seeds: int, training: bool
) -> Tensor:
    """What a layer makes of packed images."""
    if of.packed:
        return of(parameters, x, buffers, training=training)
    return pack(of(parameters, unpack(x, seeds), buffers, training=training))
