"""Normalisation for S seeds at once: of activations (batch, layer, group, instance) and of weights.

Two layouts of activations occur. Dense ones are `[S, N, F]`. Convolutional ones are packed, `[N, S * C, H, W]`
(see `claimlab.nets.conv`), so that one call of a stock operator normalises every seed by itself. Gains and shifts are
`[S, F]` or `[S, C]`: parameters with the seed dimension in front, like all others.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

RELU_GAIN = math.sqrt(2 / (1 - 1 / math.pi))
"""1 / the standard deviation of relu(z), z standard normal (Brock et al. 2021, "Characterizing signal propagation")."""


@dataclass(frozen=True)
class Running:
    """What batch norm remembers for evaluation: each seed's running mean and unbiased variance, `[S, C]` each.

    They are buffers, not parameters: every call of `batch_norm(..., training=True)` updates both tensors in place.
    """

    mean: Tensor
    var: Tensor

    @classmethod
    def start(cls, gain: Tensor) -> "Running":
        """Mean 0 and variance 1 for a gain `[S, C]`, as `torch.nn.BatchNorm2d` starts."""
        return cls(torch.zeros_like(gain, requires_grad=False), torch.ones_like(gain, requires_grad=False))

    def take(self, members: Tensor | list[int]) -> "Running":
        """A copy for the members at the given positions."""
        return Running(self.mean[members], self.var[members])


def batch_norm(
    x: Tensor,
    gain: Tensor,
    shift: Tensor,
    running: Running | None,
    *,
    training: bool,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise every feature of every seed over the batch, and over space for images (Ioffe & Szegedy 2015).

    `x` is dense `[S, N, F]` or packed `[N, S * C, H, W]`; `gain` and `shift` are `[S, F]` or `[S, C]`. In training the
    batch's own biased variance is used and `running`, if there is one, moves by `momentum` towards the batch's mean and
    unbiased variance; in evaluation `running` is used and left alone. Raises ValueError in training where there is but
    one value a feature, in evaluation without `running`, and for other ranks.
    """
    if not training and running is None:
        raise ValueError("evaluation needs running statistics")
    if x.ndim not in (3, 4):
        raise ValueError(f"expected dense [S, N, F] or packed [N, S * C, H, W] activations, got {tuple(x.shape)}")
    dense = x.ndim == 3
    flat = x.transpose(0, 1).flatten(1) if dense else x
    if training:
        require_a_spread(flat)
    buffers = (None, None) if running is None else (running.mean.view(-1), running.var.view(-1))
    # torch.batch_norm and not functional.batch_norm, which refuses eps = 0
    y = torch.batch_norm(
        flat, gain.flatten(), shift.flatten(), *buffers, training, momentum, eps, torch.backends.cudnn.enabled
    )
    return y.unflatten(1, gain.shape).transpose(0, 1) if dense else y


def require_a_spread(x: Tensor) -> None:
    """Raises ValueError for a batch `[N, channels, ...]` with one value a channel, which has no variance."""
    if x.numel() == x.shape[1]:
        raise ValueError(f"training needs more than one value a channel, got {tuple(x.shape)}")


def layer_norm(x: Tensor, gain: Tensor, shift: Tensor, *, eps: float = 1e-5) -> Tensor:
    """Normalise the F features of every sample `[S, N, ..., F]`; `gain` and `shift` are `[S, F]` (Ba et al. 2016).

    For packed images, layer norm over C, H and W is `group_norm` with one group.
    """
    affine = (len(gain), *[1] * (x.ndim - 2), -1)
    return torch.addcmul(shift.view(affine), functional.layer_norm(x, x.shape[-1:], eps=eps), gain.view(affine))


def group_norm(x: Tensor, groups: int, gain: Tensor, shift: Tensor, *, eps: float = 1e-5) -> Tensor:
    """Normalise `groups` groups of each seed's channels over C / groups, H and W, sample by sample (Wu & He 2018).

    `x` is packed `[N, S * C, H, W]`, or dense `[S, N, C]` without space; `gain` and `shift` are `[S, C]`. One group is
    layer norm, C groups are instance norm. Raises ValueError if `groups` does not divide C.
    """
    seeds, channels = gain.shape
    if channels % groups:
        raise ValueError(f"{groups} groups do not divide {channels} channels")
    dense = x.ndim == 3
    flat = x.transpose(0, 1).flatten(1) if dense else x
    y = functional.group_norm(flat, seeds * groups, gain.flatten(), shift.flatten(), eps)
    return y.unflatten(1, gain.shape).transpose(0, 1) if dense else y


def instance_norm(x: Tensor, gain: Tensor, shift: Tensor, *, eps: float = 1e-5) -> Tensor:
    """Normalise every channel of every packed image `[N, S * C, H, W]` over H and W (Ulyanov et al. 2016)."""
    return group_norm(x, gain.shape[1], gain, shift, eps=eps)


def weight_norm(direction: Tensor, length: Tensor) -> Tensor:
    """The weights `length * direction / ||direction||`, one length a unit (Salimans & Kingma 2016).

    Dense: `direction` `[S, fan_in, fan_out]`, `length` `[S, 1, fan_out]`. Convolution: `direction`
    `[S, C_out, C_in, *kernel]`, `length` `[S, C_out, 1, ...]`.
    """
    return direction * (length / torch.linalg.vector_norm(direction, dim=_incoming(direction), keepdim=True))


def standardise(weight: Tensor, *, eps: float = 1e-5) -> Tensor:
    """Every unit's incoming weights brought to mean 0 and variance 1, the biased one (Qiao et al. 2019).

    Shapes as for `weight_norm`. `eps` is added to the variance.
    """
    var, mean = torch.var_mean(weight, dim=_incoming(weight), correction=0, keepdim=True)
    return (weight - mean) * torch.rsqrt(var + eps)


def scaled_standardise(weight: Tensor, *, gain: float = RELU_GAIN, eps: float = 1e-5) -> Tensor:
    """Mean 0 and variance gain^2 / fan-in for every unit's incoming weights (Brock et al. 2021).

    With the default gain, inputs relu(z) of standard normal z give outputs of variance 1 again. `eps` is added to the
    variance before it is divided by the fan-in.
    """
    fan_in = math.prod(weight.shape[dim] for dim in _incoming(weight))
    return standardise(weight, eps=eps) * (gain / math.sqrt(fan_in))


def _incoming(weight: Tensor) -> tuple[int, ...]:
    """The dimensions a unit sums over: 1 of a dense `[S, fan_in, fan_out]`, all but `[S, C_out]` of a convolution."""
    return (1,) if weight.ndim == 3 else tuple(range(2, weight.ndim))
